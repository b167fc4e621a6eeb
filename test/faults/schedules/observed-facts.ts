import { chainName } from '../../../shared/filter/masquerade-iptables.ts';
import type { Snapshot } from '../../support/snapshot.ts';
import { type Facts, namesByComment } from './facts.ts';
import type { Model } from './model.ts';

/** What a snapshot shows of the schedule's attachments, in the words of `expectedFacts`. */
export const observedFacts = (model: Model, lines: Snapshot): Facts => {
  const observer = new Observer(model);
  for (const line of lines) observer.see(line);
  observer.seeRoutes(lines);
  return observer.facts;
};

class Observer {
  readonly facts: Facts = new Map();
  readonly #networks: Set<string>;
  readonly #comments: Map<string, string>;
  readonly #owners: Map<string, string>;
  readonly #chains: Map<string, string>;
  /** Host interface → attachment. */
  readonly #hostEnds = new Map<string, string>();

  constructor(model: Model) {
    this.#networks = new Set(model.networks.map(({ spec }) => spec.name));
    this.#comments = namesByComment(model);
    // By netns and interface; what is there without being expected can only be a torn one's.
    this.#owners = new Map(
      model.attachments
        .filter(({ state }) => state === 'torn')
        .map(({ container, ifname, name }) => [`${container.pod?.name} ${ifname}`, name]),
    );
    this.#chains = new Map(
      model.attachments.map(({ network, container }) => [
        chainName(network.spec.name, container.id),
        `${network.spec.name} ${container.id}`,
      ]),
    );
  }

  see(line: string): void {
    for (const [pattern, look] of this.#patterns) {
      const match = pattern.exec(line);
      if (match !== null) look(match.slice(1).map((part) => part ?? ''));
    }
  }

  /** After all links are known. */
  seeRoutes(lines: Snapshot): void {
    for (const line of lines) {
      const match = /^route unicast (\S+) .*dev (veth\S+)$/.exec(line);
      const name = this.#hostEnds.get(match?.[2] ?? '');
      // The kernel itself makes one to the gateway's address.
      if (name === undefined || line.includes(' protocol kernel ')) continue;
      this.#note(`host route to ${match?.[1]} for ${name}`, name);
    }
  }

  readonly #patterns: [RegExp, (parts: string[]) => void][] = [
    [
      /^link (veth\S*) veth mtu \d+ (?:up|down)(?: master (\S+))?(?: alias (.*))?$/,
      ([ifname = '', master, alias = '']) => this.#seeHostEnd(ifname, master, alias),
    ],
    [
      /^netns (ns\S+): link (\S+) veth /,
      ([pod, ifname]) =>
        this.#note(`interface ${ifname} in ${pod}`, this.#owners.get(`${pod} ${ifname}`) ?? ''),
    ],
    [
      /^netns (ns\S+): addr (\S+) (\S+) scope global/,
      ([pod, ifname, address]) =>
        this.#note(`address ${address} on ${ifname} in ${pod}`, this.#owners.get(`${pod} ${ifname}`) ?? ''),
    ],
    [
      /^nft element inet podwire_masquerade pods[46] .*"val":"([^"]+)","comment":"([^"]+)"/,
      ([address, comment = '']) => {
        const name = this.#comments.get(comment) ?? comment;
        this.#note(`nft element ${address} of ${name}`, name);
      },
    ],
    [
      /^nft element bridge podwire_spoof (\S+) .*"comment":"([^"]+)"/,
      ([set, comment = '']) => {
        const name = this.#comments.get(comment) ?? comment;
        this.#note(`nft ${set} element of ${name}`, name);
      },
    ],
    [
      /^iptables-\S+ nat -A POSTROUTING -s (\S+)\/32 .*name: \\"(\S+)\\" id: .* -j (CNI-\S+)$/,
      ([address, network = '', chain = '']) => {
        if (this.#networks.has(network))
          this.#note(`iptables ${address} to ${chain}`, this.#chains.get(chain) ?? '');
      },
    ],
    [
      /^iptables-\S+ nat -A (CNI-\S+) .*name: \\"(\S+)\\" id: .* -j MASQUERADE$/,
      ([chain = '', network = '']) => {
        if (this.#networks.has(network)) this.#note(`iptables chain ${chain}`, this.#chains.get(chain) ?? '');
      },
    ],
    [
      /^file \/var\/lib\/cni\/networks\/([^./][^/]*)\/([0-9a-f]*[.:][^/]*) (".*")$/,
      ([network = '', address, content = '']) => {
        if (!this.#networks.has(network)) return;
        const [containerId, ifname] = String(JSON.parse(content)).split('\r\n');
        const name = `${network} ${containerId} ${ifname}`;
        this.#note(`reservation ${network} ${address} of ${name}`, name);
      },
    ],
    [
      /^file \/run\/podwire\/attachments\/([^/]+)\/(\S+) (".*")$/,
      ([network = '', file = '', content = '']) => this.#seeRecord(network, file, JSON.parse(content)),
    ],
  ];

  #seeHostEnd(ifname: string, master: string | undefined, alias: string): void {
    if (master === 'ref0') return;
    const [network, containerId, end] = alias.replace(/^podwire:/, '').split('/');
    const name = alias === '' ? '' : `${network} ${containerId} ${end}`;
    this.#hostEnds.set(ifname, name);
    this.#note(`host end of ${name || ifname}${master ? ` on ${master}` : ''}`, name);
  }

  #seeRecord(network: string, file: string, text: string): void {
    const record = parse(text);
    const name = record === undefined ? '' : `${network} ${record.containerId} ${record.ifname}`;
    const isComplete = !file.startsWith('.') && record?.complete === true;
    const addresses = record?.addresses.map(({ address }) => address).join() || 'no addresses';
    this.#note(isComplete ? `record of ${name}: ${addresses}` : `unfinished record ${network}/${file}`, name);
  }

  #note(fact: string, owner: string): void {
    this.facts.set(fact, owner);
  }
}

interface StoredRecord {
  containerId: string;
  ifname: string;
  complete?: boolean;
  addresses: { address: string }[];
}

const parse = (text: string): StoredRecord | undefined => {
  try {
    return JSON.parse(text) as StoredRecord;
  } catch {
    return undefined;
  }
};

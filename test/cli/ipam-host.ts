import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { expectSuccess, type Outcome, systemPath } from '../support/process.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { writeFile } from './cli-host.ts';

const confDir = '/run/cli/net.d';
const stateFile = '/var/lib/podwire/ipam/.nodes/pods/state.json';

/** The pools of tests: addresses that no other test has, as check looks into every netns of the machine. */
export const pools = [
  { name: 'all', cidr: '10.219.0.0/24', blockSize: 29 },
  { name: 'team', cidr: '10.219.1.0/24', namespaceSelector: { names: ['team'] } },
];

export interface Problem {
  kind: string;
  code: string;
  subject: string;
  what: string;
  remedy: string;
  gc: boolean;
}

/** A host with the network `pods`: our bridge with cluster-ipam over the file datastore, and what tests do there. */
export class IpamHost {
  readonly host: TestHost;

  constructor(host: TestHost) {
    this.host = host;
  }

  static async create(): Promise<IpamHost> {
    expectPlugins(podwireBin, 'podwire', 'bridge', 'cluster-ipam');
    const ipam = new IpamHost(await createHost({ name: 'cli-ipam' }));
    ipam.configure({});
    return ipam;
  }

  /** Writes the network with changed keys of its `ipam` section. */
  configure(keys: object, name = 'pods'): void {
    const ipam = { type: 'cluster-ipam', nodeName: 'n1', pools, ...keys };
    const plugin = { type: 'bridge', bridge: 'cni0', isGateway: true, ipam };
    writeFile(this.host, `${confDir}/${name}.conflist`, { cniVersion: '1.1.0', name, plugins: [plugin] });
  }

  attempt(args: string[], env: Record<string, string> = {}): Promise<Outcome> {
    return this.host.attempt([`${podwireBin}/podwire`, ...args, '--conf-dir', confDir], {
      env: { PATH: systemPath, ...env },
    });
  }

  ipam(...args: string[]): Promise<Outcome> {
    return this.attempt(['ipam', ...args]);
  }

  /** The object that a verb prints, whatever its exit code. */
  async json<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    const { stdout, stderr } = await this.ipam(...args, '--json');
    try {
      return JSON.parse(stdout) as T;
    } catch {
      throw new Error(`podwire ipam ${args.join(' ')} printed no JSON: ${stdout}${stderr}`);
    }
  }

  /** What check finds, as `code subject`. */
  async check(...args: string[]): Promise<string[]> {
    const { findings } = await this.json<{ findings: Problem[] }>('check', '--min-age', '0', ...args);
    return findings.map(({ code, subject }) => `${code} ${subject}`).toSorted();
  }

  /** Attaches a new pod of that name and namespace `x`; its address. */
  async attach(name: string, args = ''): Promise<string> {
    await this.host.addPod(name);
    const cni = `IgnoreUnknown=1;K8S_POD_NAMESPACE=x;K8S_POD_NAME=${name}${args}`;
    const run = ['run', 'add', 'pods', name, '--container-id', name, '--bin-dir', podwireBin];
    const printed = expectSuccess(await this.attempt([...run, '--args', cni, '--json']));
    const { ips } = JSON.parse(printed) as { ips: { address: string }[] };
    return ips[0]?.address.replace(/\/.*/, '') as string;
  }

  async detach(name: string): Promise<void> {
    expectSuccess(
      await this.attempt(['run', 'del', 'pods', name, '--container-id', name, '--bin-dir', podwireBin]),
    );
  }

  /** Plants a record into the datastore, as its path there says. */
  record(path: string, value: object): void {
    writeFile(this.host, `/var/lib/podwire/datastore/${path}.json`, { version: crypto.randomUUID(), value });
  }

  /** Changes what the node knows. */
  async editState(filter: string): Promise<void> {
    await this.host.shell(`jq -c '${filter}' ${stateFile} >/run/cli/state && cp /run/cli/state ${stateFile}`);
  }

  async ownBlock(): Promise<string> {
    return (await this.host.shell(`jq -r '.blocks[0].cidr' ${stateFile}`)).trim();
  }
}

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  aliasPrefix,
  hostInterfaceAlias,
  hostInterfaceName,
} from '../../../shared/attachment/host-interface-name.ts';
import {
  chainName,
  createCommands,
  iptablesMasquerade,
  removeCommands,
} from '../../../shared/filter/masquerade-iptables.ts';
import { masqueradePlan } from '../../../shared/filter/masquerade-nft.ts';
import {
  createCommand,
  deleteCommand,
  mergeFrames,
  ruleCommands,
  tableCommands,
} from '../../../shared/filter/nft-plan.ts';
import { isStaleComment, networkPrefixes, type Owner, ownerComment } from '../../../shared/filter/owner.ts';
import { podAddress } from '../../../shared/filter/pod-address.ts';
import { spoofCheckPlan } from '../../../shared/filter/spoof-check.ts';
import { isPlainWord } from '../../../shared/kernel/batch.ts';
import { IpBatch } from '../../../shared/kernel/ip-batch.ts';
import { orCniError } from './cni-errors.ts';
import { hostileText } from './hostile.ts';
import { holds } from './settings.ts';

// As the protocol lets them through: an interface name may be almost anything, the others not.
const id = fc.oneof(
  fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,255}$/),
  fc.constantFrom('a', '0', 'x'.repeat(255), `a${'.'.repeat(254)}`, '1-_.'),
);
const ifname = fc.oneof(
  fc.stringMatching(/^[^/:%\s]{1,15}$/),
  hostileText.filter((text) => /^[^/:%\s\0]{1,15}$/.test(text)),
);
const owner: fc.Arbitrary<Owner> = fc.record({ network: id, containerId: id, ifname });
const pod = fc
  .oneof(
    fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
    fc.tuple(fc.ipV6(), fc.integer({ min: 96, max: 128 })),
  )
  .map(([address, length]) => podAddress({ address, subnet: `${address}/${length}` }));
const pods = fc.array(pod, { minLength: 1, maxLength: 3 });

describe('what marks an attachment', () => {
  test('the comment fits into nftables, is one word to it, and tells its network', () => {
    holds(
      fc.property(owner, id, (given, other) => {
        const comment = ownerComment(given);
        expect(comment.length).toBeLessThanOrEqual(127);
        expect(comment).toMatch(/^[A-Za-z0-9_.%#-]+ [A-Za-z0-9_.%-]+ [A-Za-z0-9_.%-]*$/);
        const prefixes = networkPrefixes(given.network);
        expect(prefixes.some((prefix) => comment.startsWith(prefix))).toBe(true);
        const keep = [{ containerID: given.containerId, ifname: given.ifname }];
        expect(isStaleComment(given.network, [])(comment)).toBe(true);
        expect(isStaleComment(given.network, keep)(comment)).toBe(false);
        if (other !== given.network) expect(isStaleComment(other, [])(comment)).toBe(false);
      }),
      2000,
    );
  });

  test('two attachments never have one comment, name or alias', () => {
    holds(
      fc.property(owner, owner, (first, second) => {
        const isSame = JSON.stringify(first) === JSON.stringify(second);
        expect(ownerComment(first) === ownerComment(second)).toBe(isSame);
        expect(hostInterfaceName(first) === hostInterfaceName(second)).toBe(isSame);
        expect(
          chainName(first.network, first.containerId) === chainName(second.network, second.containerId),
        ).toBe(`${first.network}${first.containerId}` === `${second.network}${second.containerId}`);
      }),
      2000,
    );
  });

  test('host interface and alias are plain words of the kernel’s length', () => {
    holds(
      fc.property(owner, (given) => {
        expect(hostInterfaceName(given)).toMatch(/^veth[0-9a-f]{11}$/);
        const alias = hostInterfaceAlias(given);
        expect(isPlainWord(alias)).toBe(true);
        expect(alias.length).toBeLessThanOrEqual(255);
        expect(alias.startsWith(aliasPrefix(given.network))).toBe(true);
      }),
      2000,
    );
  });
});

describe('commands of the packet filter', () => {
  test('nft: one line each, with nothing in quotes but a comment and a name', () => {
    holds(
      fc.property(owner, pods, (given, addresses) => {
        const plans = [
          masqueradePlan(given, addresses),
          spoofCheckPlan(given, 'veth0123456789a', '02:00:00:00:00:01'),
        ];
        const elements = plans.flatMap((plan) => plan.elements);
        for (const element of elements) {
          expect(createCommand(element)).toMatch(
            /^create element (inet podwire_masquerade pods[46]|bridge podwire_spoof (ports|macs)) \{ ([0-9a-f.:]+|"veth0123456789a"( \. 02:00:00:00:00:01)?) comment "[\w.%# -]+"( : jump from-[0-9a-f._/]+)? \}$/,
          );
          expect(deleteCommand(element)).not.toMatch(/[\n;]|comment/);
        }
        for (const table of mergeFrames(plans)) {
          for (const command of [
            ...tableCommands(table),
            ...table.chains.flatMap((chain) => ruleCommands(table, chain)),
          ])
            expect(command).toMatch(
              /^(add|flush) (table|map|set|chain|rule) (inet podwire_masquerade|bridge podwire_spoof)( [^\n]*)?$/,
            );
        }
      }),
      1000,
    );
  });

  test('iptables: one line each, with the names inside their quotes', () => {
    holds(
      fc.property(id, id, pods, (network, containerId, addresses) => {
        const four = addresses.filter(({ family }) => family === 4);
        const wanted = iptablesMasquerade(network, containerId, four);
        const comment = String.raw`-m comment --comment "name: \\"[\w.#-]+\\" id: \\"[\w.#-]+\\""`;
        const rule = new RegExp(
          String.raw`^-[AD] (POSTROUTING -s [0-9.]+/32 ${comment} -j CNI-[0-9a-f]{24}|CNI-[0-9a-f]{24} (-d [0-9./]+ ${comment} -j ACCEPT|! -d 224\.0\.0\.0/4 ${comment} -j MASQUERADE))$`,
        );
        for (const command of [...createCommands(wanted), ...removeCommands(wanted)]) {
          if (!/^-[NFX] CNI-[0-9a-f]{24}$/.test(command)) expect(command).toMatch(rule);
          expect(command.match(/--comment "(.*)" -j/)?.[1]?.replaceAll('\\', '').length ?? 0).toBeLessThan(
            256,
          );
        }
      }),
      1000,
    );
  });
});

test('an ip batch has a line for each command and a word for each word, or is refused', () => {
  const word = fc.oneof(hostileText, fc.integer(), fc.constantFrom('link', 'add', undefined, false as const));
  holds(
    fc.property(fc.array(fc.array(word, { minLength: 1, maxLength: 5 }), { maxLength: 4 }), (commands) => {
      const batch = new IpBatch();
      const accepted = commands.filter((words) => orCniError(() => batch.add(...words)) !== undefined);
      const lines = accepted
        .map((words) => words.filter((part) => part !== undefined && part !== false))
        .filter((words) => words.length > 0);
      expect(
        batch
          .toString()
          .split('\n')
          .slice(0, -1)
          .map((text) => text.split(/\s+/)),
      ).toEqual(lines.map((words) => words.map(String)));
    }),
    3000,
  );
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isStaleComment, networkPrefixes, ownerComment } from './owner.ts';

const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,200}$/);
const ifname = fc.string({ minLength: 1, maxLength: 15 }).filter((text) => !/[/:\s]/.test(text));

describe('ownerComment', () => {
  test('is readable where it fits', () => {
    expect(ownerComment({ network: 'pods', containerId: 'abc', ifname: 'eth0' })).toBe('pods abc eth0');
  });

  test('is hashed where it does not fit, and begins with the hash of the network', () => {
    const owner = { network: 'n'.repeat(100), containerId: 'c'.repeat(64), ifname: 'eth0' };
    expect(ownerComment(owner)).toMatch(/^#[0-9a-f]{16} [0-9a-f]{32} c{64}$/);
    const sibling = ownerComment({ ...owner, containerId: 'd'.repeat(64) });
    expect(sibling.slice(0, 17)).toBe(ownerComment(owner).slice(0, 17));
  });

  test('holds nothing that nft would not take literally within quotes', () => {
    fc.assert(
      fc.property(name, name, ifname, (network, containerId, interfaceName) => {
        const comment = ownerComment({ network, containerId, ifname: interfaceName });
        expect(comment).toMatch(/^[A-Za-z0-9_.%# -]{1,127}$/);
      }),
    );
  });

  test('tells owners apart, whatever their names', () => {
    expect(ownerComment({ network: 'a', containerId: 'b', ifname: 'eth0";' })).toBe('a b eth0%22%3b');
    expect(ownerComment({ network: 'a', containerId: 'b', ifname: 'eth0%22%3b' })).not.toBe('a b eth0%22%3b');
    const long = 'x'.repeat(130);
    const first = ownerComment({ network: long, containerId: 'c', ifname: 'eth0' });
    expect(first).not.toBe(ownerComment({ network: long, containerId: 'c', ifname: 'eth1' }));
    expect(first).not.toBe(ownerComment({ network: `${long}y`, containerId: 'c', ifname: 'eth0' }));
  });

  test('always begins with one of the prefixes of its own network, never of another', () => {
    fc.assert(
      fc.property(name, name, name, ifname, (network, other, containerId, interfaceName) => {
        const comment = ownerComment({ network, containerId, ifname: interfaceName });
        const isOf = (candidate: string) =>
          networkPrefixes(candidate).some((prefix) => comment.startsWith(prefix));
        expect(isOf(network)).toBe(true);
        expect(isOf(other)).toBe(other === network);
      }),
    );
  });
});

describe('isStaleComment', () => {
  const stale = isStaleComment('pods', [{ containerID: 'kept', ifname: 'eth0' }]);

  test.each([
    ['pods gone eth0', true],
    ['pods kept eth1', true],
    ['pods kept eth0', false],
    ['pods2 gone eth0', false],
    ['', false],
  ])('"%s": %s', (comment, expected) => {
    expect(stale(comment)).toBe(expected);
  });

  test('an owner with a hashed comment is kept too', () => {
    const containerID = 'c'.repeat(130);
    const comment = ownerComment({ network: 'pods', containerId: containerID, ifname: 'eth0' });
    expect(isStaleComment('pods', [{ containerID, ifname: 'eth0' }])(comment)).toBe(false);
    expect(isStaleComment('pods', [])(comment)).toBe(true);
  });
});

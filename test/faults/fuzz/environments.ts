import fc from 'fast-check';
import { hostileText } from './hostile.ts';

/** Values for the variables of a call; undefined takes one away. */
export type Variables = Record<string, string | undefined>;

/** No environment can hold a NUL, half of a surrogate pair, or more than 128 KiB in one variable. */
const text = hostileText.map((value) => value.replaceAll('\0', '').toWellFormed().slice(0, 10_000));

const valid = {
  containerId: fc.oneof(
    fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,80}$/),
    fc.constantFrom('a', '0', 'x'.repeat(64), `c${'-'.repeat(200)}`),
  ),
  ifname: fc.oneof(
    fc.stringMatching(/^[a-z][a-z0-9.]{0,14}$/),
    fc.constantFrom('eth0', 'é', '🙂', "a'b", 'a"b', '{', '-x'),
  ),
  args: fc.constantFrom(
    '',
    'IP=10.80.0.9',
    'IgnoreUnknown=1;X=y',
    'MAC=02:00:00:00:00:09',
    'IP=fd80::9;IgnoreUnknown=true',
  ),
};

/** Ids, names, arguments and paths of a call; each may be hostile, and mostly none or one is. */
export const variables: fc.Arbitrary<Variables> = fc.record({
  CNI_CONTAINERID: mostly(valid.containerId, text),
  CNI_IFNAME: mostly(valid.ifname, text),
  CNI_ARGS: mostly(
    valid.args,
    fc.oneof(
      text,
      fc
        .array(fc.tuple(text, text), { maxLength: 4 })
        .map((pairs) => pairs.map((pair) => pair.join('=')).join(';')),
      text.map((value) => `IP=${value}`),
      text.map((value) => `MAC=${value};GATEWAY=${value}`),
    ),
  ),
});

/** Like `variables`, with what a test in a real netns sets itself: verb, netns and path. */
export const allVariables: fc.Arbitrary<Variables> = fc
  .tuple(
    variables,
    fc.record({
      CNI_COMMAND: mostly(fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION'), text),
      CNI_NETNS: mostly(fc.constant('/run/netns/x'), text),
      CNI_PATH: mostly(fc.constant('/opt/cni/bin'), text),
      CNI_NETNS_OVERRIDE: fc.constantFrom(undefined, '1', 'true', 'no'),
    }),
  )
  .map(([some, others]) => ({ ...some, ...others }));

function mostly(usual: fc.Arbitrary<string>, rare: fc.Arbitrary<string>): fc.Arbitrary<string | undefined> {
  return fc.oneof(
    { weight: 12, arbitrary: usual },
    { weight: 2, arbitrary: rare },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
}

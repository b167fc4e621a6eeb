import { expect, test } from 'vitest';
import { TcBatch, tcBatchFailure } from './tc-batch.ts';

const batch = new TcBatch()
  .add('qdisc', 'add', 'dev', 'v0', 'root', 'handle', '1:', 'tbf', 'rate', '1000bps')
  .add('qdisc', 'add', 'dev', 'v0', 'handle', 'ffff:', 'ingress')
  .add('filter', 'add', 'dev', 'v0', 'parent', 'ffff:', 'protocol', 'all', 'prio', 1, 'u32', 'match');

const failure = (message: string, line: number) =>
  tcBatchFailure(
    batch,
    { stdout: '', stderr: `Error: ${message}\nCommand failed -:${line}\n`, exitCode: 1 },
    'shaping v0',
  );

test.each([
  ['Specified qdisc kind is unknown.', 1, 'queueing discipline "tbf" (sch_tbf)'],
  ['Specified qdisc kind is unknown.', 2, 'queueing discipline "ingress" (sch_ingress)'],
  ['TC classifier not found.\nWe have an error talking to the kernel', 3, 'classifier "u32" (cls_u32)'],
  ['Failed to load TC action module.', 3, 'action "mirred" (act_mirred)'],
])('what the kernel lacks is named: %s line %i', (message, line, feature) => {
  expect(failure(message, line)).toMatchObject({
    code: 104,
    message: `shaping v0: the kernel has no ${feature}`,
    details: expect.stringContaining(message),
  });
});

test('other failures name the line', () => {
  expect(failure('Exclusivity flag on, cannot modify.', 1)).toMatchObject({
    code: 100,
    message: 'shaping v0: tc qdisc add failed: Exclusivity flag on, cannot modify.',
    details: 'The command was "tc qdisc add dev v0 root handle 1: tbf rate 1000bps".',
  });
});

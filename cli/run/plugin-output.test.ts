import { expect, test } from 'vitest';
import { pluginError, readResult } from './plugin-output.ts';

const failed = { type: 'bridge', stdout: '', stderr: '', exitCode: 1, signal: null };

test("a plugin's own error keeps code, message and details", () => {
  const error = pluginError({
    ...failed,
    stdout: '{"code":11,"msg":"busy","details":"later","cniVersion":"1.0.0"}',
  });
  expect(error).toMatchObject({ code: 11, message: 'busy', details: 'later' });
});

test.each([
  ['garbage on stdout', { stdout: 'panic: x' }, '(exit code 1) and printed no error object: "panic: x"'],
  ['JSON without a message', { stdout: '{"cniVersion":"1.0.0"}' }, 'printed no error object'],
  ['the last line of stderr', { stderr: 'log\nno such bridge\n' }, '(exit code 1) saying: no such bridge'],
  ['nothing', {}, '(exit code 1) without saying why'],
  ['a signal', { exitCode: 137, signal: 'SIGKILL' }, '(killed by SIGKILL) without saying why'],
])('without an error object: %s', (_name, end, message) => {
  const error = pluginError({ ...failed, ...end });
  expect(error).toMatchObject({ code: 101, message: expect.stringContaining(message) });
});

test("a result without a version has the configuration's", () => {
  expect(readResult('b', '{"ips":[]}', '1.0.0')).toEqual({ ips: [], cniVersion: '1.0.0' });
  expect(readResult('b', '{"cniVersion":""}', '')).toEqual({ cniVersion: '0.1.0' });
  expect(readResult('b', '{"cniVersion":"0.4.0"}', '1.0.0')).toEqual({ cniVersion: '0.4.0' });
  expect(readResult('b', 'null', '1.0.0')).toEqual({ cniVersion: '1.0.0' });
});

test.each(['', '[]', '{"ips":', 'ok'])('%j is no result', (stdout) => {
  expect(() => readResult('b', stdout, '1.0.0')).toThrow('plugin "b" printed no result');
});

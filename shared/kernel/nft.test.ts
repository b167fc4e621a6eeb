import { describe, expect, test } from 'vitest';
import { classifyNftFailure, nftError } from './nft.ts';

describe('classifyNftFailure', () => {
  test.each([
    ['/dev/stdin:1:21-38: Error: No such file or directory\ncreate element …', 'missing'],
    ['/dev/stdin:1:48-78: Error: Could not process rule: No such file or directory', 'missing'],
    ['/dev/stdin:1:48-79: Error: Could not process rule: File exists', 'exists'],
    ['Error: Could not process rule: Device or resource busy', 'busy'],
    ['Error: Could not process rule: Operation not supported', 'unsupported'],
    ['Error: Could not process rule: Address family not supported by protocol', 'unsupported'],
    ['Error: syntax error, unexpected newline', 'other'],
    ['', 'busy'],
  ])('%s', (stderr, kind) => {
    expect(classifyNftFailure(stderr)).toBe(kind);
  });
});

test('a feature that the kernel lacks is error 104, all else 100', () => {
  const result = { stdout: '', exitCode: 1 };
  const lack = nftError(
    { ...result, stderr: 'Error: Could not process rule: Operation not supported' },
    'macspoofchk',
  );
  expect(lack.code).toBe(104);
  expect(lack.message).toContain('macspoofchk');
  expect(nftError({ ...result, stderr: 'Error: syntax error' }, 'ipMasq').code).toBe(100);
});

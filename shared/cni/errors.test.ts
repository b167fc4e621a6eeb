import { expect, test } from 'vitest';
import { CniError, ErrorCode, toCniError } from './errors.ts';

test('whatever a message quotes, it is one line of bearable length', () => {
  const error = new CniError(ErrorCode.invalidEnvironment, `got "a\r\n\tb\u2028c\0d" ${'x'.repeat(70_000)}`, {
    details: `line\nline ${'y'.repeat(70_000)}`,
  });
  expect(error.message).toMatch(/^got "a b c d" x+…$/);
  expect(error.message).toHaveLength(900);
  expect(error.details).toMatch(/^line\nline y+…$/);
  expect(error.details).toHaveLength(5000);
  expect(toCniError(new Error('a\nb')).message).toBe('a b');
});

test('ordinary texts stay as they are', () => {
  const error = new CniError(ErrorCode.conflict, 'the name "é 🙂" is taken', { details: 'Use another.' });
  expect([error.message, error.details]).toEqual(['the name "é 🙂" is taken', 'Use another.']);
  expect(new CniError(ErrorCode.conflict, 'x').details).toBeUndefined();
  expect(new CniError(ErrorCode.conflict, 'x', { details: '' }).details).toBe('');
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findJsonError } from './json-error.ts';

test.for<[string, string]>([
  ['', '1:1 expected a value, found the end of the text'],
  ['{', '1:2 expected a key in double quotes, found the end of the text'],
  ['{\n  "nodes": [\n    { "name": "a" },\n  ]\n}', '4:3 expected a value, found "]"'],
  ['{"a": 1,}', '1:9 expected a key in double quotes, found "}"'],
  ['{"a" 1}', '1:6 expected ":", found "1"'],
  ['{"a": 1\n "b": 2}', '2:2 expected "," or "}", found "\\""'],
  ['["a" "b"]', '1:6 expected "," or "]", found "\\""'],
  ['[nodes]', '1:2 expected a value, found "nodes"'],
  ['[01]', '1:2 expected a value, found "01"'],
  ['[1.]', '1:2 expected a value, found "1"'],
  ['["a', '1:2 this string has no end'],
  ['["a\nb"]', '1:4 a control character, such as a line break, inside a string'],
  ['["\\x"]', '1:3 not an escape, found "\\\\"'],
  ['[] []', '1:4 expected the end, found "["'],
  ["{'a': 1}", '1:2 expected a key in double quotes, found "\'"'],
])('%j', ([text, expected]) => {
  const error = findJsonError(text);
  expect(error && `${error.line}:${error.column} ${error.problem}`).toBe(expected);
});

test('nesting has an end', () => {
  expect(findJsonError('['.repeat(100_000))?.problem).toMatch(/^nested too deeply/);
});

test('it agrees with the parser on what is JSON', () => {
  const isJson = (text: string): boolean => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  };
  fc.assert(
    fc.property(fc.json(), fc.nat(), fc.string({ maxLength: 3 }), (json, place, insert) => {
      expect(findJsonError(json)).toBeUndefined();
      const at = place % (json.length + 1);
      for (const broken of [
        json.slice(0, at) + insert + json.slice(at),
        json.slice(0, at) + json.slice(at + 1),
      ]) {
        expect(findJsonError(broken) === undefined).toBe(isJson(broken));
      }
    }),
    { numRuns: 1000 },
  );
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ListSplitter } from './list-splitter.ts';

const split = (text: string, cuts: number[] = []) => {
  const bytes = new TextEncoder().encode(text);
  const items: unknown[] = [];
  const splitter = new ListSplitter((json) => items.push(JSON.parse(json)));
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  let from = 0;
  for (const to of ends) {
    // Its memory is used again, as a stream's may be.
    const chunk = bytes.slice(from, to);
    splitter.push(chunk);
    chunk.fill(0x58);
    from = to;
  }
  return { items, envelope: splitter.end() };
};

test('any items, in any pieces, in any place of the list', () => {
  const item = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 3 }));
  const list = fc.record({
    items: fc.array(item),
    metadata: fc.record({ resourceVersion: fc.string(), items: fc.array(fc.jsonValue()) }),
    last: fc.boolean(),
    indent: fc.constantFrom(undefined, 2),
    cuts: fc.array(fc.nat()),
  });
  fc.assert(
    fc.property(list, ({ items, metadata, last, indent, cuts }) => {
      const envelope = { kind: 'List', other: [{ items: [1] }], metadata };
      const whole = last ? { ...envelope, items } : { items, ...envelope };
      const got = split(JSON.stringify(whole, null, indent), cuts);
      // By their texts: an object may have a key `__proto__`.
      expect(JSON.stringify(got.items)).toBe(JSON.stringify(items));
      expect(JSON.stringify(got.envelope)).toBe(JSON.stringify({ ...whole, items: [] }));
    }),
    { numRuns: 300 },
  );
});

test.for([
  '',
  '{"kind":"NodeList","metadata":{},"items":[{"a":1},{"b"',
  '{"kind":"NodeList","metadata":{},"items":[{"a":1}',
  '<html>',
])('a list that is not whole is a SyntaxError: %s', (text) => {
  expect(() => split(text)).toThrow(SyntaxError);
});

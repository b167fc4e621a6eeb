import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CniError } from './errors.ts';
import { Fields, show } from './fields.ts';
import type { JsonObject, JsonValue } from './types.ts';

const values = { string: 'text', number: 5, boolean: true, list: ['x'], object: { a: 1 } };
type TypeName = keyof typeof values;
const readers: [string, TypeName[], (fields: Fields) => unknown][] = [
  ['string', ['string'], (fields) => fields.string('key')],
  ['boolean', ['boolean'], (fields) => fields.boolean('key')],
  ['integer', ['number'], (fields) => fields.integer('key', 0, 10)],
  ['array', ['list'], (fields) => fields.array('key')],
  ['strings', ['list'], (fields) => fields.strings('key')],
  ['object', ['object'], (fields) => fields.object('key')],
  ['fields', ['object'], (fields) => fields.fields('key')],
  ['fieldsList', [], (fields) => fields.fieldsList('key')],
];
const types = Object.keys(values) as TypeName[];

describe.each(readers)('Fields.%s', (_, accepted, read) => {
  test.each(types.filter((type) => accepted.includes(type)))('reads a %s', (type) => {
    expect(() => read(new Fields({ key: values[type] }))).not.toThrow();
  });

  test.each(types.filter((type) => !accepted.includes(type)))('refuses a %s by path and value', (type) => {
    const value = values[type] as JsonValue;
    try {
      read(new Fields({ key: value }, 'ipam'));
    } catch (error) {
      expect(error).toBeInstanceOf(CniError);
      expect(error).toMatchObject({ code: 7 });
      expect((error as CniError).message).toContain('"ipam.key"');
      expect((error as CniError).message).toContain(JSON.stringify(value));
      return;
    }
    expect.unreachable();
  });

  test('takes null and a missing key for absent', () => {
    for (const object of [{}, { key: null }]) expect(() => read(new Fields(object))).not.toThrow();
  });
});

describe('Fields', () => {
  test.each([-1, 11, 1.5, Number.MAX_VALUE])('refuses the number %d', (value) => {
    expect(() => new Fields({ key: value }).integer('key', 0, 10)).toThrow('whole number from 0 to 10');
  });

  test('finds a key whatever its case, the exact one first', () => {
    expect(new Fields({ isgateway: true }).boolean('isGateway')).toBe(true);
    expect(new Fields({ ISGATEWAY: false, isGateway: true }).boolean('isGateway')).toBe(true);
  });

  test('names nested keys by their path', () => {
    const [route] = new Fields({ routes: [{ dst: 5 }] }, 'ipam').fieldsList('routes');
    expect(() => route?.string('dst')).toThrow('"ipam.routes[0].dst" must be a string, got 5');
  });

  test('sees only what the object has itself', () => {
    const object = JSON.parse('{"__proto__": {"name": "inherited"}}') as JsonObject;
    expect(new Fields(object).string('name')).toBeUndefined();
  });
});

describe('show', () => {
  test('is never long and never fails', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => show(value).length <= 120));
    let deep: JsonValue = [];
    for (let depth = 0; depth < 200_000; depth += 1) deep = [deep];
    expect(show(deep)).toContain('nested');
    expect(show(undefined)).toBe('nothing');
  });
});

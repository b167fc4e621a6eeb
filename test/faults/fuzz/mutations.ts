import fc, { toStringMethod } from 'fast-check';
import type { JsonObject, JsonValue } from '../../../shared/cni/types.ts';
import { deepMark, hostileText, hostileValue } from './hostile.ts';

/**
 * The bytes of a configuration that was valid before up to three things in it were changed: a value
 * replaced, wrapped, turned into text or taken away, a key added, or the text itself damaged.
 */
export const mutated = (valid: fc.Arbitrary<JsonObject>): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(valid, fc.array(mutation, { maxLength: 3 }), damage)
    .map(([config, mutations, spoil]) =>
      readable(spoil(toText(mutations.reduce((json, change) => change(json), config)))),
    );

/** Bytes that a report of fast-check shows as text. */
const readable = (bytes: Uint8Array): Uint8Array =>
  Object.assign(bytes, { [toStringMethod]: () => JSON.stringify(new TextDecoder().decode(bytes)) });

/** A value as bytes that a plugin reads, with the deep nesting that `deepMark` stands for. */
export const toText = (json: JsonValue): string =>
  JSON.stringify(json).replaceAll(JSON.stringify(deepMark), `${'['.repeat(5000)}${']'.repeat(5000)}`);

type Change = (json: JsonObject) => JsonObject;

const mutation: fc.Arbitrary<Change> = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(fc.nat(), hostileValue).map(([at, value]) => changed(at, () => value)) },
  { weight: 2, arbitrary: fc.nat().map((at) => changed(at, () => undefined)) },
  { weight: 1, arbitrary: fc.nat().map((at) => changed(at, (value) => [value])) },
  { weight: 1, arbitrary: fc.nat().map((at) => changed(at, (value) => JSON.stringify(value))) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(), hostileText, hostileValue)
      .map(([at, key, value]) => changed(at, (old) => withKey(old, key, value))),
  },
);

/** One change at the `at`-th of all values in a configuration, counted in the order of the text. */
const changed =
  (at: number, change: (value: JsonValue) => JsonValue | undefined): Change =>
  (json) => {
    const paths = pathsIn(json);
    const path = paths[at % Math.max(1, paths.length)];
    return path === undefined ? json : (changeAt(json, path, change) as JsonObject);
  };

type Path = (string | number)[];

const pathsIn = (value: JsonValue, path: Path = []): Path[] => {
  if (typeof value !== 'object' || value === null) return [];
  // Lists that a mutation made long would drown everything else.
  const entries = Array.isArray(value) ? [...value.slice(0, 10).entries()] : Object.entries(value);
  return entries.flatMap(([key, inner]) => [[...path, key], ...pathsIn(inner, [...path, key])]);
};

const changeAt = (
  value: JsonValue,
  [key, ...rest]: Path,
  change: (value: JsonValue) => JsonValue | undefined,
): JsonValue => {
  if (typeof value !== 'object' || value === null || key === undefined) return value;
  const old = (value as Record<string, JsonValue>)[key];
  if (old === undefined) return value;
  const replacement = rest.length === 0 ? change(old) : changeAt(old, rest, change);
  if (Array.isArray(value))
    return value.toSpliced(Number(key), 1, ...(replacement === undefined ? [] : [replacement]));
  const others = Object.entries(value).filter(([name]) => name !== key);
  return fromEntries(replacement === undefined ? others : [...others, [String(key), replacement]]);
};

const withKey = (value: JsonValue, key: string, inner: JsonValue): JsonValue =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? fromEntries([...Object.entries(value), [key, inner]])
    : { [key]: inner };

// Object.fromEntries defines properties, so that `__proto__` becomes one like any other.
const fromEntries = (entries: [string, JsonValue][]): JsonObject => Object.fromEntries(entries);

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What happens to the text: mostly nothing. */
const damage: fc.Arbitrary<(text: string) => Uint8Array> = fc.oneof(
  { weight: 20, arbitrary: fc.constant(encode) },
  {
    weight: 1,
    arbitrary: fc.nat().map((at) => (text: string) => encode(text.slice(0, at % (text.length + 1)))),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 6 })).map(
      ([at, bytes]) =>
        (text: string) =>
          spliced(encode(text), at, bytes),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('\ufeff', ' \n', '{}', '\0', '//', ',')
      .map((text) => (config: string) => encode(`${text}${config}${text}`)),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('name', 'type', 'ipam', 'cniVersion', 'bridge', '__proto__'), hostileValue)
      .map(
        ([key, value]) =>
          (text: string) =>
            encode(`${text.replace(/\}\s*$/, '')},${JSON.stringify(key)}:${toText(value)}}`),
      ),
  },
);

const spliced = (bytes: Uint8Array, at: number, inserted: Uint8Array): Uint8Array => {
  const position = at % (bytes.length + 1);
  return Uint8Array.from([...bytes.subarray(0, position), ...inserted, ...bytes.subarray(position)]);
};

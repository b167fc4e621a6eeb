import { CniError, ErrorCode } from './errors.ts';
import type { JsonObject, JsonValue } from './types.ts';

/**
 * Reads typed values out of a configuration object. Every complaint is a CniError 7 that names the
 * key's path and the value. `null` counts as absent and keys match without regard to case when the
 * exact one is missing: both as Go's decoder does, so that a conflist works here as it did there.
 */
export class Fields {
  readonly #object: JsonObject;
  readonly #path: string;
  #lowerCased: Map<string, string> | undefined;

  constructor(object: JsonObject, path = '') {
    this.#object = object;
    this.#path = path;
  }

  /** `ipam.ranges` and the like: where a key of this object stands in the configuration. */
  pathOf(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`;
  }

  raw(key: string): JsonValue | undefined {
    let value = this.#object[key];
    if (value === undefined) {
      this.#lowerCased ??= new Map(Object.keys(this.#object).map((name) => [name.toLowerCase(), name]));
      const actual = this.#lowerCased.get(key.toLowerCase());
      if (actual !== undefined) value = this.#object[actual];
    }
    return value === null ? undefined : value;
  }

  has(key: string): boolean {
    return this.raw(key) !== undefined;
  }

  string(key: string): string | undefined {
    const value = this.raw(key);
    if (value === undefined || typeof value === 'string') return value;
    throw this.invalid(key, 'must be a string');
  }

  boolean(key: string): boolean | undefined {
    const value = this.raw(key);
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.invalid(key, 'must be true or false');
  }

  /** A whole number from `min` to `max`, both included. */
  integer(key: string, min: number, max: number): number | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      throw this.invalid(key, `must be a whole number from ${min} to ${max}`);
    }
    return value;
  }

  array(key: string): JsonValue[] | undefined {
    const value = this.raw(key);
    if (value === undefined || Array.isArray(value)) return value;
    throw this.invalid(key, 'must be a list');
  }

  strings(key: string): string[] | undefined {
    const list = this.array(key);
    if (list?.some((item) => typeof item !== 'string')) throw this.invalid(key, 'must be a list of strings');
    return list as string[] | undefined;
  }

  object(key: string): JsonObject | undefined {
    const value = this.raw(key);
    if (value === undefined || isObject(value)) return value;
    throw this.invalid(key, 'must be an object');
  }

  /** The reader for a nested object; of an empty one when the key is absent. */
  fields(key: string): Fields {
    return new Fields(this.object(key) ?? {}, this.pathOf(key));
  }

  /** One reader for each object in a list; an empty list when the key is absent. */
  fieldsList(key: string): Fields[] {
    return (this.array(key) ?? []).map((item, index) => {
      if (!isObject(item)) throw this.invalid(key, `must be a list of objects; item ${index} is not one`);
      return new Fields(item, `${this.pathOf(key)}[${index}]`);
    });
  }

  /** The error for a key whose value is wrong. */
  invalid(key: string, problem: string, details?: string): CniError {
    return new CniError(
      ErrorCode.invalidNetworkConfig,
      `invalid configuration: "${this.pathOf(key)}" ${problem}, got ${show(this.raw(key))}`,
      { details: details ?? `Correct "${this.pathOf(key)}" in the network configuration.` },
    );
  }
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A value as it stands in an error message: JSON, cut to a readable length. */
export const show = (value: unknown): string => {
  const text = toJson(value);
  return text.length <= 120 ? text : `${text.slice(0, 117)}…`;
};

const toJson = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? 'nothing';
  } catch {
    // JSON.parse reads deeper nesting than JSON.stringify writes.
    return 'a value nested too deeply to be shown';
  }
};

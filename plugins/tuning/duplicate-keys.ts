/**
 * The keys that occur more than once in the object at `path` of a JSON text, such as `sysctl`: JSON.parse
 * silently takes the last. The text must be valid JSON.
 */
export const duplicateKeys = (json: string, ...path: string[]): string[] => {
  const seen = new Set<string>();
  const duplicates = new Set<string>();
  /** The key that each of the objects and lists around is at; of a list, none. */
  const keys: (string | undefined)[] = [];
  let last = '';
  for (const [token] of json.matchAll(TOKEN)) {
    if (token === '{' || token === '[') {
      keys.push(undefined);
    } else if (token === '}' || token === ']') {
      keys.pop();
    } else if (token === ':') {
      keys[keys.length - 1] = JSON.parse(last) as string;
      if (!isAt(keys, path)) continue;
      const key = keys.at(-1) ?? '';
      if (seen.has(key)) duplicates.add(key);
      seen.add(key);
    } else {
      last = token;
    }
  }
  return [...duplicates];
};

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:]/g;

const isAt = (keys: (string | undefined)[], path: string[]): boolean =>
  keys.length === path.length + 1 && path.every((key, depth) => keys[depth] === key);

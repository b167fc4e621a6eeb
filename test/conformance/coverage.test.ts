import { expect, test } from 'vitest';
import { allCases } from './cases/all.ts';
import { requirements } from './requirements.ts';
import { profiles } from './suite/profiles.ts';
import { subjects } from './suite/subjects.ts';

test('every requirement is covered by a case', () => {
  const covered = new Set<string>(allCases.flatMap(({ covers }) => covers));
  expect(requirements.map(({ id }) => id).filter((id) => !covered.has(id))).toEqual([]);
});

test('every case has an id of its own and applies to a plugin', () => {
  const ids = allCases.map(({ id }) => id);
  expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
  expect(allCases.filter(({ applies }) => !profiles.some(applies)).map(({ id }) => id)).toEqual([]);
});

test('the lists of known failures name cases and plugins that exist', () => {
  const entries = subjects().flatMap(({ known }) => known);
  const types = profiles.map(({ type }) => type);
  for (const entry of entries) {
    expect(allCases.map(({ id }) => id)).toContain(entry.case);
    for (const plugin of entry.plugins) expect(types).toContain(plugin);
  }
});

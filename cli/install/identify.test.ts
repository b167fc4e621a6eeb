import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMark, Identifier } from './identify.ts';

const mark = 'podwire-executable/1.2.3-rc.1/abc123-modified/';
const build = { version: '1.2.3-rc.1', buildId: 'abc123-modified' };

describe('findMark', () => {
  test.each<[string, string, typeof build | undefined]>([
    ['a whole one', `\0\0${mark}"`, build],
    [
      'behind what looks like one',
      `podwire-executable/';x podwire-executable/${'9'.repeat(300)} ${mark}`,
      build,
    ],
    ['one without an end', 'podwire-executable/1.2.3/abc', undefined],
    ['none', 'podwire', undefined],
  ])('%s', (_what, text, expected) => {
    expect(findMark(Buffer.from(text, 'latin1'))).toEqual(expected);
  });
});

describe('Identifier', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'podwire-identify-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  // The parts that are read overlap at 4 MiB less 256 bytes from the end on.
  test.each([0, 1, 100, (4 << 20) - 256, (4 << 20) - 128, 4 << 20, (4 << 20) + 17, 9 << 20])(
    'the mark with %i bytes behind it',
    (behind) => {
      const path = join(directory, `marked-${behind}`);
      writeFileSync(path, Buffer.concat([Buffer.from(`\0${mark}`), Buffer.alloc(behind)]));
      expect(new Identifier().identify(path)).toMatchObject({ kind: 'ours', build });
    },
  );

  test('what is not ours', () => {
    writeFileSync(join(directory, 'other'), 'other');
    writeFileSync(join(directory, 'empty'), '');
    symlinkSync('nowhere', join(directory, 'link'));
    const identify = (name: string) => new Identifier().identify(join(directory, name));
    expect(identify('other')).toEqual({ kind: 'foreign', what: 'file' });
    expect(identify('empty')).toEqual({ kind: 'foreign', what: 'file' });
    expect(identify('link')).toEqual({ kind: 'foreign', what: 'symbolic link to nowhere' });
    expect(identify('.')).toEqual({ kind: 'immovable', what: 'directory' });
    expect(identify('absent')).toEqual({ kind: 'absent' });
    expect(identify('other/absent')).toEqual({ kind: 'absent' });
  });
});

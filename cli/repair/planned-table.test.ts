import { expect, test } from 'vitest';
import { parseSave } from '../../shared/kernel/iptables.ts';
import { carryOut } from './planned-table.ts';

test('a table is changed as iptables-restore changes it', () => {
  const table = parseSave('*nat\n:POSTROUTING ACCEPT [0:0]\n:A - [0:0]\n-A A -j one\n-A A -j two\nCOMMIT\n');
  carryOut(
    [
      '-N B',
      '-A B -j three',
      '-I A -j zero',
      '-I A 1 -j first',
      '-I A 3 -j third',
      '-I C -j alone',
      '-D A -j one',
      '-D A -j none',
    ],
    table,
  );
  expect(table.chains).toEqual(['POSTROUTING', 'A', 'B']);
  expect(table.rules).toEqual([
    '-A A -j first',
    '-A A -j zero',
    '-A A -j third',
    '-A A -j two',
    '-A B -j three',
    '-A C -j alone',
  ]);
});

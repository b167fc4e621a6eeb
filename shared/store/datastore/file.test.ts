import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { datastoreContract } from './contract.ts';
import { createFileDatastore } from './file.ts';

const inDirectory = async (body: (directory: string) => Promise<void>): Promise<void> => {
  const directory = mkdtempSync(join(tmpdir(), 'podwire-datastore-'));
  try {
    await body(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
};

datastoreContract('file', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'podwire-datastore-'));
  return {
    store: createFileDatastore(directory),
    other: createFileDatastore(directory),
    dispose: () => rmSync(directory, { recursive: true }),
  };
});

test('what a killed writer left is no record, and goes in time', () =>
  inDirectory(async (directory) => {
    const store = createFileDatastore(directory);
    const record = await store.create('pools/a', { cidr: '10.0.0.0/16' });
    const left = `${directory}/pools/.0b7f8a4c-left`;
    writeFileSync(left, '{"version');
    expect(await store.list('pools/')).toEqual([record]);
    expect(readdirSync(`${directory}/pools`).sort()).toEqual(['.0b7f8a4c-left', 'a.json']);
    utimesSync(left, 1000, 1000);
    expect(await store.list('pools/')).toEqual([record]);
    expect(readdirSync(`${directory}/pools`)).toEqual(['a.json']);
  }));

test('a damaged record is told of, and nothing is made of it', () =>
  inDirectory(async (directory) => {
    const store = createFileDatastore(directory);
    const record = await store.create('pools/a', { cidr: '10.0.0.0/16' });
    writeFileSync(`${directory}/pools/a.json`, '{"version": "x", "value"');
    await expect(store.get('pools/a')).rejects.toMatchObject({ problem: 'unavailable', message: /damaged/ });
    await expect(store.replace(record, {})).rejects.toMatchObject({ problem: 'unavailable' });
    await expect(store.create('pools/a', {})).rejects.toMatchObject({ problem: 'exists' });
  }));

test('a record whose lock stays taken is unavailable after the deadline', () =>
  inDirectory(async (directory) => {
    const store = createFileDatastore(directory);
    const record = await store.create('pools/a', { cidr: '10.0.0.0/16' });
    const holder = Bun.spawn(['flock', `${directory}/pools/a.json`, 'sh', '-c', 'echo held; read line'], {
      stdin: 'pipe',
      stdout: 'pipe',
    });
    await holder.stdout.getReader().read();
    await expect(store.replace(record, {}, { deadlineMs: 30 })).rejects.toMatchObject({
      problem: 'unavailable',
    });
    holder.stdin.write('go on\n');
    holder.stdin.end();
    await holder.exited;
    await store.remove(record);
  }));

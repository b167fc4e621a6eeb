import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const bun = resolve('node_modules/.bin/bun');
const main = resolve('plugins/main.ts');

/** A mount namespace with a small tmpfs, in which the plugin runs from source. */
let holder: Bun.Subprocess<'ignore', 'pipe', 'ignore'>;
let mountPoint: string;

const openFileSystem = async (options: string) => {
  mountPoint = mkdtempSync(join(tmpdir(), 'podwire-faults-'));
  const script = 'mount -t tmpfs -o "$1" tmpfs "$0" && echo ready && exec sleep 600';
  holder = Bun.spawn(
    ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, mountPoint, options],
    {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'ignore',
    },
  );
  const { value } = await holder.stdout.getReader().read();
  expect(Buffer.from(value ?? []).toString()).toBe('ready\n');
};

const inside = (words: string[]): string[] => ['nsenter', `--mount=/proc/${holder.pid}/ns/mnt`, ...words];
const sh = (script: string): string =>
  Bun.spawnSync(inside(['sh', '-c', script, mountPoint]), { stderr: 'ignore' }).stdout.toString();
const reservations = (): string[] =>
  sh('cd "$0/data/net" 2>/dev/null && ls | grep "^10" || true').split('\n').slice(0, -1);

interface Answer {
  code?: number;
  msg?: string;
  details?: string;
  ips?: { address: string }[];
}

const spawn = (command: string, id: string, wrapper: string[]) => {
  const config = {
    cniVersion: '1.1.0',
    name: 'net',
    type: 'bridge',
    ipam: {
      type: 'host-local',
      dataDir: `${mountPoint}/data`,
      ranges: [[{ subnet: '10.1.0.0/16' }], [{ subnet: '10.2.0.0/16' }]],
    },
    ...(command === 'CHECK'
      ? { prevResult: { cniVersion: '1.1.0', ips: [{ address: '10.1.0.2/16' }, { address: '10.2.0.2/16' }] } }
      : {}),
  };
  const start = 'exec -a host-local "$0" "$1"';
  return Bun.spawn(inside([...wrapper, 'bash', '-c', start, bun, main]), {
    stdin: Buffer.from(JSON.stringify(config)),
    stdout: 'pipe',
    stderr: 'pipe',
    env: {
      ...process.env,
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_IFNAME: 'eth0',
      CNI_NETNS: '/run/netns/none-of-that-name',
      CNI_PATH: '/none',
    },
  });
};

const call = async (command: string, id: string, wrapper: string[] = []): Promise<Answer> => {
  const text = await new Response(spawn(command, id, wrapper).stdout).text();
  return text === '' ? {} : JSON.parse(text);
};

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('skipped: mounting a small file system needs root');

describe.skipIf(!isRoot)('host-local on a file system that fails', () => {
  beforeEach(() => {
    mountPoint = '';
  });
  afterEach(async () => {
    holder.kill(9);
    await holder.exited;
    rmdirSync(mountPoint);
  });

  test.each([
    ['space', 'size=64k'],
    ['inodes', 'nr_inodes=30,size=1m'],
  ])('running out of %s: every ADD gives both addresses or none, DEL still frees', async (_, options) => {
    await openFileSystem(options);
    const held: string[] = [];
    let failure: Answer = {};
    for (let n = 0; n < 20 && failure.code === undefined; n++) {
      const answer = await call('ADD', `c${n}`);
      if (answer.code === undefined) held.push(`c${n}`);
      else failure = answer;
    }
    expect(failure).toMatchObject({ code: 5, details: expect.stringContaining('disk is full') });
    expect(held.length).toBeGreaterThan(1);
    expect(reservations()).toHaveLength(held.length * 2);
    expect(sh('cd "$0/data/net" && find . -name "10*" -size 0')).toBe('');
    sh('cat /dev/zero > "$0/filler"; for n in $(seq 30); do : > "$0/filler$n"; done');
    expect(await call('STATUS', '')).toMatchObject({
      code: 50,
      details: expect.stringContaining('disk is full'),
    });
    for (const id of held) expect(await call('DEL', id)).toEqual({});
    expect(reservations()).toEqual([]);
    sh('rm "$0"/filler*');
    expect((await call('ADD', 'again')).ips).toHaveLength(2);
  });

  test('full from the beginning', async () => {
    await openFileSystem('size=64k');
    sh('head -c 100000 /dev/zero > "$0/filler"');
    expect(await call('ADD', 'c1')).toMatchObject({
      code: 5,
      details: expect.stringContaining('disk is full'),
    });
    expect(reservations()).toEqual([]);
    expect(await call('DEL', 'c1')).toEqual({});
    sh('rm "$0/filler"');
    expect((await call('ADD', 'c1')).ips).toEqual([
      { address: '10.1.0.2/16', gateway: '10.1.0.1' },
      { address: '10.2.0.2/16', gateway: '10.2.0.1' },
    ]);
  });

  test('read-only: ADD, DEL and STATUS say so, CHECK works', async () => {
    await openFileSystem('size=256k');
    expect((await call('ADD', 'c1')).ips).toHaveLength(2);
    sh('mount -o remount,ro "$0"');
    expect(await call('CHECK', 'c1')).toEqual({});
    for (const [verb, code] of [
      ['ADD', 5],
      ['STATUS', 50],
    ] as const) {
      expect(await call(verb, 'c2')).toMatchObject({ code, details: expect.stringContaining('read-only') });
    }
    expect(await call('DEL', 'c1')).toMatchObject({ code: 5, details: expect.stringContaining('read-only') });
    sh('mount -o remount,rw "$0"');
    expect(await call('DEL', 'c1')).toEqual({});
    expect(reservations()).toEqual([]);
  });

  test('a file-size limit stops an ADD and leaves nothing', async () => {
    await openFileSystem('size=256k');
    const limited = ['sh', '-c', 'trap "" XFSZ; ulimit -f 0; exec "$0" "$@"'];
    expect(await call('ADD', 'c1', limited)).toMatchObject({
      code: 5,
      details: expect.stringContaining('file-size limit'),
    });
    expect(reservations()).toEqual([]);
    expect((await call('ADD', 'c1')).ips).toHaveLength(2);
  });

  test('forty processes at once get addresses of their own', async () => {
    await openFileSystem('size=8m');
    const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => call('ADD', `c${n}`)));
    const addresses = answers.flatMap(({ ips = [] }) => ips.map(({ address }) => address));
    expect(new Set(addresses).size).toBe(80);
    expect(reservations()).toHaveLength(80);
    await Promise.all(Array.from({ length: 40 }, (_, n) => call('DEL', `c${n}`)));
    expect(reservations()).toEqual([]);
  });
});

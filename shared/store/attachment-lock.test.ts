import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runProgram, startTool } from '../kernel/command.ts';
import { withAttachment, withIdleAttachments, withOtherAttachments } from './attachment-lock.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'podwire-attachment-lock-'));
  file = join(directory, 'locks', 'attachments');
});
afterEach(() => rmSync(directory, { recursive: true }));

const owner = (containerId: string, network = 'pods') => ({ network, containerId, ifname: 'eth0' });
const valid = (...ids: string[]) => ids.map((containerID) => ({ containerID, ifname: 'eth0' }));

/** Whether another call gets the lock at once. */
const isFree = async (take: (options: object) => Promise<unknown>): Promise<boolean> => {
  try {
    await take({ file, deadlineMs: 0 });
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 11 });
    return false;
  }
};
const isFreeFor = (name: ReturnType<typeof owner>) =>
  isFree((options) => withAttachment(name, () => {}, options));
const isFreeForGc = (...ids: string[]) =>
  isFree((options) => withOtherAttachments('pods', valid(...ids), () => {}, options));

describe('withAttachment', () => {
  test('one call at a time for an attachment, and any number for others', async () => {
    const free = await withAttachment(
      owner('a'),
      async () => [
        await isFreeFor(owner('a')),
        await isFreeFor(owner('b')),
        await isFreeFor(owner('a', 'elsewhere')),
        await isFreeFor({ ...owner('a'), ifname: 'eth1' }),
      ],
      { file },
    );
    expect(free).toEqual([false, true, true, true]);
    expect(await isFreeFor(owner('a'))).toBe(true);
  });

  test('of 50 at once only one is inside, and all get their turn', async () => {
    let inside = 0;
    const counts = await Promise.all(
      Array.from({ length: 50 }, () =>
        withAttachment(
          owner('a'),
          async () => {
            inside += 1;
            await Bun.sleep(0);
            return inside--;
          },
          { file },
        ),
      ),
    );
    expect(counts).toEqual(Array.from({ length: 50 }, () => 1));
  });

  test('an error in the body passes, and frees it; a checkpoint that throws ends the waiting', async () => {
    const failing = withAttachment(
      owner('a'),
      () => {
        throw new Error('inside');
      },
      { file },
    );
    await expect(failing).rejects.toThrow('inside');
    const interrupted = withAttachment(
      owner('a'),
      () =>
        withAttachment(owner('a'), () => {}, {
          file,
          checkpoint: () => Promise.reject(new Error('interrupted')),
        }),
      { file },
    );
    await expect(interrupted).rejects.toThrow('interrupted');
    expect(await isFreeFor(owner('a'))).toBe(true);
  });

  test('of a call that ended, the tools that still run do not hold it', async () => {
    const tool = await withAttachment(owner('a'), () => startTool('sleep', ['30']), { file });
    expect(await isFreeFor(owner('a'))).toBe(true);
    tool.kill();
    tool.release();
  });

  test('of a call that was killed, its tool holds it to its end, and the error names that', async () => {
    const fixture = join(import.meta.dirname, 'attachment-lock.fixture.ts');
    const { signal } = spawnSync(process.execPath, [fixture, file, 'sleep', '2'], { stdio: 'ignore' });
    expect(signal).toBe('SIGKILL');
    expect(await isFreeFor(owner('b'))).toBe(true);
    expect(await isFreeForGc('killed')).toBe(true);
    expect(await isFreeForGc('other')).toBe(false);
    const early = withAttachment(owner('killed'), () => {}, { file, deadlineMs: 50 });
    await expect(early).rejects.toMatchObject({ code: 11, details: expect.stringMatching(/\d+ \(sleep\)/) });
    expect(await withAttachment(owner('killed'), () => 'afterwards', { file })).toBe('afterwards');
  });

  test('the tools get it, and other plugins do not', async () => {
    const script = 'readlink /proc/self/fd/4 || true';
    const [tool, plugin] = await withAttachment(
      owner('a'),
      () => {
        const child = startTool('sh', ['-c', script]);
        child.feed({});
        return [child.wait().stdout, runProgram('/bin/sh', { args: ['-c', script], env: {} }).stdout];
      },
      { file },
    );
    expect({ tool, plugin }).toEqual({ tool: `${file}\n`, plugin: '' });
  });

  test('leaves one empty file, however many attachments there were', async () => {
    for (const containerId of ['a', 'b', 'c']) await withAttachment(owner(containerId), () => {}, { file });
    expect(readFileSync(file, 'utf8')).toBe('');
  });

  test('where its file cannot be made, the call goes on without', async () => {
    mkdirSync(join(directory, 'locks'));
    writeFileSync(join(directory, 'locks', 'taken'), '');
    const impossible = join(directory, 'locks', 'taken', 'attachments');
    expect(await withAttachment(owner('a'), () => 'done', { file: impossible })).toBe('done');
  });
});

describe('withOtherAttachments', () => {
  test('has all of the network but the valid ones', async () => {
    const free = await withOtherAttachments(
      'pods',
      valid('a', 'b', 'b'),
      async () => [
        await isFreeFor(owner('a')),
        await isFreeFor(owner('b')),
        await isFreeFor(owner('stale')),
        await isFreeFor(owner('stale', 'elsewhere')),
      ],
      { file },
    );
    expect(free).toEqual([true, true, false, true]);
    expect(await isFreeFor(owner('stale'))).toBe(true);
  });

  test('waits for a call of another attachment, and not for those of the valid ones', async () => {
    const free = await withAttachment(
      owner('a'),
      async () => [await isFreeForGc('a'), await isFreeForGc('b'), await isFreeForGc()],
      { file },
    );
    expect(free).toEqual([true, false, false]);
  });

  test('several at once with different lists do not wait for each other without end', async () => {
    const lists = Array.from({ length: 20 }, (_, index) =>
      Array.from({ length: index }, (_, n) => `pod${n}`),
    );
    const done = await Promise.all(
      lists.map((ids) =>
        withOtherAttachments('pods', valid(...ids), () => Bun.sleep(1).then(() => 1), { file }),
      ),
    );
    expect(done).toHaveLength(20);
  });
});

describe('withIdleAttachments', () => {
  test('has those on which no call is at work, and nobody else has them meanwhile', async () => {
    const owners = [owner('a'), owner('b'), owner('c')];
    await withAttachment(
      owner('b'),
      async () => {
        const seen = await withIdleAttachments(
          owners,
          async (idle) => ({ idle, free: [await isFreeFor(owner('a')), await isFreeFor(owner('d'))] }),
          { file },
        );
        expect(seen).toEqual({ idle: [owner('a'), owner('c')], free: [false, true] });
      },
      { file },
    );
    for (const name of owners) expect(await isFreeFor(name)).toBe(true);
  });

  test('has all where the file can not be made', async () => {
    writeFileSync(join(directory, 'locks'), '');
    expect(await withIdleAttachments([owner('a')], (idle) => idle, { file })).toEqual([owner('a')]);
  });
});

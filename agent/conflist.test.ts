import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildConflist, isAgentsConflist, parseTemplate } from './conflist.ts';
import { conflistPath, removeConflist, writeConflist } from './conflist-file.ts';

const node = {
  vni: 7,
  port: 4789,
  mode: 'cross-subnet',
  mtu: undefined,
  podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64', '10.250.1.0/24'],
};

describe('the text', () => {
  test('has a set of ranges for each family', () => {
    expect(JSON.parse(buildConflist(node, undefined))).toEqual({
      cniVersion: '1.0.0',
      cniVersions: ['1.0.0', '1.1.0'],
      name: 'podwire',
      plugins: [
        {
          type: 'vxlan',
          vni: 7,
          port: 4789,
          mode: 'cross-subnet',
          peers: 'agent',
          attach: 'veth',
          capabilities: { portMappings: true, bandwidth: true },
          portmap: {},
          firewall: {},
          ipam: {
            type: 'host-local',
            ranges: [
              [{ subnet: '10.244.1.0/24' }, { subnet: '10.250.1.0/24' }],
              [{ subnet: 'fd00:244:1::/64' }],
            ],
            routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
          },
        },
      ],
    });
  });

  test('has an MTU only where one is configured, and one family where the node has one', () => {
    const text = buildConflist({ ...node, mtu: 1400, podCIDRs: ['fd00:244:1::/64'] }, undefined);
    expect(JSON.parse(text).plugins[0]).toMatchObject({
      mtu: 1400,
      ipam: { ranges: [[{ subnet: 'fd00:244:1::/64' }]], routes: [{ dst: '::/0' }] },
    });
  });

  test("a template's first vxlan plugin gets what is the node's, all else stays", () => {
    const template = {
      cniVersion: '1.0.0',
      name: 'pods',
      disableCheck: true,
      plugins: [
        { type: 'tuning' },
        {
          type: 'vxlan',
          vni: 1,
          attach: 'bridge',
          ipam: { type: 'host-local', dataDir: '/d', routes: [{ dst: '10.0.0.0/8' }] },
        },
        { type: 'vxlan', vni: 9, peers: '/peers.json' },
      ],
    };
    expect(JSON.parse(buildConflist(node, parseTemplate(JSON.stringify(template), 't')))).toEqual({
      ...template,
      plugins: [
        template.plugins[0],
        {
          type: 'vxlan',
          vni: 7,
          port: 4789,
          mode: 'cross-subnet',
          peers: 'agent',
          attach: 'bridge',
          ipam: {
            type: 'host-local',
            dataDir: '/d',
            ranges: [
              [{ subnet: '10.244.1.0/24' }, { subnet: '10.250.1.0/24' }],
              [{ subnet: 'fd00:244:1::/64' }],
            ],
            routes: [{ dst: '10.0.0.0/8' }],
          },
        },
        template.plugins[2],
      ],
    });
  });

  test("another IPAM's keys stay as they are", () => {
    const ipam = { type: 'cluster-ipam', pool: 'x' };
    const template = { name: 'pods', plugins: [{ type: 'vxlan', ipam }] };
    expect(JSON.parse(buildConflist(node, template)).plugins[0].ipam).toEqual(ipam);
  });

  test.for<[string, number, RegExp]>([
    ['{', 6, /^--conflist-template t is not valid JSON/],
    ['[]', 7, /has no plugin of the type "vxlan", got \[\]/],
    ['{"plugins": [{"type": "bridge"}]}', 7, /has no plugin of the type "vxlan"/],
  ])('template %s is refused', ([text, code, message]) => {
    expect(() => parseTemplate(text, 't')).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });

  test('is known again', () => {
    expect(isAgentsConflist(buildConflist(node, undefined))).toBe(true);
    expect(isAgentsConflist('{"plugins": [{"type": "vxlan", "peers": "/p"}]}')).toBe(false);
    expect(isAgentsConflist('{"plugins": [{"type": "bridge"}]}')).toBe(false);
    expect(isAgentsConflist('{')).toBe(false);
  });
});

describe('the file', () => {
  let directory: string;
  let path: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'conflist-'));
    path = conflistPath(`${directory}/net.d`);
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const files = (): string[] => readdirSync(`${directory}/net.d`).toSorted();

  test('is written with its directory, and again only when it differs', () => {
    const text = buildConflist(node, undefined);
    expect(writeConflist(path, text)).toEqual({ written: true });
    expect(statSync(path).mode & 0o777).toBe(0o644);
    const { ino } = statSync(path);
    expect(writeConflist(path, text)).toEqual({ written: false });
    expect(statSync(path).ino).toBe(ino);
    const other = buildConflist({ ...node, vni: 8 }, undefined);
    expect(writeConflist(path, other)).toEqual({ written: true });
    expect(readFileSync(path, 'utf8')).toBe(other);
    expect(files()).toEqual(['10-podwire.conflist']);
  });

  test("somebody else's is kept under another name, each time another", () => {
    writeConflist(path, buildConflist(node, undefined));
    for (const [index, saved] of [`${path}.saved`, `${path}.saved.2`].entries()) {
      const foreign = `{"name": "foreign${index}"}`;
      writeFileSync(path, foreign);
      expect(removeConflist(path)).toBe(false);
      expect(writeConflist(path, buildConflist(node, undefined))).toEqual({ written: true, saved });
      expect(readFileSync(saved, 'utf8')).toBe(foreign);
    }
  });

  test('is removed when an agent wrote it; what is not there is no error', () => {
    expect(removeConflist(path)).toBe(false);
    writeConflist(path, buildConflist(node, undefined));
    expect(removeConflist(path)).toBe(true);
    expect(removeConflist(path)).toBe(false);
    expect(files()).toEqual([]);
  });

  test('a directory that cannot be written is an I/O error that names the file', () => {
    writeFileSync(`${directory}/net.d`, '');
    chmodSync(`${directory}/net.d`, 0o644);
    expect(() => writeConflist(path, 'x')).toThrow(
      expect.objectContaining({ code: 5, message: expect.stringContaining(path) }),
    );
  });
});

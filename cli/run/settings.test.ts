import { expect, test } from 'vitest';
import { assertAttachment, containerIdOf, netnsPath } from './attachment.ts';
import { argsFrom, capabilityJsonFrom, parseArgs, parseDuration, parseKept, places } from './settings.ts';
import { compareVersions } from './spec-version.ts';

test('a flag wins over the environment, that over the default', () => {
  const env = { NETCONFPATH: '/env/net.d', CNI_PATH: '/env/bin::/env/more' };
  expect(places({}, {}, undefined)).toEqual({
    confDir: '/etc/cni/net.d',
    binDirs: ['/opt/cni/bin'],
    cacheDir: '/var/lib/cni',
  });
  expect(places({}, {}, '/here').binDirs).toEqual(['/here', '/opt/cni/bin']);
  expect(places({}, { NETCONFPATH: '', CNI_PATH: '' }, '/here').confDir).toBe('/etc/cni/net.d');
  expect(places({}, env, '/here')).toMatchObject({
    confDir: '/env/net.d',
    binDirs: ['/env/bin', '/env/more'],
  });
  expect(places({ confDir: '/f', binDir: ['/b'], cacheDir: '/c' }, env, '/here')).toEqual({
    confDir: '/f',
    binDirs: ['/b'],
    cacheDir: '/c',
  });
});

test('a netns by name, path and process', () => {
  expect(netnsPath('web')).toBe('/run/netns/web');
  expect(netnsPath('/run/netns/../netns/web')).toBe('/run/netns/web');
  expect(netnsPath('./web')).toBe(`${process.cwd()}/web`);
  expect(netnsPath('pid:42')).toBe('/proc/42/ns/net');
});

test("the container id is cnitool's", () => {
  // printf /var/run/netns/testing | sha512sum, as cnitool's documentation derives it.
  expect(containerIdOf('/var/run/netns/testing')).toBe('cnitool-77383ca0a0715733ca6f');
});

test.each([
  ['id', '-x', 'eth0'],
  ['id', 'a/b', 'eth0'],
  ['id', '', 'eth0'],
  ['name', 'a', ''],
  ['name', 'a', '..'],
  ['name', 'a', 'eth:0'],
  ['name', 'a', 'eth 0'],
  ['name', 'a', 'sixteen-letters-'],
])('an invalid %s is refused: %j %j', (_what, containerId, ifname) => {
  const attachment = { containerId, ifname, netns: '/n', args: [], capabilityArgs: {} };
  expect(() => assertAttachment(attachment)).toThrow(expect.objectContaining({ code: 4 }));
});

test('CNI_ARGS', () => {
  expect(parseArgs('IgnoreUnknown=1;A=b')).toEqual([
    ['IgnoreUnknown', '1'],
    ['A', 'b'],
  ]);
  for (const text of ['A', 'A=', '=b', 'A=b=c', 'A=b;', ';'])
    expect(() => parseArgs(text)).toThrow('KEY=VALUE');
  expect(argsFrom({})).toBeUndefined();
  expect(() => argsFrom({ CNI_ARGS: 'A' })).toThrow('the environment variable CNI_ARGS is invalid');
  expect(capabilityJsonFrom({ CAP_ARGS: '{"mac":"m"}' })).toEqual({ mac: 'm' });
});

test('times', () => {
  expect(['30', '30s', '1.5s', '500ms', '2m'].map(parseDuration)).toEqual([
    30_000, 30_000, 1500, 500, 120_000,
  ]);
  for (const text of ['', '0', '-1', '1h', 'x', '99999999m'])
    expect(() => parseDuration(text)).toThrow('a time');
});

test('attachments to keep', () => {
  expect(parseKept('a.b-c:eth0')).toEqual({ containerID: 'a.b-c', ifname: 'eth0' });
  for (const text of ['a', ':eth0', 'a:']) expect(() => parseKept(text)).toThrow('CONTAINERID:IFNAME');
});

test('versions are compared by number', () => {
  expect(compareVersions('0.10.0', '0.9.9')).toBeGreaterThan(0);
  expect(compareVersions('', '0.1.0')).toBe(0);
  expect(compareVersions('1', '1.0.0')).toBe(0);
  expect(() => compareVersions('1.x', '1')).toThrow('invalid CNI version "1.x"');
});

import { expect, test } from 'vitest';
import { cacheFileName, decodeCacheEntry, decodeLegacyResult, encodeCacheEntry } from './cache-entry.ts';

const attachment = {
  containerId: 'c',
  netns: '/run/netns/a',
  ifname: 'eth0',
  args: [['K', 'V']] as [string, string][],
  capabilityArgs: { mac: 'm' },
};
const bare = { containerId: 'c', netns: '', ifname: 'eth0', args: [], capabilityArgs: {} };

test('is what libcni writes', () => {
  const text = encodeCacheEntry({
    attachment,
    networkName: 'n',
    config: '{"a":"ü"}',
    result: { cniVersion: '1.0.0' },
  });
  expect(text).toBe(
    '{"kind":"cniCacheV1","containerId":"c","config":"eyJhIjoiw7wifQ==","ifName":"eth0","networkName":"n","netns":"/run/netns/a",' +
      '"cniArgs":[["K","V"]],"capabilityArgs":{"mac":"m"},"result":{"cniVersion":"1.0.0"}}',
  );
});

test('leaves out what is empty, as Go does', () => {
  expect(encodeCacheEntry({ attachment: bare, networkName: 'n', config: '{}', result: undefined })).toBe(
    '{"kind":"cniCacheV1","containerId":"c","config":"e30=","ifName":"eth0","networkName":"n"}',
  );
});

test.each([{ attachment }, { attachment: bare }])(
  'reads back what it wrote: $attachment',
  ({ attachment }) => {
    const entry = {
      attachment,
      networkName: 'n',
      config: '{"a":"ü"}',
      result: { cniVersion: '1.0.0', ips: [] },
    };
    expect(decodeCacheEntry(encodeCacheEntry(entry))).toEqual(entry);
  },
);

test('what libcni would not understand is no entry', () => {
  for (const text of ['', '[]', '{}', '{"kind":"other"}', '{"kind":"cniCacheV1","containerId":"c"}']) {
    expect(decodeCacheEntry(text)).toBeUndefined();
  }
});

test('a file from before cniCacheV1 is the result itself', () => {
  expect(decodeLegacyResult('{"cniVersion":"0.4.0"}')).toEqual({ cniVersion: '0.4.0' });
  expect(decodeLegacyResult('{"kind":"cniCacheV1"}')).toBeUndefined();
  expect(decodeLegacyResult('garbage')).toBeUndefined();
});

test('file name', () => {
  expect(cacheFileName('n', bare)).toBe('n-c-eth0');
});

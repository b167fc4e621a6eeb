import { describe, expect, test } from 'vitest';
import type { BridgeConfig } from './config.ts';
import { type Names, vlanBatch } from './host-batch.ts';

const names: Names = {
  bridgeMac: '02:00:00:00:00:01',
  hostInterface: 'vethport',
  hostMac: '02:00:00:00:00:02',
  vlanPort: 'vethgw',
  ifname: 'eth0',
  podMac: '02:00:00:00:00:03',
  netnsReference: '/proc/1/fd/3',
  alias: 'podwire:network/container/eth0',
};
const linesFor = (keys: Partial<BridgeConfig>, newVlanDevice = false): string[] => {
  const config = { vlan: 0, trunk: [], preserveDefaultVlan: false, ...keys } as Partial<BridgeConfig>;
  return vlanBatch(config as BridgeConfig, names, newVlanDevice)
    .toString()
    .trim()
    .split('\n');
};

// What the kernel makes of them is in test/plugins/vlan.test.ts, for kernels that have the filter.
describe('vlanBatch', () => {
  test('put the port into its VLAN and out of the one it was born in', () => {
    expect(linesFor({ vlan: 100 })).toEqual([
      'vlan del dev vethport vid 1-4094',
      'vlan add dev vethport vid 100 pvid untagged',
    ]);
    expect(linesFor({ vlan: 100, preserveDefaultVlan: true })).toEqual([
      'vlan add dev vethport vid 100 pvid untagged',
    ]);
  });

  test('put a trunk into VLAN 1 as well, unless it has a VLAN', () => {
    const trunk = [
      { first: 101, last: 101 },
      { first: 200, last: 210 },
    ];
    expect(linesFor({ trunk })).toEqual([
      'vlan del dev vethport vid 1-4094',
      'vlan add dev vethport vid 101',
      'vlan add dev vethport vid 200-210',
      'vlan add dev vethport vid 1 pvid untagged',
    ]);
    expect(linesFor({ trunk, vlan: 201 }).at(-1)).toBe('vlan add dev vethport vid 201 pvid untagged');
  });

  test('put the port of a new gateway device into the VLAN only', () => {
    expect(linesFor({ vlan: 100, trunk: [{ first: 5, last: 6 }] }, true)).toEqual([
      'vlan del dev vethgw vid 1-4094',
      'vlan add dev vethgw vid 100 pvid untagged',
      'vlan del dev vethport vid 1-4094',
      'vlan add dev vethport vid 5-6',
      'vlan add dev vethport vid 100 pvid untagged',
    ]);
  });
});

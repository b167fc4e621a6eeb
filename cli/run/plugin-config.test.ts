import { expect, test } from 'vitest';
import { parseNetworkList } from './network.ts';
import { declaredCapabilities, pluginConfig, undeclared } from './plugin-config.ts';

const networkOf = (plugin: object) =>
  parseNetworkList(
    JSON.stringify({ name: 'n', cniVersion: '1.1.0', plugins: [{ type: 'bridge', ...plugin }] }),
    'f',
  );

const configOf = (plugin: object, injected: Parameters<typeof pluginConfig>[2]) => {
  const network = networkOf(plugin);
  return pluginConfig(network, network.plugins[0] as (typeof network.plugins)[0], injected);
};

test('name and version are those of the network, capabilities go, all else stays', () => {
  const plugin = { name: 'mine', cniVersion: '0.1.0', capabilities: { mac: true }, ipam: {}, mtu: 9000 };
  expect(configOf(plugin, {})).toEqual({
    type: 'bridge',
    name: 'n',
    cniVersion: '1.1.0',
    ipam: {},
    mtu: 9000,
  });
});

test('runtimeConfig is what is declared and offered', () => {
  const capabilities = { mac: true, portMappings: true, ips: false, dns: true };
  const capabilityArgs = { mac: 'm', ips: ['10.0.0.1'], dns: { servers: [] }, bandwidth: {} };
  expect(configOf({ capabilities }, { capabilityArgs }).runtimeConfig).toEqual({
    mac: 'm',
    dns: { servers: [] },
  });
});

test('without anything to offer, a runtimeConfig in the file stays', () => {
  const plugin = { capabilities: { mac: true }, runtimeConfig: { mac: 'm' } };
  expect(configOf(plugin, { capabilityArgs: {} }).runtimeConfig).toEqual({ mac: 'm' });
});

test('prevResult is left out when there is none', () => {
  expect(configOf({}, { prevResult: undefined })).not.toHaveProperty('prevResult');
  expect(configOf({}, { prevResult: { cniVersion: '1.1.0' } }).prevResult).toEqual({ cniVersion: '1.1.0' });
});

test('valid attachments go in under both names, an empty list too', () => {
  expect(configOf({}, { validAttachments: [] })).toMatchObject({
    'cni.dev/valid-attachments': [],
    'cni.dev/attachments': [],
  });
  const valid = [{ containerID: 'a', ifname: 'eth0' }];
  expect(configOf({}, { validAttachments: valid })['cni.dev/valid-attachments']).toEqual(valid);
  expect(configOf({}, {})).not.toHaveProperty(['cni.dev/valid-attachments']);
});

test('a capability that is neither true nor false is refused', () => {
  const plugin = { type: 'bridge', json: { type: 'bridge', capabilities: { mac: 'yes' } } };
  expect(() => declaredCapabilities(plugin)).toThrow('"capabilities.mac" must be true or false, got "yes"');
});

test('what no plugin declares is told', () => {
  expect(undeclared(networkOf({ capabilities: { mac: true } }), { mac: 'm', ips: [] })).toEqual(['ips']);
});

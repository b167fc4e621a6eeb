import { existsSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { expectSuccess } from '../../support/process.ts';
import { ping } from '../../support/traffic.ts';
import { createLab, type Lab } from './lab.ts';
import { outside } from './plan.ts';

// The nodes' own network, before any overlay: what the other tests stand on.
let lab: Lab | undefined;
afterEach(() => lab?.dispose());

test('nodes of a dual-stack segment reach each other and the outside, and are seen under their own addresses', async () => {
  lab = await createLab();
  const { nodes, prober } = lab;
  await prober.serve([...nodes.map(({ host }) => host.netnsPath), lab.outside.netnsPath]);
  const questions = nodes.flatMap(({ host, entry }) =>
    [...nodes.flatMap((node) => node.entry.addresses), outside.ipv4, outside.ipv6].flatMap((to) =>
      (['tcp', 'udp'] as const).map((protocol) => ({
        from: host.netnsPath,
        to,
        protocol,
        own: entry.addresses.find((address) => address.includes(':') === to.includes(':')),
      })),
    ),
  );
  const answers = await prober.ask(questions);
  for (const [index, { to, own, protocol }] of questions.entries()) {
    const self = nodes.some(
      ({ entry }) => entry.addresses.includes(to) && entry.addresses.includes(own ?? ''),
    );
    expect.soft({ to, protocol, ...answers[index] }).toEqual({ to, protocol, seen: self ? to : own });
  }
  expect(questions).toHaveLength(3 * 8 * 2);
});

test('two segments are joined by a router', async () => {
  lab = await createLab({ segments: [0, 0, 1], underlay: 'ipv4', mtu: 1400 });
  expect(await ping(lab.node(1).host, '203.0.113.3')).toBe(true);
  const route = await lab.node(1).host.exec(['ip', 'route', 'get', '203.0.113.3']);
  expect(route).toContain('via 198.51.100.254 dev eth0');
  expect(await lab.node(1).host.exec(['ip', 'link', 'show', 'eth0'])).toContain('mtu 1400');
  expect(await ping(lab.node(3).host, outside.ipv4)).toBe(true);
});

test('nodes share neither /run, /var/lib nor /etc/cni, and nothing is left of them', async () => {
  lab = await createLab({ segments: [0, 0], underlay: 'ipv6' });
  const [a, b] = [lab.node(1).host, lab.node(2).host];
  for (const directory of ['/run/podwire', '/var/lib/podwire', '/etc/cni/net.d']) {
    await a.shell(`mkdir -p ${directory}; echo a >${directory}/only-here`);
    expectSuccess(await b.attempt(['test', '!', '-e', `${directory}/only-here`]));
    expect(existsSync(`${directory}/only-here`)).toBe(false);
  }
  expect(await ping(a, '2001:db8:0:a::2')).toBe(true);
  const { directory } = lab;
  await lab.dispose();
  expect(existsSync(directory)).toBe(false);
  expect(existsSync(`/proc/${a.pid}`)).toBe(false);
});

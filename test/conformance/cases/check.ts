import { expect } from 'vitest';
import {
  type Case,
  delegatingPlugins,
  every,
  from,
  interfacePlugins,
  ipamPlugins,
  only,
} from '../suite/case.ts';
import type { Container } from '../suite/container.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';
import { FakeDelegate } from '../suite/fake-delegate.ts';

/** Something done to a container behind the plugin's back, which CHECK has to find. */
interface Damage {
  id: string;
  title: string;
  covers: Case['covers'];
  applies: Case['applies'];
  inflict(container: Container): Promise<unknown>;
}

const inPod =
  (script: (container: Container) => string) =>
  (container: Container): Promise<string> =>
    container.pod.shell(script(container));

const onHost =
  (script: (container: Container) => string) =>
  (container: Container): Promise<string> =>
    container.trial.host.shell(script(container));

const damages: readonly Damage[] = [
  {
    id: 'check-link-gone',
    title: 'the interface is gone',
    covers: ['C1'],
    applies: interfacePlugins,
    inflict: inPod(({ ifname }) => `ip link del ${ifname}`),
  },
  {
    id: 'check-address-gone',
    title: 'an address is gone',
    covers: ['C1'],
    applies: interfacePlugins,
    inflict: inPod(({ ifname, addresses }) => `ip addr del ${addresses[0]}/16 dev ${ifname}`),
  },
  {
    id: 'check-route-gone',
    title: 'a route is gone',
    covers: ['C1'],
    applies: interfacePlugins,
    inflict: inPod(() => 'ip route del default'),
  },
  {
    id: 'check-mac-changed',
    title: 'the interface has another MAC than prevResult says',
    covers: ['C1'],
    applies: interfacePlugins,
    inflict: inPod(({ ifname }) => `ip link set ${ifname} address 02:00:00:00:00:aa`),
  },
  {
    id: 'check-host-end-detached',
    title: "the host's end is no port of the bridge",
    covers: ['C1'],
    applies: only('bridge'),
    inflict: onHost(() => 'ip link del cni0'),
  },
  {
    id: 'check-lo-down',
    title: 'lo is down',
    covers: ['C1'],
    applies: only('loopback'),
    inflict: inPod(() => 'ip link set lo down'),
  },
  {
    id: 'check-reservation-gone',
    title: 'the address file is gone',
    covers: ['C3'],
    applies: only('host-local', 'bridge', 'ptp', 'vxlan'),
    inflict: onHost(({ addresses }) => `rm /var/lib/cni/networks/pods/${addresses[0]}`),
  },
  {
    id: 'check-other-address',
    title: 'the configuration gives another address than prevResult has',
    covers: ['C3'],
    applies: only('static'),
    inflict: async (container) => {
      const other = { ...container.result, ips: [{ address: '10.30.0.6/16', gateway: '10.30.0.1' }] };
      container.result = JSON.parse(JSON.stringify(other));
    },
  },
  {
    id: 'check-rules-gone',
    title: 'the packet filter was emptied',
    covers: ['C3'],
    applies: only('bridge', 'ptp', 'vxlan', 'portmap', 'firewall'),
    inflict: onHost(() => 'nft flush ruleset'),
  },
  {
    id: 'check-shaping-gone',
    title: "the queueing discipline of the host's end is gone",
    covers: ['C3'],
    applies: only('bandwidth'),
    inflict: onHost(({ result }) => `tc qdisc del dev ${result?.interfaces?.[0]?.name} root`),
  },
  {
    id: 'check-ifb-gone',
    title: 'the ifb device is gone',
    covers: ['C3'],
    applies: only('bandwidth'),
    inflict: onHost(
      () => "ip -o link show type ifb | sed 's/^[0-9]*: \\([^:@]*\\).*/\\1/' | xargs -n1 ip link del",
    ),
  },
  {
    id: 'check-setting-changed',
    title: 'an attribute has another value',
    covers: ['C3'],
    applies: only('tuning'),
    inflict: inPod(({ ifname }) => `ip link set ${ifname} mtu 1300`),
  },
  {
    id: 'check-sysctl-changed',
    title: 'a sysctl has another value',
    covers: ['C3'],
    applies: only('tuning'),
    inflict: inPod(() => 'echo 0 >/proc/sys/net/ipv4/conf/all/log_martians'),
  },
  {
    id: 'check-policy-rule-gone',
    title: 'the routing rule is gone',
    covers: ['C3'],
    applies: only('sbr'),
    inflict: inPod(({ earlier }) => `ip rule del from ${earlier?.ips?.[0]?.address}`),
  },
];

const damaged = ({ id, title, covers, applies, inflict }: Damage): Case => ({
  id,
  covers,
  title: `CHECK fails: ${title}`,
  applies,
  versions: from('1.0.0'),
  run: async (trial) => {
    const container = await trial.container();
    await container.add();
    await inflict(container);
    expectError(await container.attempt('CHECK'));
    // DEL does not mind.
    await container.attempt('DEL');
  },
});

/** What CHECK does. */
export const checkCases: readonly Case[] = [
  ...damages.map(damaged),
  {
    id: 'check-right-after-add',
    covers: ['C4', 'C5'],
    title: 'CHECK succeeds right after ADD and prints nothing',
    applies: every,
    versions: from('0.4.0'),
    run: async (trial) => {
      for (const container of await trial.containers(3)) {
        await container.add();
        expectSilence(await container.attempt('CHECK'));
      }
    },
  },
  {
    id: 'check-needs-prev-result',
    covers: ['C1'],
    title: 'CHECK without prevResult is error 7',
    applies: ({ type, role }) => role !== 'ipam' && type !== 'loopback',
    versions: from('0.4.0'),
    run: async (trial) => {
      const container = await trial.container();
      await container.add();
      const { code, msg } = expectError(await container.attempt('CHECK', { config: container.config }));
      expect(msg).toMatch(/prevResult|chain/i);
      expect(code).toBe(7);
    },
  },
  {
    id: 'check-accepts-additions',
    covers: ['C2'],
    title: 'CHECK accepts routes, addresses, sysctls and an MTU that came later',
    applies: interfacePlugins,
    versions: from('1.0.0'),
    run: async (trial) => {
      const container = await trial.container();
      await container.add();
      const { ifname } = container;
      await container.pod.shell(`
        ip addr add 192.0.2.1/24 dev ${ifname}
        ip route add 198.51.100.0/24 dev ${ifname}
        ip link set ${ifname} mtu 1400
        echo 1 >/proc/sys/net/ipv4/conf/${ifname}/arp_filter
      `);
      await container.check();
    },
  },
  {
    id: 'check-accepts-a-later-mac',
    covers: ['C2'],
    title: 'CHECK accepts a MAC and MTU that a later plugin has set and put into the result',
    applies: interfacePlugins,
    versions: from('1.0.0'),
    run: async (trial) => {
      const container = await trial.container();
      const { pod, ifname } = container;
      const result = await container.add();
      const mac = '02:00:00:00:00:bb';
      await pod.shell(`ip link set ${ifname} address ${mac}; ip link set ${ifname} mtu 1400`);
      const mtu = from('1.1.0')(trial.version) ? { mtu: 1400 } : {};
      const interfaces = result.interfaces?.map((entry) =>
        entry.sandbox === pod.netns ? { ...entry, mac, ...mtu } : entry,
      );
      container.result = { ...result, ...(interfaces && { interfaces }) };
      await container.check();
    },
  },
  {
    id: 'check-reaches-the-delegate',
    covers: ['C5', 'L4'],
    title: "CHECK is delegated, and the delegate's error comes back",
    applies: delegatingPlugins,
    versions: from('1.0.0'),
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const { config, path } = delegate;
      const container = await trial.container({ config });
      await container.add({ path });
      expectSilence(await container.attempt('CHECK', { path }));
      expect(delegate.verbs()).toEqual(['ADD', 'CHECK']);
      await delegate.on('CHECK', delegate.failure(78, 'not reserved'));
      expect(expectError(await container.attempt('CHECK', { path }), 78).msg).toContain('not reserved');
    },
  },
  {
    id: 'check-of-a-stranger',
    covers: ['C3'],
    title: 'CHECK of a container that was never added fails',
    applies: (profile) => ipamPlugins(profile) && profile.type !== 'static',
    versions: from('1.0.0'),
    run: async (trial) => {
      const container = await trial.container();
      await container.add();
      expectError(await container.attempt('CHECK', { containerId: 'stranger' }));
    },
  },
];

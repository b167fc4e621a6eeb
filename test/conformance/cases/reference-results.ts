import { expect } from 'vitest';
import { addressesOf, linkOf, type Route, routesOf } from '../../plugins/kernel-state.ts';
import { referenceBin } from '../../support/binaries.ts';
import type { PrintedResult } from '../../support/call-plugin.ts';
import type { Pod } from '../../support/pod.ts';
import { type Case, only, type SpecVersion } from '../suite/case.ts';
import { isNotReference, subjects, versionsOf } from '../suite/subjects.ts';
import type { CallOptions, NetworkConfig, Trial } from '../suite/trial.ts';
import { type ComparedConfig, comparedConfigs, requestedMac } from './reference-configs.ts';

const reference = { name: 'reference', binDir: referenceBin, known: [] };
const announced = new Map<string, readonly SpecVersion[]>();

/** Whether the reference announces a version of a plugin, so that both can be asked in it. */
const knowsVersion =
  (type: string) =>
  (version: SpecVersion): boolean => {
    if (!subjects().some(isNotReference)) return false;
    const versions = announced.get(type) ?? versionsOf(reference, type);
    announced.set(type, versions);
    return versions.includes(version);
  };

/** What both made of one configuration, in turn on one host, has to be the same to the last byte. */
const sameAsReference = ({ name, type, config, args, versions }: ComparedConfig): Case => ({
  id: `${type}-like-reference-${name}`,
  covers: ['A1', 'R3'],
  title: 'prints what the reference prints, and leaves the same addresses and routes',
  applies: only(type),
  subjects: isNotReference,
  versions: (version) => knowsVersion(type)(version) && (versions?.(version) ?? true),
  run: async (trial) => {
    const network = { cniVersion: trial.version, name: 'same', ...config } as NetworkConfig;
    const options: CallOptions = args === undefined ? {} : { args };
    const theirs = await attachAndLook(trial, network, { ...options, binDir: referenceBin });
    const ours = await attachAndLook(trial, network, options);
    expect(ours).toEqual(theirs);
  },
});

/** ADD, a look at the container, DEL; nothing is left of it for the next. */
const attachAndLook = async (trial: Trial, network: NetworkConfig, options: CallOptions) => {
  const container = await trial.container({ config: network });
  const { pod, ifname } = container;
  const path = { path: [options.binDir ?? trial.subject.binDir] };
  try {
    const result = await container.add({ ...path, ...options });
    const text = JSON.stringify(normalised(result, pod), byKey);
    return { text, ...(trial.profile.role === 'interface' && (await lookAt(pod, ifname))) };
  } finally {
    await container.del({ ...path, ...options });
    await pod.remove();
    await trial.host.shell('rm -rf /var/lib/cni/networks; ip link del cni0 2>/dev/null || true');
  }
};

const lookAt = async (pod: Pod, ifname: string): Promise<object> => {
  const { mtu, flags } = await linkOf(pod, ifname);
  return {
    mtu,
    isUp: flags.includes('UP'),
    addresses: (await addressesOf(pod, ifname)).toSorted(),
    routes: [...(await visibleRoutes(pod, 4)), ...(await visibleRoutes(pod, 6))],
  };
};

/** What a route does, without who made it; the kernel's own link-local ones come when they like. */
const visibleRoutes = async (pod: Pod, family: 4 | 6): Promise<string[]> => {
  const show = ({ dst, gateway, dev, scope, prefsrc }: Route): string =>
    JSON.stringify({ dst, gateway, dev, scope, ...(family === 4 && { prefsrc }) });
  const routes = await routesOf(pod, family);
  return routes
    .filter(({ dst }) => !dst.startsWith('fe80:'))
    .map(show)
    .toSorted();
};

/** Without what is random or new in 1.1.0; `dns` may be left out when it is empty since 1.0.0. */
const normalised = ({ interfaces, dns, ...rest }: PrintedResult, pod: Pod): object => ({
  ...rest,
  interfaces: interfaces?.map(({ mtu: _, ...entry }) => ({
    ...entry,
    name: entry.name.replace(/^veth[0-9a-f]+$/, 'veth'),
    mac: entry.mac === requestedMac ? entry.mac : entry.mac?.replaceAll(/[0-9a-f]/g, 'x'),
    sandbox: entry.sandbox === pod.netns ? 'sandbox' : entry.sandbox,
  })),
  ...((Object.keys(dns ?? {}).length > 0 || !rest.cniVersion.startsWith('1.')) && { dns }),
});

/** For JSON.stringify: keys in the order of the alphabet. */
const byKey = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    : value;

/** Equality with the reference plugins, where they are installed. */
export const referenceResultCases: readonly Case[] = comparedConfigs.map(sameAsReference);

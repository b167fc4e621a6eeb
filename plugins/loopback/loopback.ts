import { sameCidr } from '../../shared/attachment/address-compare.ts';
import { Findings } from '../../shared/attachment/check-pod.ts';
import { containerNetnsIfPresent, requireContainerNetns } from '../../shared/attachment/container-netns.ts';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { Call, Plugin } from '../../shared/cni/plugin.ts';
import { emptyResult, type Result } from '../../shared/cni/types.ts';
import { isAtLeast } from '../../shared/cni/versions.ts';
import { readAddresses } from '../../shared/kernel/address.ts';
import { IpBatch, runIpBatch } from '../../shared/kernel/ip-batch.ts';
import { type LinkState, readLink } from '../../shared/kernel/link.ts';
import type { Netns } from '../../shared/kernel/netns.ts';
import { toolPath } from '../../shared/kernel/tool-path.ts';

/** Every netns has this one; CNI_IFNAME is not looked at, as with the reference. */
const name = 'lo';

/** ADD: brings `lo` up and reports its addresses; behind another plugin, that one's result. */
const add = (call: Call): Result => {
  const netns = requireContainerNetns(call.env);
  setState(netns, 'up');
  return call.config.prevResult ?? describe(call, netns);
};

/** DEL: takes `lo` down; without a netns there is nothing to do. */
const del = (call: Call): void => {
  const netns = containerNetnsIfPresent(call.env);
  if (netns !== undefined) setState(netns, 'down');
};

/** CHECK: `lo` is up and has the addresses that prevResult reports for it. */
const check = (call: Call): void => {
  const netns = requireContainerNetns(call.env);
  const prevResult = call.config.prevResult ?? emptyResult();
  const findings = new Findings();
  netns.run(() => {
    const link = readLink(name);
    if (!link?.up) return findings.add('"lo" is down in the container');
    const present = readAddresses(link.index).map(
      ({ address, prefixLength }) => `${address}/${prefixLength}`,
    );
    const index = prevResult.interfaces.findIndex((entry) => entry.name === name);
    for (const { address, interface: owner } of prevResult.ips) {
      if (index === -1 || owner !== index) continue;
      if (!present.some((other) => sameCidr(other, address)))
        findings.add(`"lo" lacks the address ${address}`);
    }
  });
  findings.throwIfAny();
};

const status = (): void => {
  if (toolPath('ip') !== undefined) return;
  throw new CniError(ErrorCode.notAvailable, 'the "ip" command is missing', { details: 'Install iproute2.' });
};

const setState = (netns: Netns, state: 'up' | 'down'): void =>
  netns.run(() => {
    const isSet = (): boolean => readLink(name)?.up === (state === 'up');
    if (isSet()) return;
    const batch = new IpBatch().add('link', 'set', 'dev', name, state);
    try {
      runIpBatch(batch, `could not set "lo" ${state} in the container`);
    } catch (error) {
      // An ip that was killed may have done it before.
      if (!isSet()) throw error;
    }
  });

const describe = (call: Call, netns: Netns): Result => {
  const [link, addresses] = netns.run(() => {
    const state: LinkState | undefined = readLink(name);
    return [state, state === undefined ? [] : readAddresses(state.index)] as const;
  });
  const mtu = isAtLeast(call.config.cniVersion, '1.1.0') && link !== undefined ? { mtu: link.mtu } : {};
  return {
    ...emptyResult(),
    interfaces: [{ name, mac: link?.mac || '00:00:00:00:00:00', ...mtu, sandbox: call.env.netns }],
    ips: addresses.map(({ address, prefixLength }) => ({
      address: `${address}/${prefixLength}`,
      interface: 0,
    })),
  };
};

/** Brings up the loopback interface of a container. */
export const plugin: Plugin = { title: 'loopback', add, del, check, gc: () => {}, status };

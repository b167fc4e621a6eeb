import { prepareHostDevice } from '../../shared/attachment/pod-sysctls.ts';
import { IpBatch, runIpBatch } from '../../shared/kernel/ip-batch.ts';
import type { LinkState } from '../../shared/kernel/link.ts';
import type { BridgeRecord } from '../../shared/store/attachments.ts';
import { ipLines, type Lack } from './lack.ts';
import type { Look } from './look.ts';

/** What is missing of the bridge, and of the port's place in it. */
export const bridgeLacks = (wanted: BridgeRecord, port: LinkState, look: Look): Lack[] => {
  const bridge = look.link(wanted.name);
  const label = `the bridge "${wanted.name}"`;
  const shared = true;
  if (bridge !== undefined && bridge.kind !== 'bridge') {
    const advice = 'remove what has its name, then repair again';
    return [{ what: `"${wanted.name}" is no bridge`, shared, mend: { by: 'nobody', advice } }];
  }
  const lacks: Lack[] = [];
  if (bridge === undefined) lacks.push(missingBridge(wanted));
  if (bridge?.up === false) {
    lacks.push({ what: `${label} is down`, shared, mend: ipLines(`link set dev ${wanted.name} up`) });
  }
  if (wanted.promiscuous && !bridge?.promiscuity) {
    const mend = ipLines(`link set dev ${wanted.name} promisc on`);
    lacks.push({ what: `${label} is not promiscuous`, shared, mend });
  }
  const isPort = bridge !== undefined && port.master === bridge.index;
  return [...lacks, ...(isPort ? flagLacks(wanted, port) : [missingPort(wanted, port)])];
};

const missingBridge = (wanted: BridgeRecord): Lack => {
  const what = `the bridge "${wanted.name}" is missing`;
  if (wanted.vlans) return { what, shared: true, mend: { by: 'nobody', advice: VLAN_ADVICE } };
  const { name, mac, mtu } = wanted;
  const batch = new IpBatch().add(
    ...['link', 'add', 'name', name],
    ...(mac === undefined ? [] : ['address', mac]),
    ...(mtu === undefined ? [] : ['mtu', mtu]),
    ...['up', 'type', 'bridge'],
  );
  const run = (): void => {
    runIpBatch(batch, `could not make the bridge "${name}"`);
    prepareHostDevice(name);
  };
  return { what, shared: true, mend: { by: 'call', run } };
};

const missingPort = (wanted: BridgeRecord, port: LinkState): Lack => {
  const what = `"${port.name}" is no port of the bridge "${wanted.name}"`;
  if (wanted.vlans) return { what, mend: { by: 'nobody', advice: VLAN_ADVICE } };
  const flags = [...(wanted.hairpin ? ['hairpin on'] : []), ...(wanted.isolated ? ['isolated on'] : [])];
  return {
    what,
    mend: ipLines(
      `link set dev ${port.name} master ${wanted.name}`,
      ...flags.map((flag) => `link set dev ${port.name} type bridge_slave ${flag}`),
    ),
  };
};

const flagLacks = (wanted: BridgeRecord, port: LinkState): Lack[] => {
  const lack = (problem: string, flag: string): Lack => ({
    what: `"${port.name}" is not ${problem}`,
    mend: ipLines(`link set dev ${port.name} type bridge_slave ${flag}`),
  });
  return [
    ...(wanted.hairpin && !port.port?.hairpin ? [lack('in hairpin mode', 'hairpin on')] : []),
    ...(wanted.isolated && !port.port?.isolated ? [lack('isolated', 'isolated on')] : []),
  ];
};

/** A port that was taken out of its bridge is in no VLAN of its own any more, and would get into others'. */
const VLAN_ADVICE = 'its VLANs are lost with it: DEL and ADD the container';

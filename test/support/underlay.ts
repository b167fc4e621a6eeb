import type { TestHost } from './test-host.ts';

/** An address of the host on `under0`, and one of a node that is not there. */
const underlay = { own: '198.51.100.1', other: '198.51.100.2' };

/** Gives a host a network by which other nodes would be reached, with nobody else in it. */
export const addUnderlay = async (host: TestHost): Promise<void> => {
  await host.shell(`ip link add under0 up type veth peer name under1
    ip link set under1 up
    ip addr add ${underlay.own}/24 dev under0`);
};

/** Such a host with these pod prefixes, and another node, as the vxlan plugin's "peers". */
export const overlayPeers = (...podCIDRs: string[]): object[] => [
  { name: 'this', addresses: [underlay.own], podCIDRs },
  { name: 'other', addresses: [underlay.other], podCIDRs: ['10.29.0.0/16', 'fd29::/64'] },
];

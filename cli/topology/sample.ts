import type { OverlayMode } from '../../shared/overlay/types.ts';
import type { Topology, TopologyNode, TopologyPeer, TopologyPod } from './model.ts';

export interface SampleOptions {
  nodes?: number;
  pods?: number;
  /** How many of the nodes were looked at. */
  seen?: number;
  mode?: OverlayMode;
  /** Which pairs are direct. */
  direct?: (a: number, b: number) => boolean;
}

/** A cluster for tests, in dual stack. Its nodes count from 1. */
export const sampleTopology = (options: SampleOptions = {}): Topology => {
  const { nodes = 3, pods = 3, seen = nodes, mode = 'vxlan', direct = () => false } = options;
  const numbers = Array.from({ length: nodes }, (_, index) => index + 1);
  return {
    version: 1,
    nodes: numbers.slice(0, seen).map((number): TopologyNode => {
      const { name, address, podCIDRs } = samplePeer(number);
      return {
        name,
        overlays: [
          {
            vni: 1,
            port: 8472,
            mode,
            device: 'pwvxlan1',
            mac: `0a:58:00:00:00:${hex(number)}`,
            mtu: 1450,
            addresses: [`10.244.${number}.0/32`, `fd00:244:${number}::/128`],
            underlay: { device: 'eth0', address, mtu: 1500 },
            podCIDRs,
            peers: numbers
              .filter((other) => other !== number)
              .map((other) => ({ ...samplePeer(other), via: direct(number, other) ? 'direct' : 'vxlan' })),
            problems: [],
          },
        ],
        pods: Array.from({ length: pods }, (_, index) => samplePod(number, index)),
      };
    }),
  };
};

const samplePeer = (number: number): TopologyPeer => ({
  name: `n${number}`,
  address: `198.51.100.${number}`,
  podCIDRs: [`10.244.${number}.0/24`, `fd00:244:${number}::/64`],
  via: 'vxlan',
  problems: [],
});

const samplePod = (number: number, index: number): TopologyPod => ({
  containerId: `web-${number}-${index + 1}`,
  network: 'podwire',
  plugin: 'vxlan',
  interface: 'eth0',
  hostInterface: `pw${number}${index}c0ffee42`,
  addresses: [`10.244.${number}.${index + 2}`, `fd00:244:${number}::${index + 2}`],
  problems: [],
});

const hex = (number: number): string => (number % 256).toString(16).padStart(2, '0');

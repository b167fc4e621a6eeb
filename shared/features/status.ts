import { firewallStatus } from '../firewall/status.ts';
import { portmapStatus } from '../portmap/check.ts';
import { shapingStatus } from '../shaping/status.ts';
import type { FeatureKeys } from './feature-keys.ts';

/** Whether the features that a configuration has can work. Throws CniError 50. */
export const featuresStatus = ({ portmap, bandwidth, firewall }: FeatureKeys): void => {
  if (portmap !== undefined) portmapStatus(portmap.backend);
  if (bandwidth !== undefined) shapingStatus(bandwidth);
  if (firewall !== undefined) firewallStatus(firewall);
};

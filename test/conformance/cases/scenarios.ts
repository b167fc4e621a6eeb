import type { Case } from '../suite/case.ts';
import { referenceResultCases } from './reference-results.ts';
import { bandwidthScenarios } from './scenarios-bandwidth.ts';
import { bridgeDeviceScenarios } from './scenarios-bridge-device.ts';
import { bridgeLifecycleScenarios } from './scenarios-bridge-lifecycle.ts';
import { bridgePortScenarios } from './scenarios-bridge-port.ts';
import { bridgeVlanScenarios } from './scenarios-bridge-vlan.ts';
import { firewallScenarios } from './scenarios-firewall.ts';
import { hostLocalFaultScenarios } from './scenarios-host-local-faults.ts';
import { hostLocalRangeScenarios } from './scenarios-host-local-ranges.ts';
import { hostLocalRequestScenarios } from './scenarios-host-local-requests.ts';
import { hostLocalStoreScenarios } from './scenarios-host-local-store.ts';
import { loopbackScenarios } from './scenarios-loopback.ts';
import { masqueradeScenarios } from './scenarios-masquerade.ts';
import { portmapScenarios } from './scenarios-portmap.ts';
import { portmapTrafficScenarios } from './scenarios-portmap-traffic.ts';
import { ptpScenarios } from './scenarios-ptp.ts';
import { routeScenarios } from './scenarios-routes.ts';
import { sbrScenarios } from './scenarios-sbr.ts';
import { staticScenarios } from './scenarios-static.ts';
import { tuningScenarios } from './scenarios-tuning.ts';
import { vxlanScenarios } from './scenarios-vxlan.ts';

/** What users of the reference plugins configure and rely on, and equality with what those print. */
export const scenarioCases: readonly Case[] = [
  ...bridgeDeviceScenarios,
  ...bridgeLifecycleScenarios,
  ...bridgePortScenarios,
  ...bridgeVlanScenarios,
  ...ptpScenarios,
  ...vxlanScenarios,
  ...masqueradeScenarios,
  ...routeScenarios,
  ...hostLocalRangeScenarios,
  ...hostLocalRequestScenarios,
  ...hostLocalStoreScenarios,
  ...hostLocalFaultScenarios,
  ...staticScenarios,
  ...loopbackScenarios,
  ...portmapTrafficScenarios,
  ...portmapScenarios,
  ...bandwidthScenarios,
  ...firewallScenarios,
  ...tuningScenarios,
  ...sbrScenarios,
  ...referenceResultCases,
];

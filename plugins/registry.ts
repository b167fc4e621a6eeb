import { plugin as clusterIpam } from '../ipam/cluster-ipam/cluster-ipam.ts';
import { plugin as hostLocal } from '../ipam/host-local/host-local.ts';
import { plugin as staticIpam } from '../ipam/static/static.ts';
import type { Plugin } from '../shared/cni/plugin.ts';
import type { PluginName } from '../shared/cni/plugin-names.ts';
import { plugin as bandwidth } from './bandwidth/bandwidth.ts';
import { plugin as bridge } from './bridge/bridge.ts';
import { plugin as firewall } from './firewall/firewall.ts';
import { plugin as loopback } from './loopback/loopback.ts';
import { plugin as portmap } from './portmap/portmap.ts';
import { plugin as sbr } from './sbr/sbr.ts';
import { plugin as tuning } from './tuning/tuning.ts';
import { plugin as veth } from './veth/veth.ts';
import { plugin as vxlan } from './vxlan/vxlan.ts';

/**
 * Every plugin of this executable by the type name in a configuration. All are imported at once: one
 * chunk of code starts faster than the ten that lazy imports would split it into, and what of it is not
 * called is not decoded.
 */
const plugins = new Map<string, Plugin>(
  Object.entries({
    bridge,
    veth,
    ptp: veth,
    vxlan,
    loopback,
    portmap,
    bandwidth,
    sbr,
    firewall,
    tuning,
    'host-local': hostLocal,
    'cluster-ipam': clusterIpam,
    static: staticIpam,
  } satisfies Record<PluginName, Plugin>),
);

/** The plugin of that type name, or undefined when this executable has none. */
export const findPlugin = (type: string): Plugin | undefined => plugins.get(type);

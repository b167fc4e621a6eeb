import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { Fields } from '../../shared/cni/fields.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import type { OutgoingNat } from '../../shared/overlay/nat-plan.ts';
import { readNodeState } from '../../shared/overlay/node-state.ts';
import { type OverlayPlan, planOverlay } from '../../shared/overlay/plan.ts';
import { syncPlan } from '../../shared/overlay/sync.ts';
import type { NodeState, Underlay } from '../../shared/overlay/types.ts';
import { detectUnderlay } from '../../shared/overlay/underlay.ts';
import type { VxlanConfig } from './config.ts';
import { bringNatAbout } from './outgoing-nat.ts';
import { type OwnPeers, readNodes } from './peers.ts';

/** The overlay as an ADD needs it. */
export interface NodeOverlay {
  state: NodeState;
  /** Makes it so; throws CniError 100, 103, 11 or 5. */
  bringAbout: () => Promise<void>;
}

/**
 * The node's overlay: what the agent has made of it, or without an agent what this call is to make of it where
 * anything is missing. Throws CniError 11 when the agent is not there yet, 7 when the configuration does not fit,
 * 50 when no underlay is found.
 */
export const nodeOverlay = (call: Call, config: VxlanConfig): NodeOverlay => {
  const { peers } = config;
  if (peers.from === 'agent') {
    return { state: agentState(call, config, ErrorCode.tryAgainLater), bringAbout: async () => {} };
  }
  const { plan, underlay, nat } = planOwn(config, peers);
  const bringAbout = async (): Promise<void> => {
    await syncPlan(plan, underlay);
    await bringNatAbout(config.overlay.vni, nat);
  };
  return { state: plan.state, bringAbout };
};

/** What must exist where no agent sees to it. */
export interface OwnOverlay {
  plan: OverlayPlan;
  underlay: Underlay;
  /** NAT of what this node's pods send to anything but pods of the overlay; undefined: there is none. */
  nat: (OutgoingNat & VxlanConfig['nat']) | undefined;
}

/** Plans it from the list of nodes. Throws CniError 7, 50 or 5. */
export const planOwn = ({ overlay, node, nat }: VxlanConfig, peers: OwnPeers): OwnOverlay => {
  const { own, all } = readNodes(peers, node);
  const underlay = detectUnderlay(own, overlay);
  const plan = planOverlay(own, all, overlay, underlay);
  const excluded = all.flatMap(({ podCIDRs }) => podCIDRs);
  return {
    plan,
    underlay,
    nat: nat && { vni: overlay.vni, sources: own.podCIDRs, excluded, ...nat },
  };
};

/**
 * What the agent left, where it has prefixes for pods. Throws CniError with `code` without it, and 7 when the
 * configuration is that of another overlay.
 */
export const agentState = (call: Call, { overlay }: VxlanConfig, code: number): NodeState => {
  const state = readNodeState(overlay.vni);
  if (state === undefined) {
    throw new CniError(code, `the overlay with VNI ${overlay.vni} is not set up on this node`, {
      details:
        'With "peers": "agent", "podwire agent" makes it. Does it run, with this VNI, and does its registry know this node? Without an agent, set "peers" to a file or a list of nodes.',
    });
  }
  if (state.podCIDRs.length === 0) {
    throw new CniError(
      code,
      `the node "${state.node}" has no pod prefix in the overlay with VNI ${overlay.vni}`,
      { details: "Give it one in the agent's registry; in Kubernetes that is the Node's spec.podCIDRs." },
    );
  }
  const fields = new Fields(call.config.json);
  for (const key of ['port', 'mode'] as const) {
    if (!fields.has(key) || overlay[key] === state[key]) continue;
    throw fields.invalid(
      key,
      `is not that of the agent, ${state[key]}`,
      `Leave "${key}" out: the agent has it.`,
    );
  }
  return state;
};

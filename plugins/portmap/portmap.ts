import { Findings } from '../../shared/attachment/check-pod.ts';
import { ownerOf } from '../../shared/attachment/owner.ts';
import { withUndo } from '../../shared/attachment/undo.ts';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { Fields } from '../../shared/cni/fields.ts';
import type { Attachment, Call, Plugin } from '../../shared/cni/plugin.ts';
import { emptyResult, type Result } from '../../shared/cni/types.ts';
import { readLink } from '../../shared/kernel/link.ts';
import { addPortmap, handOverPorts } from '../../shared/portmap/add.ts';
import { findPortmapLacks, portmapStatus } from '../../shared/portmap/check.ts';
import type { HostEnd } from '../../shared/portmap/claims.ts';
import { salvagePortMappings } from '../../shared/portmap/mapping.ts';
import { type PortmapOptions, parsePortmapOptions } from '../../shared/portmap/options.ts';
import { portmapAddresses } from '../../shared/portmap/pod-addresses.ts';
import { collectPortmaps, removePortmap } from '../../shared/portmap/remove.ts';

/** ADD: leads host ports to the pod that prevResult describes, which is returned as it is. */
const add = async (call: Call): Promise<Result> => {
  const options = parseOptions(call);
  const { prevResult } = call.config;
  if (prevResult === undefined) throw notChained();
  const addresses = portmapAddresses(prevResult, call.env.ifname);
  if (options.mappings.length === 0 || addresses.length === 0) return prevResult;
  const request = {
    owner: ownerOf(call),
    options,
    addresses,
    netns: call.env.netns,
    links: hostEnds(prevResult),
  };
  await withUndo((undo) => addPortmap(request, undo, call.checkpoint));
  return prevResult;
};

/**
 * DEL: needs neither prevResult nor netns, and takes a configuration that ADD refused. Another attachment of
 * the same container that asked for the same ports gets them now.
 */
const del = async (call: Call): Promise<void> => {
  const mappings = salvagePortMappings(new Fields(call.config.runtimeConfig));
  await handOverPorts(await removePortmap(ownerOf(call), mappings));
};

/** CHECK: every element or rule is there. */
const check = (call: Call): void => {
  const options = parseOptions(call);
  const addresses = portmapAddresses(call.config.prevResult ?? emptyResult(), call.env.ifname);
  if (options.mappings.length === 0 || addresses.length === 0) return;
  const findings = new Findings();
  for (const lack of findPortmapLacks({ owner: ownerOf(call), options, addresses })) findings.add(lack);
  findings.throwIfAny();
};

const gc = (call: Call, valid: Attachment[]): Promise<void> => collectPortmaps(call.config.name, valid);

const status = (call: Call): void => portmapStatus(parseOptions(call).backend);

const parseOptions = ({ config }: Call): PortmapOptions =>
  parsePortmapOptions(new Fields(config.json), new Fields(config.runtimeConfig, 'runtimeConfig'));

/** The host's interfaces of prevResult that are veths now, but not its bridge. */
const hostEnds = ({ interfaces }: Result): HostEnd[] =>
  interfaces.flatMap(({ name, sandbox }) => {
    const link = sandbox === undefined ? readLink(name) : undefined;
    return link?.kind === 'veth' ? [{ name, index: link.index }] : [];
  });

const notChained = (): CniError =>
  new CniError(
    ErrorCode.invalidNetworkConfig,
    'portmap must be called as a chained plugin: "prevResult" is missing',
    {
      details: 'Put it behind the plugin that attaches the container, in the "plugins" of one network list.',
    },
  );

/** Leads ports of the host to a pod. */
export const plugin: Plugin = { title: 'portmap', add, del, check, gc, status };

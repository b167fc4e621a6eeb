import type { CniError } from '../../shared/cni/errors.ts';
import type { OverlayNode } from '../../shared/overlay/types.ts';
import { EtcdClient } from '../../shared/store/etcd/client.ts';
import { Announcer } from './etcd-announcer.ts';
import { RegistryKeys } from './etcd-keys.ts';
import { areClaimed, claimSubnets, releaseSubnets, type SubnetSettings } from './etcd-subnets.ts';
import { NodesView } from './etcd-view.ts';
import { watchNodes } from './etcd-watch.ts';
import { nodeInstance } from './instance.ts';
import type { Registry, RegistryListener } from './registry.ts';

export interface EtcdRegistryOptions {
  /** Client URLs of the members. */
  endpoints: string[];
  /** PEM files. */
  cacert?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
  user?: string | undefined;
  passwordFile?: string | undefined;
  /** Default `/podwire`. */
  prefix?: string | undefined;
  /** How long a node counts as alive without a sign of life; default 30. */
  ttlSeconds?: number | undefined;
  /** How long a node that is not alive stays a peer; default 600: longer than an upgrade of its agent, or a reboot. */
  graceSeconds?: number | undefined;
  /** Default: `nodeInstance()`. */
  instance?: string | undefined;
  /** When a watch that told nothing is opened anew, in ms; default 60 000. */
  silenceMs?: number | undefined;
}

/** Nodes that make themselves known in etcd; how is told at RegistryKeys. */
export interface EtcdRegistry extends Registry {
  readonly kind: 'etcd';
  announce(own: OverlayNode, signal: AbortSignal): Promise<void>;
  /**
   * A pod prefix of each family of the cluster's ranges, for a node that was not told its own; the same ones each time.
   * Throws CniError 7, 11, or 102 when none is free.
   */
  claimPodCIDRs(node: string, settings: SubnetSettings, signal: AbortSignal): Promise<string[]>;
  /**
   * Makes this node unknown, at once, and gives back the pod prefixes it claimed. Throws CniError 7 when another node
   * of that name is alive.
   */
  leave(own: Pick<OverlayNode, 'name' | 'addresses'>, signal: AbortSignal): Promise<void>;
  close(): void;
}

/** Who watches, for what is not of the watch: whether this node could be kept registered. */
interface Audience {
  listener: RegistryListener;
  told: Parameters<RegistryListener['nodes']> | undefined;
  isCutOff: boolean;
}

/** Nothing is sent yet. Throws CniError 7 for options that are wrong and files that cannot be read. */
export const createEtcdRegistry = (options: EtcdRegistryOptions): EtcdRegistry => {
  const { endpoints, cacert: ca, cert, key, user, passwordFile, silenceMs } = options;
  const client = new EtcdClient({
    endpoints,
    tls: { ca, cert, key },
    user,
    passwordFile,
    ...(silenceMs !== undefined && { silenceMs }),
  });
  client.checkFiles();
  const keys = new RegistryKeys(options.prefix ?? '/podwire');
  const audience = new Set<Audience>();
  const announcer = new Announcer(client, keys, {
    ttlSeconds: options.ttlSeconds ?? 30,
    instance: options.instance ?? nodeInstance(),
    trouble: (error: CniError) => {
      for (const { listener } of audience) listener.trouble(error);
    },
    recovered: () => {
      for (const { listener, told, isCutOff } of audience) if (told && !isCutOff) listener.nodes(...told);
    },
  });
  let announced: { name: string; stop: AbortController } | undefined;
  /** What was claimed last: agents ask again and again. */
  let claimed: { wanted: string; prefixes: string[] } | undefined;
  const stopAnnouncing = (): void => {
    announced?.stop.abort();
    announced = undefined;
  };

  return {
    kind: 'etcd',
    announce: async (own, signal) => {
      stopAnnouncing();
      const stop = new AbortController();
      signal.addEventListener('abort', () => stop.abort(), { signal: stop.signal });
      if (signal.aborted) stop.abort();
      announced = { name: own.name, stop };
      await announcer.announce(own, stop.signal);
    },
    list: async (signal) => {
      const { entries } = await client.range(keys.nodes, { signal, deadlineMs: 20_000 });
      const view = new NodesView(keys);
      view.replace(entries, false);
      return view.nodes();
    },
    watch: async (listener, signal) => {
      const member: Audience = { listener, told: undefined, isCutOff: false };
      const graceMs = (options.graceSeconds ?? 600) * 1000;
      audience.add(member);
      try {
        await watchNodes(
          client,
          keys,
          { graceMs, ownName: () => announced?.name },
          {
            nodes: (...told) => {
              Object.assign(member, { told, isCutOff: false });
              listener.nodes(...told);
            },
            trouble: (error) => {
              member.isCutOff = true;
              listener.trouble(error);
            },
          },
          signal,
        );
      } finally {
        audience.delete(member);
      }
    },
    claimPodCIDRs: async (node, settings, signal) => {
      keys.node(node);
      const wanted = JSON.stringify([node, settings]);
      if (claimed?.wanted === wanted && (await areClaimed(client, keys, node, claimed.prefixes, signal))) {
        return claimed.prefixes;
      }
      const prefixes = await claimSubnets(client, keys, node, settings, signal);
      claimed = { wanted, prefixes };
      return prefixes;
    },
    leave: async (own, signal) => {
      stopAnnouncing();
      const { liveness } = await announcer.ownEntries(own, signal);
      await client.transaction(
        {
          compare: [],
          success: [
            { do: 'delete', key: keys.node(own.name) },
            { do: 'delete', key: keys.alive(own.name) },
          ],
        },
        { signal },
      );
      if (liveness !== undefined) await client.revokeLease(liveness.lease, { signal });
      await releaseSubnets(client, keys, own.name, signal);
    },
    close: () => {
      stopAnnouncing();
      client.close();
    },
  };
};

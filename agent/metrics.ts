import { readdirSync } from 'node:fs';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { buildId, version } from '../shared/cni/about.ts';
import type { AgentStatus } from './status.ts';

/** What the agent counts itself; everything else is read from its status when it is asked for. */
export interface AgentMetrics {
  syncDuration: Histogram;
  syncs: Counter<'result'>;
  kernelChanges: Counter<'kind'>;
  filterChanges: Counter;
  conflistWrites: Counter;
  /** Where further metrics are registered. */
  registry: Registry;
  contentType: string;
  text(): Promise<string>;
}

export const createMetrics = (status: AgentStatus): AgentMetrics => {
  const registry = new Registry();
  const registers = [registry];
  const gauge: DescribeGauge = (name, help, read) => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  describeStatus(status, gauge, registers);
  describeProcess(gauge, registers);
  return {
    syncDuration: new Histogram({
      name: 'podwire_agent_sync_duration_seconds',
      help: 'How long a sync of the node with its peers took.',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    }),
    syncs: new Counter({
      name: 'podwire_agent_syncs_total',
      help: 'Syncs by result: success or failure.',
      labelNames: ['result'],
      registers,
    }),
    kernelChanges: new Counter({
      name: 'podwire_agent_kernel_changes_total',
      help: 'What syncs changed in the kernel, by kind.',
      labelNames: ['kind'],
      registers,
    }),
    filterChanges: new Counter({
      name: 'podwire_agent_filter_changes_total',
      help: 'How often the rules for outgoing NAT and forwarding had to be written.',
      registers,
    }),
    conflistWrites: new Counter({
      name: 'podwire_agent_conflist_writes_total',
      help: 'How often the network configuration was written.',
      registers,
    }),
    registry,
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
};

type DescribeGauge = (name: string, help: string, read: () => number) => void;

const describeStatus = (status: AgentStatus, gauge: DescribeGauge, registers: Registry[]): void => {
  new Gauge({
    name: 'podwire_agent_build_info',
    help: 'Always 1; version and build of the agent.',
    labelNames: ['version', 'build'],
    registers,
  }).set({ version, build: buildId }, 1);
  gauge('podwire_agent_ready', 'Whether the agent is ready.', () => Number(status.readiness().ready));
  gauge('podwire_agent_last_success_timestamp_seconds', 'When the last sync succeeded.', () =>
    status.lastSuccess === undefined ? 0 : status.lastSuccess.getTime() / 1000,
  );
  new Gauge({
    name: 'podwire_agent_peers',
    help: 'Peers that pods reach, by the way: encapsulated or directly.',
    labelNames: ['via'],
    registers,
    collect() {
      this.set({ via: 'vxlan' }, status.outcome?.peers.vxlan ?? 0);
      this.set({ via: 'direct' }, status.outcome?.peers.direct ?? 0);
    },
  });
  gauge(
    'podwire_agent_peers_skipped',
    'Peers that cannot be reached as the registry describes them.',
    () => status.outcome?.skipped.length ?? 0,
  );
  new Gauge({
    name: 'podwire_agent_registry_up',
    help: 'Whether the registry can be reached and what it says is valid.',
    labelNames: ['registry'],
    registers,
    collect() {
      this.set({ registry: status.registryKind }, Number(status.registryTrouble === undefined));
    },
  });
  gauge(
    'podwire_agent_registry_stale_seconds',
    'For how long the registry has been in trouble; else 0.',
    () =>
      status.registryTrouble === undefined ? 0 : (Date.now() - status.registryTrouble.since.getTime()) / 1000,
  );
  gauge(
    'podwire_agent_registry_nodes',
    'Nodes that the registry knows, this one among them.',
    () => status.nodes,
  );
  gauge(
    'podwire_agent_registry_refused',
    'Entries of the registry that were left out because they are not valid.',
    () => status.refused.length,
  );
  gauge(
    'podwire_agent_mtu_bytes',
    'What pods may send; 0 before the first sync.',
    () => status.outcome?.state.mtu ?? 0,
  );
  gauge('podwire_agent_conflist_written', 'Whether the network configuration is in place.', () =>
    Number(status.conflistWritten),
  );
};

/**
 * The customary metrics of a process, from /proc: those that prom-client brings ask node for what bun has
 * otherwise or not at all.
 */
const describeProcess = (gauge: DescribeGauge, registers: Registry[]): void => {
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the agent, without its children, in seconds.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  gauge('process_resident_memory_bytes', 'Resident memory in bytes.', () => process.memoryUsage.rss());
  gauge('process_open_fds', 'Open file descriptors.', () => readdirSync('/proc/self/fd').length - 1);
  const started = Date.now() / 1000 - process.uptime();
  gauge('process_start_time_seconds', 'When the agent started.', () => started);
};

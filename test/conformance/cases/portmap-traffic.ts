import { connectOutside, type Outside } from '../../support/links.ts';
import { requireTool } from '../../support/needs.ts';
import type { Place } from '../../support/pod.ts';
import { startServer, whoSees } from '../../support/traffic.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type Case, only } from '../suite/case.ts';
import type { Container } from '../suite/container.ts';
import type { Trial } from '../suite/trial.ts';

/** A port mapping; 8080 to 80 by TCP unless said otherwise. */
export interface Mapping {
  hostPort?: number;
  containerPort?: number;
  protocol?: string;
  hostIP?: string;
}

/** The plugin's keys and these mappings as the capability. */
export const mapped = (mappings: Mapping[], keys: Record<string, unknown> = {}): Record<string, unknown> => ({
  ...keys,
  runtimeConfig: {
    portMappings: mappings.map((mapping) => ({
      hostPort: 8080,
      containerPort: 80,
      protocol: 'tcp',
      ...mapping,
    })),
  },
});

/** The host's addresses to the outside, and theirs. */
const outsideOf = async ({ host, context }: Trial): Promise<Outside> => {
  requireTool(context, 'busybox');
  const outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64']);
  await waitUntil('the host has its IPv6 address', async () =>
    (await host.exec(['ip', '-6', 'route', 'show', 'table', 'local'])).includes(
      outside.hostAddresses[1] ?? '',
    ),
  );
  return outside;
};

/** A container with these mappings, behind which port 80 is served. */
export const serving = async (
  trial: Trial,
  mappings: Mapping[],
  keys: Record<string, unknown> = {},
): Promise<Container> => {
  const container = await trial.container({ config: trial.config(mapped(mappings, keys)), ipv6: true });
  await container.add();
  await startServer(container.pod, 80);
  return container;
};

/** A case that has an outside to try it from. */
export const scenario = (
  name: string,
  title: string,
  run: (trial: Trial, outside: Outside) => Promise<void>,
): Case => ({
  id: `portmap-${name}`,
  covers: [],
  title,
  applies: only('portmap'),
  versions: 'newest',
  run: async (trial) => run(trial, await outsideOf(trial)),
});

/** Whether HTTP is answered at a port. */
export const reaches = async (from: Place, address: string | undefined, port = 8080): Promise<boolean> =>
  (await whoSees(from, address ?? '', port)) !== undefined;

import type { Attachment, Network } from './model.ts';
import type { Random } from './random.ts';
import type { Run } from './run.ts';

/** A STATUS; only a network that can run full may say that it is not available. */
export const callStatus = async (run: Run, { spec }: Network, random: Random): Promise<void> => {
  const codes = spec.capacity === undefined ? [] : [50];
  await run.call(random, { command: 'STATUS', config: spec.config }, { network: spec.name }, codes);
};

/**
 * A GC while no ADD and no DEL of the network runs, as the specification wants it. It takes away what
 * torn calls and vanished containers left, and some attachments that the runtime has lost. Containers of
 * what goes are busy as long as it runs.
 */
export const callGc = async (run: Run, network: Network, random: Random): Promise<void> => {
  const attachments = run.model.attachmentsOf(network).filter(({ state }) => state !== 'absent');
  const going = attachments.filter(
    (attachment) => !attachment.container.isBusy && random.chance(attachment.lives ? 0.08 : 0.8),
  );
  const containers = new Set(going.map(({ container }) => container));
  for (const container of containers) container.isBusy = true;
  network.isCollecting = true;
  try {
    await collect(run, network, attachments, going, random);
  } finally {
    network.isCollecting = false;
    for (const container of containers) container.isBusy = false;
  }
};

/**
 * A GC beside ADDs and DELs of the network, which the specification forbids the runtime and which some
 * do: with a list of what there is and what is under way at this moment. What begins later must survive.
 */
export const callGcBeside = async (run: Run, network: Network, random: Random): Promise<void> => {
  const attachments = run.model
    .attachmentsOf(network)
    .filter(({ state, isInFlight }) => state !== 'absent' || isInFlight);
  const going = attachments.filter(
    (attachment) => !attachment.isInFlight && !attachment.lives && random.chance(0.8),
  );
  network.isCollectingBeside = true;
  run.statistics.collectionsBeside += 1;
  try {
    await collect(run, network, attachments, going, random, 'beside others');
  } finally {
    network.isCollectingBeside = false;
  }
};

const collect = async (
  run: Run,
  { spec }: Network,
  attachments: Attachment[],
  going: Attachment[],
  random: Random,
  ...remarks: string[]
): Promise<void> => {
  const before = new Map(going.map((attachment) => [attachment, { ...attachment }]));
  const valid = attachments
    .filter((attachment) => !before.has(attachment))
    .map(({ container, ifname }) => ({ containerID: container.id, ifname }));
  if (going.length > 0)
    remarks.push(`without ${going.map(({ container, ifname }) => `${container.id} ${ifname}`).join(', ')}`);
  const config = { ...spec.config, 'cni.dev/valid-attachments': valid };
  const outcome = await run.call(random, { command: 'GC', config }, { network: spec.name, remarks }, []);
  for (const [attachment, { calls, changes }] of before) {
    // An ADD or DEL that came in between has decided; after any other call, nobody knows which was first.
    if (attachment.changes !== changes) continue;
    if (outcome.exitCode === 0 && attachment.calls === calls)
      Object.assign(attachment, { state: 'absent', result: undefined });
    else attachment.state = 'torn';
  }
};

import type { PluginOutcome } from '../../support/call-plugin.ts';
import type { Attachment } from './model.ts';
import type { Random } from './random.ts';
import type { Run } from './run.ts';

const verbsByState = {
  absent: { ADD: 86, DEL: 8, CHECK: 6 },
  lives: { CHECK: 34, DEL: 52, ADD: 14 },
  orphan: { DEL: 75, ADD: 15, CHECK: 10 },
  torn: { DEL: 65, ADD: 30, CHECK: 5 },
} as const;

/** Makes one ADD, DEL or CHECK of an attachment whose container is free, and notes what is there then. */
export const callAttachment = async (run: Run, attachment: Attachment, random: Random): Promise<void> => {
  const { container, network } = attachment;
  const verb = random.weighted(verbsByState[condition(attachment)]);
  const changes = verb !== 'CHECK';
  container.isBusy = true;
  attachment.isInFlight = true;
  attachment.calls += 1;
  if (changes) network.inFlight += 1;
  try {
    if (verb === 'ADD') await add(run, attachment, random);
    else if (verb === 'DEL') await del(run, attachment, random);
    else await check(run, attachment, random);
  } finally {
    if (changes) network.inFlight -= 1;
    attachment.isInFlight = false;
    container.isBusy = false;
  }
};

const condition = (attachment: Attachment): keyof typeof verbsByState => {
  if (attachment.isOrphan) return 'orphan';
  return attachment.state === 'present' ? 'lives' : attachment.state;
};

const add = async (run: Run, attachment: Attachment, random: Random): Promise<void> => {
  const before = condition(attachment);
  const { container, network } = attachment;
  const { spec } = network;
  const requested =
    before === 'absent' && spec.capacity === undefined && spec.addressesEach > 0 && random.chance(0.15)
      ? requestedAddress(attachment, random)
      : undefined;
  const crowding = watchCrowding(run, attachment);
  const outcome = await call(run, attachment, random, 'ADD', {
    codes: addCodes(attachment, requested !== undefined),
    ...(requested === undefined ? {} : { args: `IP=${requested}` }),
  });
  const wasCrowded = crowding.end();
  const { netns } = container;
  if (outcome.exitCode === 0) {
    if (before === 'lives') throw failure(run, attachment, 'a second ADD succeeded');
    if (container.pod === undefined) throw failure(run, attachment, 'ADD succeeded without a netns');
    Object.assign(attachment, { state: 'present', result: outcome.result, netns });
    attachment.changes += 1;
    const { addresses } = attachment;
    if (addresses.length !== spec.addressesEach)
      throw failure(run, attachment, `ADD returned ${addresses.length} addresses`);
    if (requested !== undefined && !addresses.includes(requested))
      throw failure(run, attachment, `ADD gave ${addresses.join()} although ${requested} was requested`);
    return;
  }
  if (outcome.error?.code === 102 && requested === undefined && !wasCrowded)
    throw failure(run, attachment, 'ADD found no free address although there must be some');
  // Its undo may have taken what an earlier ADD left, or not have come so far.
  const touchesNothing = [4, 8, 103].includes(outcome.error?.code ?? 0);
  if (outcome.exitCode === undefined || (before !== 'absent' && !touchesNothing)) tear(attachment, before);
};

const del = async (run: Run, attachment: Attachment, random: Random): Promise<void> => {
  const before = condition(attachment);
  const withoutNetns = random.chance(0.2);
  const outcome = await call(run, attachment, random, 'DEL', {
    codes: [],
    // A runtime that lost its cache has no result; a sandbox that is gone has no netns.
    prevResult: random.chance(0.7) ? attachment.result : undefined,
    ...(withoutNetns ? { netns: '' } : {}),
  });
  if (outcome.exitCode !== 0) return tear(attachment, before);
  Object.assign(attachment, { state: 'absent', result: undefined });
  attachment.changes += 1;
};

const check = async (run: Run, attachment: Attachment, random: Random): Promise<void> => {
  const before = condition(attachment);
  const codes = { absent: [7, 8], lives: [], orphan: [7, 8, 105], torn: [7, 8, 105] }[before];
  const outcome = await call(run, attachment, random, 'CHECK', { codes, prevResult: attachment.result });
  if (outcome.exitCode === 0 && before !== 'lives' && before !== 'torn')
    throw failure(run, attachment, 'CHECK succeeded');
};

interface CallOptions {
  codes: readonly number[];
  prevResult?: object | undefined;
  netns?: string;
  args?: string;
}

const call = (
  run: Run,
  { container, network, ifname }: Attachment,
  random: Random,
  command: string,
  { codes, prevResult, ...options }: CallOptions,
): Promise<PluginOutcome> => {
  const remarks = [
    ...(options.netns === '' ? ['without netns'] : []),
    ...(options.args === undefined ? [] : [options.args]),
    ...(container.pod === undefined ? ['whose netns is gone'] : []),
  ];
  return run.call(
    random,
    {
      command,
      containerId: container.id,
      netns: container.netns,
      ifname,
      config: { ...network.spec.config, prevResult },
      ...options,
    },
    { network: network.spec.name, containerId: container.id, ifname, remarks },
    codes,
  );
};

const addCodes = (attachment: Attachment, isRequested: boolean): number[] => {
  const { container, network, ifname } = attachment;
  if (container.pod === undefined) return [8];
  const codes: number[] = [];
  if (isRequested || network.spec.capacity !== undefined) codes.push(102);
  const taken = container.attachments.filter((other) => other.ifname === ifname);
  if (taken.some((other) => other.lives || other.state === 'torn')) codes.push(103);
  return codes;
};

const tear = (attachment: Attachment, before: keyof typeof verbsByState): void => {
  // A call that was killed on nothing may have made something, and one on anything may have removed it.
  attachment.state = 'torn';
  if (before === 'absent') attachment.result = undefined;
};

/** One that may be taken, and may be any of the range's first 250. */
const requestedAddress = ({ network }: Attachment, random: Random): string => {
  const { ranges } = network.spec.config.ipam as { ranges: { subnet: string }[][] };
  const [subnet = ''] = (ranges[0]?.[0]?.subnet ?? '').split('/');
  return `${subnet.slice(0, subnet.lastIndexOf('.'))}.${2 + random.below(250)}`;
};

/** Watches whether a network with few addresses may have been full at some time during a call. */
const watchCrowding = (run: Run, { network }: Attachment): { end: () => boolean } => {
  const { capacity } = network.spec;
  if (capacity === undefined) return { end: () => false };
  // The call's own attachment counts as a holder, too.
  const isFull = (): boolean => run.model.possibleHolders(network) > capacity;
  let wasFull = isFull();
  const timer = setInterval(() => {
    wasFull ||= isFull();
  }, 1);
  return {
    end: () => {
      clearInterval(timer);
      return wasFull || isFull();
    },
  };
};

const failure = (run: Run, attachment: Attachment, problem: string) =>
  run.failure(`${attachment.name}: ${problem}`, {
    containerId: attachment.container.id,
    network: attachment.network.spec.name,
  });

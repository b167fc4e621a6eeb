import type { Attachment } from './model.ts';
import { Random } from './random.ts';
import type { Run } from './run.ts';

/** A DEL that nobody disturbs and that has to succeed. */
export const deleteAttachment = async (run: Run, attachment: Attachment): Promise<void> => {
  const { container, network, ifname, result } = attachment;
  await undisturbed(run, (random) =>
    run.call(
      random,
      {
        command: 'DEL',
        containerId: container.id,
        netns: container.netns,
        ifname,
        config: { ...network.spec.config, prevResult: result },
      },
      { network: network.spec.name, containerId: container.id, ifname },
      [],
    ),
  );
  Object.assign(attachment, { state: 'absent', result: undefined });
};

/** Makes a call that gets no signal. */
export const undisturbed = async <T>(run: Run, work: (random: Random) => Promise<T>): Promise<T> => {
  const { signalShare } = run;
  run.signalShare = 0;
  try {
    return await work(new Random(0));
  } finally {
    run.signalShare = signalShare;
  }
};

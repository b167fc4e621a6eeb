import { parseResult } from '../../shared/cni/result-versions.ts';
import { styleFor, writeOut } from '../terminal.ts';
import { addNetwork } from './add.ts';
import { checkNetwork } from './check.ts';
import { delNetwork } from './del.ts';
import { findNetwork } from './find-network.ts';
import { gcNetwork } from './gc.ts';
import { undeclared } from './plugin-config.ts';
import { renderResult } from './render.ts';
import { type Session, withSession } from './session.ts';
import { statusNetwork } from './status.ts';
import type { VerbOptions } from './verb-options.ts';

/** `podwire run add`. These functions do one verb and show its outcome; every failure is thrown. */
export const runAdd = (name: string, netns: string, options: VerbOptions): Promise<void> =>
  withSession(options, async (session) => {
    const network = findNetwork(name, session.places.confDir);
    const attachment = session.attachment(netns);
    for (const capability of undeclared(network, attachment.capabilityArgs)) {
      session.runtime.note(`no plugin of "${network.name}" declares the capability "${capability}"`);
    }
    const result = await addNetwork(network, attachment, session.runtime, { keep: options.keep === true });
    if (options.json === true) return writeOut(`${JSON.stringify(result, null, 2)}\n`);
    writeOut(renderResult(network.name, attachment, parseResult(result, network.cniVersion), styleFor(1)));
  });

/** `podwire run check`. */
export const runCheck = (name: string, netns: string, options: VerbOptions): Promise<void> =>
  withSession(options, async (session) => {
    const network = findNetwork(name, session.places.confDir);
    const attachment = session.rememberedAttachment(network.name, netns);
    const checked = await checkNetwork(network, attachment, session.runtime);
    const where = `${attachment.ifname} in ${attachment.netns} on ${network.name}`;
    if (checked) session.say('checked', `${where}: it is as its result says`);
    else session.say('not checked', `${where}: the configuration has disableCheck`);
  });

/** `podwire run del`. */
export const runDel = (name: string, netns: string | undefined, options: VerbOptions): Promise<void> =>
  withSession(options, async (session) => {
    const network = networkForDel(name, netns, session);
    const attachment = session.rememberedAttachment(network.name, netns);
    await delNetwork(network, attachment, session.runtime);
    session.say('deleted', `${attachment.ifname} of ${attachment.containerId} from ${network.name}`);
  });

/** `podwire run gc`. */
export const runGc = (name: string, options: VerbOptions): Promise<void> =>
  withSession(options, async (session) => {
    const network = findNetwork(name, session.places.confDir);
    const valid = [...(options.keepAttachment ?? [])];
    if (options.keepCached === true) valid.push(...session.cachedAttachments(network.name));
    const outcome = await gcNetwork(network, valid, session.runtime);
    if (outcome === undefined) {
      return session.say('not collected', `${network.name}: the configuration has disableGC`);
    }
    const plugins = outcome.pluginsCalled
      ? `plugins asked: ${network.plugins.map(({ type }) => type).join(', ')}`
      : `plugins not asked: cniVersion "${network.cniVersion}" has no GC`;
    session.say(
      'collected',
      `${network.name}: stale attachments deleted: ${outcome.deleted.length}; ${plugins}`,
    );
    for (const { containerID, ifname } of outcome.deleted)
      session.say('deleted', `${ifname} of ${containerID}`);
  });

/** `podwire run status`. */
export const runStatus = (name: string, options: VerbOptions): Promise<void> =>
  withSession(options, async (session) => {
    const network = findNetwork(name, session.places.confDir);
    if (await statusNetwork(network, session.runtime)) session.say('ready', network.name);
    else session.say('not asked', `${network.name}: cniVersion "${network.cniVersion}" has no STATUS`);
  });

/**
 * A configuration that is gone or broken must not keep an attachment from being deleted: the one that
 * ADD remembered does as well.
 */
const networkForDel = (name: string, netns: string | undefined, session: Session) => {
  try {
    return findNetwork(name, session.places.confDir);
  } catch (error) {
    const network = name.includes('/') ? undefined : session.rememberedNetwork(name, netns);
    if (network === undefined) throw error;
    session.runtime.note(`using the configuration remembered at add: ${(error as Error).message}`);
    return network;
  }
};

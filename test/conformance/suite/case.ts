import type { RequirementId } from '../requirements.ts';
import type { Profile } from './profiles.ts';
import type { Subject } from './subjects.ts';
import type { Trial } from './trial.ts';

/** Every version of the specification that a configuration may name, oldest first. */
export const specVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

export type SpecVersion = (typeof specVersions)[number];

/**
 * One thing that a plugin has to do, tried for each plugin and version that it applies to. It sees a plugin
 * through the CNI protocol and the kernel alone, so that it holds for any implementation.
 */
export interface Case {
  /** Names the case in reports and in the lists of known failures: unique, kebab-case. */
  id: string;
  /** The requirements that it shows; none for a scenario of one plugin's own keys. */
  covers: readonly RequirementId[];
  title: string;
  /** The plugins that it is about. */
  applies(profile: Profile): boolean;
  /** The versions worth a trial; all that the plugin announces unless given. `newest`: the newest announced. */
  versions?: 'newest' | ((version: SpecVersion) => boolean);
  /** The directories worth a trial; all unless given. */
  subjects?(subject: Subject): boolean;
  /** Throws when the plugin does not do it. */
  run(trial: Trial): Promise<void>;
}

/** For `applies`: the plugins of these type names. */
export const only =
  (...types: string[]) =>
  ({ type }: Profile): boolean =>
    types.includes(type);

/** For `applies`: every plugin. */
export const every = (): boolean => true;

/** For `applies`: plugins that make an interface for a container. */
export const interfacePlugins = ({ role }: Profile): boolean => role === 'interface';

/** For `applies`: plugins that hand out addresses. */
export const ipamPlugins = ({ role }: Profile): boolean => role === 'ipam';

/** For `applies`: plugins that change what an earlier one of the chain has made. */
export const chainedPlugins = ({ role }: Profile): boolean => role === 'chained';

/** For `applies`: plugins that call another one for addresses. */
export const delegatingPlugins = ({ delegates }: Profile): boolean => delegates === true;

/** For `versions`: this one and later ones. */
export const from =
  (first: SpecVersion) =>
  (version: SpecVersion): boolean =>
    specVersions.indexOf(version) >= specVersions.indexOf(first);

/** For `versions`: those before this one. */
export const before =
  (first: SpecVersion) =>
  (version: SpecVersion): boolean =>
    !from(first)(version);

/**
 * For `versions`: this one, which is the oldest that knows what the case is about, and those since 1.0.0. For
 * what does not depend on the version, but has to be there in results of either shape.
 */
export const oldAndNew =
  (oldest: SpecVersion) =>
  (version: SpecVersion): boolean =>
    version === oldest || from('1.0.0')(version);

import { describe, type TestContext, test } from 'vitest';
import { createHost } from '../../support/test-host.ts';
import { allCases } from '../cases/all.ts';
import type { Case, SpecVersion } from './case.ts';
import { findKnownFailure } from './known-failures.ts';
import { type Profile, profileOf } from './profiles.ts';
import { type Subject, subjects, versionsOf } from './subjects.ts';
import { Trial } from './trial.ts';

/** What a report has to know of a trial beside its outcome; in the test's `meta.conformance`. */
export interface TrialMeta {
  subject: string;
  case: string;
  covers: readonly string[];
  plugin: string;
  version: SpecVersion;
  /** The reason, when it failed as the list of known failures says. */
  known?: string;
}

declare module 'vitest' {
  interface TaskMeta {
    conformance?: TrialMeta;
  }
}

/** Registers a test for every case that applies to a plugin, in each version, of each subject. */
export const conformanceOf = (type: string): void => {
  const profile = profileOf(type);
  const cases = allCases.filter((candidate) => candidate.applies(profile));
  for (const subject of subjects()) {
    describe(`${subject.name}: ${type}`, () => {
      const announced = versionsOf(subject, type);
      if (announced.length === 0) {
        test('is not tried', (context) => context.skip('it is not there, or announces no such version'));
      }
      for (const candidate of cases.filter(({ subjects: worth }) => worth?.(subject) ?? true)) {
        for (const version of versionsFor(candidate, announced)) {
          const title = [...candidate.covers, candidate.id, version].join(' ');
          test(`${title}: ${candidate.title}`, (context) =>
            tryCase(candidate, subject, profile, version, context));
        }
      }
    });
  }
};

const versionsFor = ({ versions }: Case, announced: readonly SpecVersion[]): readonly SpecVersion[] => {
  if (versions === 'newest') return announced.slice(-1);
  return versions === undefined ? announced : announced.filter(versions);
};

/** A case that is known to fail has to fail, unless it does so only sometimes. */
const tryCase = async (
  candidate: Case,
  subject: Subject,
  profile: Profile,
  version: SpecVersion,
  context: TestContext,
): Promise<void> => {
  const { id, covers } = candidate;
  const meta: TrialMeta = { subject: subject.name, case: id, covers, plugin: profile.type, version };
  context.task.meta.conformance = meta;
  const known = findKnownFailure(subject.known, { case: id, plugin: profile.type, version });
  const attempt = async (): Promise<void> => {
    await using host = await createHost({ name: id });
    await profile.prepare?.(host);
    await candidate.run(new Trial(subject, profile, version, host, context));
  };
  if (known === undefined) return attempt();
  const failure = await attempt().then(
    () => undefined,
    (error: unknown) => error,
  );
  if (isSkip(failure)) throw failure;
  if (failure === undefined && known.sometimes) return;
  if (failure === undefined) throw new Error(`passes, but is listed as known to fail: ${known.reason}`);
  meta.known = known.reason;
};

/** What `context.skip()` throws. */
const isSkip = (error: unknown): boolean =>
  (error as { code?: unknown } | undefined)?.code === 'VITEST_PENDING';

import { isObject } from '../cni/fields.ts';
import { existsSync, readFileSync } from '../kernel/files.ts';
import { failedWith, ioFailure } from '../store/io-failure.ts';
import { writeWhole } from '../store/whole-file.ts';
import type { Labels } from './records.ts';

/** What the agent knows of the cluster, for pools that go by labels: a plugin call asks nobody for it. */
export interface ClusterFacts {
  nodeLabels: Labels;
  /** The labels of every namespace, by its name. */
  namespaces: Record<string, Labels>;
}

/** The facts that the agent left; none where it did not run. Throws CniError 5. */
export const readClusterFacts = (dataDir: string): ClusterFacts => {
  const file = fileIn(dataDir);
  // Asked first, as an error costs an ADD more than the question.
  if (!existsSync(file)) return { nodeLabels: {}, namespaces: {} };
  try {
    const json: unknown = JSON.parse(readFileSync(file));
    if (isObject(json) && isObject(json.nodeLabels) && isObject(json.namespaces)) {
      return json as unknown as ClusterFacts;
    }
  } catch (error) {
    if (!failedWith(error, 'ENOENT') && !(error instanceof SyntaxError))
      throw ioFailure(`read ${file}`, error);
  }
  return { nodeLabels: {}, namespaces: {} };
};

/** Leaves the facts for plugin calls. Throws CniError 5. */
export const writeClusterFacts = (dataDir: string, facts: ClusterFacts): void => {
  const file = fileIn(dataDir);
  try {
    writeWhole(file, `${JSON.stringify(facts)}\n`);
  } catch (error) {
    throw ioFailure(`write ${file}`, error);
  }
};

/** No network's name begins with a dot. */
const fileIn = (dataDir: string): string => `${dataDir}/.cluster.json`;

import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expectSuccess, findProgram, runProcess } from '../support/process.ts';

export const manifests = resolve(import.meta.dirname, '../../conf/kubernetes');

/** The kustomizations of conf/kubernetes, by their directories there. */
export const kustomizations = [
  'base',
  ...readdirSync(join(manifests, 'overlays'))
    .sort()
    .map((name) => `overlays/${name}`),
];

export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
  data?: Record<string, string>;
  rules?: unknown;
  spec?: { template: { spec: PodSpec } };
}

export interface PodSpec {
  initContainers?: Container[];
  containers: Container[];
  volumes: { name: string; hostPath?: { path: string; type: string }; configMap?: { name: string } }[];
}

export interface Container {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  env?: { name: string; value?: string }[];
  envFrom?: { configMapRef: { name: string } }[];
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  securityContext: {
    privileged?: boolean;
    allowPrivilegeEscalation: boolean;
    readOnlyRootFilesystem: boolean;
    capabilities: { drop: string[]; add?: string[] };
  };
  volumeMounts?: { name: string; mountPath: string }[];
}

export interface Probe {
  httpGet: { host: string; port: number; path: string };
}

/** Why nothing can be rendered, or undefined. kubectl before 1.24 tells no version of its kustomize; 1.20's is too old. */
export const lackingKustomize = async (): Promise<string | undefined> => {
  const kubectl = findKubectl();
  if (kubectl === undefined) return 'not installed: kubectl';
  const { stdout } = await runProcess([kubectl, 'version', '--client', '--output=json']);
  const { clientVersion, kustomizeVersion } = JSON.parse(stdout || '{}');
  if (kustomizeVersion !== undefined) return undefined;
  return `needs kubectl 1.24 or later, got ${clientVersion?.gitVersion ?? 'one that tells no version'}`;
};

/** What `kubectl apply -k` would send for a kustomization. */
export const render = async (kustomization: string): Promise<Manifest[]> => {
  const text = expectSuccess(
    await runProcess([findKubectl() ?? 'kubectl', 'kustomize', join(manifests, kustomization)]),
  );
  return [Bun.YAML.parse(text)].flat() as Manifest[];
};

/** The only one of its kind. */
export const only = (objects: Manifest[], kind: string): Manifest => {
  const [object, ...others] = objects.filter((candidate) => candidate.kind === kind);
  if (object === undefined || others.length > 0) throw new Error(`${others.length + 1} of the kind ${kind}`);
  return object;
};

export const podOf = (objects: Manifest[]): PodSpec => {
  const { spec } = only(objects, 'DaemonSet');
  if (spec === undefined) throw new Error('a DaemonSet without spec');
  return spec.template.spec;
};

export const containersOf = ({ initContainers = [], containers }: PodSpec): Container[] => [
  ...initContainers,
  ...containers,
];

/** A ConfigMap, by the name that kustomize gave it. */
export const configMap = (objects: Manifest[], name: string | undefined): Record<string, string> => {
  const found = objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name);
  if (found?.data === undefined) throw new Error(`there is no ConfigMap ${name}`);
  return found.data;
};

const findKubectl = (): string | undefined => {
  const asset = join(process.env.KUBEBUILDER_ASSETS ?? '', 'kubectl');
  return process.env.KUBEBUILDER_ASSETS && existsSync(asset) ? asset : findProgram('kubectl');
};

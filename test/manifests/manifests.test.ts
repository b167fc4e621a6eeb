import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildConflist, parseTemplate } from '../../agent/conflist.ts';
import { type AgentFlags, parseAgentSettings } from '../../agent/settings.ts';
import { parseNetworkList } from '../../cli/run/network.ts';
import { pluginNames } from '../../shared/cni/plugin-names.ts';
import { parseCidr } from '../../shared/kernel/address-math.ts';
import { podwireBin } from '../support/binaries.ts';
import { nodeReaderRole } from '../support/kubernetes/kube-apiserver.ts';
import { skipFor } from '../support/needs.ts';
import { expectSuccess, runProcess } from '../support/process.ts';
import {
  type Container,
  configMap,
  containersOf,
  kustomizations,
  lackingKustomize,
  type Manifest,
  manifests,
  only,
  podOf,
  render,
} from './rendered.ts';

// What `kubectl apply -k` would send, against what the executable takes and does.

let lacking: string | undefined;
const rendered = new Map<string, Manifest[]>();
beforeAll(async () => {
  lacking = await lackingKustomize();
  if (lacking !== undefined) return;
  for (const name of kustomizations) rendered.set(name, await render(name));
});
beforeEach((context) => skipFor(context, lacking));

const objectsOf = (kustomization: string): Manifest[] => rendered.get(kustomization) ?? [];
const agentOf = (objects: Manifest[]): Container | undefined =>
  podOf(objects).containers.find(({ name }) => name === 'agent');

describe.each(kustomizations)('%s', (kustomization) => {
  const objects = () => objectsOf(kustomization);

  test('has one image in all containers, which an overlay names', () => {
    const images = new Set(containersOf(podOf(objects())).map(({ image }) => image));
    expect(images.size).toBe(1);
    const name = kustomization === 'base' ? /^podwire$/ : /^[a-z.]+\/([a-z]+\/)*podwire:[a-z0-9.]+$/;
    expect([...images][0]).toMatch(name);
  });

  test('gives only flags that the executable has', async () => {
    let flags = 0;
    for (const { args, command } of containersOf(podOf(objects()))) {
      if (command !== undefined) continue;
      const [subcommand = '', ...given] = args ?? [];
      const help = expectSuccess(await runProcess([`${podwireBin}/podwire`, subcommand, '--help']));
      for (const flag of given) {
        expect(help, flag).toMatch(new RegExp(`^ +${flag.split('=')[0]}[ ,]`, 'm'));
        flags += 1;
      }
    }
    expect(flags).toBeGreaterThan(0);
  });

  test('gives containers no more than capabilities that are named, and mounts what there is', () => {
    const pod = podOf(objects());
    for (const { name, securityContext, volumeMounts = [] } of containersOf(pod)) {
      const { privileged, capabilities, ...others } = securityContext;
      expect(privileged, name).toBeUndefined();
      expect(others).toMatchObject({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true });
      expect(capabilities.drop).toEqual(['ALL']);
      const added = { install: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER'], agent: ['NET_ADMIN'] }[name];
      expect(capabilities.add, name).toEqual(added);
      for (const mount of volumeMounts)
        expect(pod.volumes.map((volume) => volume.name)).toContain(mount.name);
    }
    const mounted = containersOf(pod).flatMap(({ volumeMounts = [] }) =>
      volumeMounts.map(({ name }) => name),
    );
    expect(new Set(mounted)).toEqual(new Set(pod.volumes.map(({ name }) => name)));
    const maps = pod.volumes.flatMap(({ configMap }) => configMap ?? []);
    expect(maps).not.toHaveLength(0);
    for (const { name } of maps) configMap(objects(), name);
  });

  test('mounts the node’s directories where the executable looks for them', () => {
    const pod = podOf(objects());
    const paths = new Map(pod.volumes.map(({ name, hostPath }) => [name, hostPath?.path]));
    let mounts = 0;
    for (const container of containersOf(pod)) {
      for (const { name, mountPath } of container.volumeMounts ?? []) {
        const path = paths.get(name);
        if (path === undefined) continue;
        const root = container.args?.includes('--host-root=/host') || name === 'sysctl' ? '/host' : '';
        expect(mountPath).toBe(`${root}${path}`);
        mounts += 1;
      }
    }
    expect(mounts).toBeGreaterThan(0);
    const environment = agentOf(objects())?.env ?? [];
    if (environment.length > 0)
      expect(environment).toContainEqual({ name: 'PODWIRE_SYSCTL_DIR', value: '/host/proc/sys' });
  });

  test('has a network configuration that the executable takes', () => {
    const pod = podOf(objects());
    const map = pod.volumes.find(({ name }) => name === 'conflist')?.configMap?.name;
    const [[file, text = ''] = ['']] = Object.entries(configMap(objects(), map));
    const { plugins } = parseNetworkList(text, file);
    const types = plugins.flatMap(({ type, json }) => [type, (json.ipam as { type: string }).type]);
    for (const type of types) expect(pluginNames).toContain(type);
    // containerd 1.6, whose libcni knows no cniVersions, knows 1.0.0.
    expect(JSON.parse(text)).toMatchObject({ cniVersion: '1.0.0', cniVersions: ['1.0.0', '1.1.0'] });
  });
});

const withAgent = kustomizations.filter((name) => name !== 'overlays/bridge-only');

describe.each(withAgent)('the agent of %s', (kustomization) => {
  const objects = () => objectsOf(kustomization);

  test('has the rights that the registry needs, and no others', () => {
    const role = only(objects(), 'ClusterRole');
    expect(role.rules).toEqual(nodeReaderRole.rules);
    expect(only(objects(), 'ClusterRoleBinding')).toMatchObject({
      roleRef: { kind: 'ClusterRole', name: role.metadata.name },
      subjects: [
        { kind: 'ServiceAccount', ...pick(only(objects(), 'ServiceAccount').metadata, 'name', 'namespace') },
      ],
    });
    expect(podOf(objects())).toMatchObject({
      serviceAccountName: only(objects(), 'ServiceAccount').metadata.name,
    });
  });

  test('takes its settings, and is probed where it serves', () => {
    const { args = [], envFrom = [], livenessProbe, readinessProbe } = agentOf(objects()) as Container;
    const settings = configMap(objects(), envFrom[0]?.configMapRef.name);
    const flags = args.slice(1).map((argument): [string, string] => {
      const [, name = '', value = ''] = /^--([a-z-]+)=(.*)$/.exec(argument) ?? [];
      const filled = value.replace(/\$\(([A-Z_]+)\)/g, (_, key: string) => {
        expect(settings, argument).toHaveProperty(key);
        return settings[key] ?? '';
      });
      return [name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()), filled];
    });
    const { health, registry, vni } = parseAgentSettings(Object.fromEntries(flags) as AgentFlags, {
      NODE_NAME: 'n1',
    });
    expect(registry).toEqual({ kind: 'kubernetes', kubeconfig: undefined });
    expect(vni).toBe(1);
    const where = { host: health?.hostname, port: health?.port };
    expect(livenessProbe?.httpGet).toEqual({ ...where, path: '/healthz' });
    expect(readinessProbe?.httpGet).toEqual({ ...where, path: '/readyz' });
    for (const key of Object.keys(settings)) expect(args.join(' ')).toContain(`$(${key})`);
  });

  test('writes with its template what it writes without one', () => {
    const map = podOf(objects()).volumes.find(({ name }) => name === 'conflist')?.configMap?.name;
    const template = parseTemplate(configMap(objects(), map)['conflist.json'] ?? '', 'conflist.json');
    const node = {
      vni: 1,
      port: 8472,
      mode: 'vxlan',
      mtu: undefined,
      podCIDRs: ['10.244.1.0/24', 'fd00:1::/64'],
    };
    expect(JSON.parse(buildConflist(node, template))).toEqual(JSON.parse(buildConflist(node, undefined)));
  });
});

test.each(['kind', 'dual-stack'])('the kind cluster of %s has no other network', (overlay) => {
  const { networking } = readYaml(`overlays/${overlay}/kind.yaml`);
  expect(networking.disableDefaultCNI).toBe(true);
  expectNetworks(networking.podSubnet, overlay === 'dual-stack');
});

test.each(['kubeadm', 'dual-stack'])('the kubeadm cluster of %s gives nodes pod ranges', (overlay) => {
  const { networking } = readYaml(`overlays/${overlay}/kubeadm.yaml`);
  expectNetworks(networking.podSubnet, overlay === 'dual-stack');
  expectNetworks(networking.serviceSubnet, overlay === 'dual-stack');
});

const readYaml = (file: string): { networking: Record<string, unknown> } =>
  Bun.YAML.parse(readFileSync(join(manifests, file), 'utf8')) as never;

const expectNetworks = (text: unknown, dual: boolean): void => {
  const families = String(text)
    .split(',')
    .map((network) => parseCidr(network)?.family);
  expect(families).toEqual(dual ? [4, 6] : [4]);
};

const pick = <T extends object, K extends keyof T>(object: T, ...keys: K[]): Pick<T, K> =>
  Object.fromEntries(keys.map((key) => [key, object[key]])) as Pick<T, K>;

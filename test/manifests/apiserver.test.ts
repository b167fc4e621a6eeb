import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { KubeApiServer, lackingApiServer } from '../support/kubernetes/kube-apiserver.ts';
import { skipFor } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';
import { kustomizations, lackingKustomize, type Manifest, manifests, render } from './rendered.ts';

// A real API server is asked whether it would take each object: with its schemas, defaults and validation.

let lacking: string | undefined;
let server: KubeApiServer;
beforeAll(async () => {
  lacking = lackingApiServer() ?? (await lackingKustomize());
  if (lacking !== undefined) return;
  server = await KubeApiServer.start();
  const systemNamespace = async () => (await ask('/api/v1/namespaces/kube-system')).status === 200;
  await waitUntil('the server has made kube-system', systemNamespace, 60_000);
}, 120_000);
afterAll(() => server?.dispose());
beforeEach((context) => skipFor(context, lacking));

const ask = (path: string, body?: unknown): Promise<Response> =>
  fetch(`${server.url}${path}`, {
    tls: { ca: server.authority.own.cert },
    headers: { authorization: 'Bearer admin-token', 'content-type': 'application/json' },
    ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
  });

/** The server's answer to the object's creation, of which nothing stays; a field that it does not know is refused. */
const dryRun = async (object: Manifest): Promise<{ status: number; message: string }> => {
  const group = object.apiVersion.includes('/') ? `/apis/${object.apiVersion}` : `/api/${object.apiVersion}`;
  const { resources } = (await (await ask(group)).json()) as { resources: Resource[] };
  const resource = resources.find(({ kind, name }) => kind === object.kind && !name.includes('/'));
  if (resource === undefined) throw new Error(`the server has no ${object.apiVersion} ${object.kind}`);
  const namespace = resource.namespaced ? `/namespaces/${object.metadata.namespace}` : '';
  const answer = await ask(`${group}${namespace}/${resource.name}?dryRun=All&fieldValidation=Strict`, object);
  const { message = '' } = (await answer.json()) as { message?: string };
  return { status: answer.status, message };
};

interface Resource {
  name: string;
  kind: string;
  namespaced: boolean;
}

const taken = { status: 201, message: '' };

test.each(kustomizations)('the API server takes all objects of %s', async (kustomization) => {
  const objects = await render(kustomization);
  expect(objects.length).toBeGreaterThan(1);
  for (const object of objects) {
    expect(await dryRun(object), `${object.kind} ${object.metadata.name}`).toEqual(taken);
  }
});

test('and the custom resources', async () => {
  const objects = Bun.YAML.parse(readFileSync(join(manifests, 'crds.yaml'), 'utf8')) as Manifest[];
  expect(objects).toHaveLength(3);
  for (const object of objects) expect(await dryRun(object), object.metadata.name).toEqual(taken);
});

test('a field that there is none of would be refused', async () => {
  const objects = await render('base');
  const daemonSet = objects.find(({ kind }) => kind === 'DaemonSet') as Manifest;
  const wrong = { ...daemonSet, spec: { ...daemonSet.spec, updateStrategie: {} } } as unknown as Manifest;
  expect(await dryRun(wrong)).toMatchObject({
    status: 400,
    message: expect.stringContaining('updateStrategie'),
  });
});

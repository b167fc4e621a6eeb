import { createKubernetesRegistry } from '../../agent/registry/kubernetes.ts';

// Lists the nodes by the kubeconfig given, in a process of its own, whose environment its caller decides.
try {
  const { nodes } = await createKubernetesRegistry({ kubeconfig: process.argv[2] }).list(
    new AbortController().signal,
  );
  console.log(nodes.map(({ name }) => name).join(' '));
} catch (error) {
  console.log((error as Error).message);
}

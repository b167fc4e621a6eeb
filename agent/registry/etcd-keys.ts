import { CniError, ErrorCode } from '../../shared/cni/errors.ts';

/**
 * Where things are in etcd, below a prefix:
 *
 * - `nodes/<name>` is a node's registration: `{ "name", "addresses", "podCIDRs" }`, the form that a file registry has.
 *   It is durable. A node is a peer for as long as it is there.
 * - `nodes/<name>/alive` is there while the node's agent is, as it goes with a lease that the agent keeps alive:
 *   `{ "instance" }`, which tells two nodes of one name apart.
 * - `subnets/<prefix>` says which node has a pod prefix: `{ "node" }`. It is durable, so that a node gets the same again.
 *
 * A registration is removed by the node itself when it leaves, which all others see at once; or by any other node, when
 * the node was not alive for the grace time. It is removed by a transaction that holds only while the node is still not
 * alive, so that whoever is cut off from etcd, or has old news, removes nobody.
 */
export class RegistryKeys {
  readonly nodes: string;
  readonly subnets: string;

  /** Throws CniError 7 for a prefix that has no name in it. */
  constructor(prefix: string) {
    const trimmed = prefix.replace(/\/+$/, '');
    if (!/^[\x21-\x7e]{1,200}$/.test(trimmed)) {
      throw new CniError(ErrorCode.invalidNetworkConfig, `the etcd prefix "${prefix}" is not usable`, {
        details: 'It must be 1 to 200 printable ASCII characters without spaces, such as /podwire.',
      });
    }
    this.nodes = `${trimmed}/nodes/`;
    this.subnets = `${trimmed}/subnets/`;
  }

  /** Throws CniError 7 for a name that cannot be part of a key. */
  node(name: string): string {
    if (/^[A-Za-z0-9._-]{1,253}$/.test(name)) return this.nodes + name;
    throw new CniError(ErrorCode.invalidNetworkConfig, `the node's name "${name}" is not usable`, {
      details: 'It must be 1 to 253 letters, digits, ".", "_" and "-".',
    });
  }

  alive(name: string): string {
    return `${this.node(name)}/alive`;
  }

  subnet(prefix: string): string {
    return this.subnets + prefix;
  }

  /** What a key below `nodes` is; undefined for a key that is none of ours. */
  read(key: string): { name: string; is: 'registration' | 'liveness' } | undefined {
    const [name = '', ...more] = key.slice(this.nodes.length).split('/');
    if (!key.startsWith(this.nodes) || name === '') return undefined;
    if (more.length === 0) return { name, is: 'registration' };
    return more.join('/') === 'alive' ? { name, is: 'liveness' } : undefined;
  }
}

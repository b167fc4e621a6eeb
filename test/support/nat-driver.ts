// Run by the kernel tests inside a test host: one sync or removal of the overlay's NAT, its arguments as JSON,
// and on stdout what it returned.
import { removeOutgoingNat, syncOutgoingNat } from '../../shared/overlay/nat-outgoing.ts';

export interface NatRequest {
  verb: 'sync' | 'remove';
  sources?: string[];
  excluded?: string[];
  /** For a removal: the one to keep. */
  backend?: 'nftables' | 'iptables' | undefined;
  vni?: number;
}

const {
  verb,
  vni = 1,
  sources = [],
  excluded = [],
  backend,
} = JSON.parse(process.argv[2] ?? '') as NatRequest;
const answer =
  verb === 'sync'
    ? await syncOutgoingNat({ vni, sources, excluded, backend })
    : await removeOutgoingNat(vni, backend);
await Bun.write(Bun.stdout, JSON.stringify(answer));

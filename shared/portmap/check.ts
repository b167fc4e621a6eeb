import { type FilterBackend, filterStatus } from '../filter/backend.ts';
import { findNftLacks } from '../filter/nft-lacks.ts';
import { readingNft } from '../kernel/nft-socket.ts';
import type { PortmapRequest } from './add.ts';
import { findIptablesPortmapLacks } from './iptables-apply.ts';
import { findLocalnetLacks } from './localnet.ts';
import { portmapPlan } from './nft.ts';
import { readPortmap } from './record.ts';

/** What the kernel lacks of an attachment's host ports, each for a reader. */
export const findPortmapLacks = ({
  owner,
  options: asked,
  addresses,
}: Pick<PortmapRequest, 'owner' | 'options' | 'addresses'>): string[] => {
  const record = readPortmap(owner);
  const options = { ...asked, except: record?.options.except ?? [] };
  const known = record?.backend ?? options.backend;
  const backends: FilterBackend[] = known === undefined ? ['nftables', 'iptables'] : [known];
  return readingNft((socket) => {
    const lacks = backends.map((backend) =>
      backend === 'nftables'
        ? findNftLacks(socket, [portmapPlan(owner, options, addresses)]).map(({ what }) => what)
        : findIptablesPortmapLacks(socket, owner, options, addresses),
    );
    const [fewest = []] = lacks.toSorted((first, second) => first.length - second.length);
    return [...fewest, ...findLocalnetLacks(options, addresses)];
  });
};

/** For STATUS: throws CniError 50 that names what the backend lacks. */
export const portmapStatus = (backend: FilterBackend | undefined): void =>
  filterStatus(backend, { name: 'portmap', backendKey: 'backend' });

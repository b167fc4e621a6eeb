import { CniError, ErrorCode } from '../cni/errors.ts';
import { iptablesTool, legacyTablePresent, readIptablesTable } from '../kernel/iptables.ts';
import { kernelHasNftables } from '../kernel/nft-read.ts';
import { type NftSocket, readingNft } from '../kernel/nft-socket.ts';
import { toolPath } from '../kernel/tool-path.ts';

export type FilterBackend = 'nftables' | 'iptables';

/** nftables where the program and the kernel's part are there, else iptables. Writes nothing, starts no child. */
export const detectBackend = (socket: NftSocket): FilterBackend =>
  toolPath('nft') !== undefined && kernelHasNftables(socket) ? 'nftables' : 'iptables';

/**
 * For STATUS: throws CniError 50 that names what the backend lacks. Writes no rule; starts a child only
 * for iptables on a kernel that shows neither of its variants yet.
 */
export const filterStatus = (backend?: FilterBackend, feature: FilterFeature = MASQUERADE): void =>
  readingNft((socket) => requireBackend(socket, backend ?? detectBackend(socket), feature));

/** What needs the packet filter, and the key that chooses its backend, for error messages. */
export interface FilterFeature {
  name: string;
  backendKey: string;
}

const MASQUERADE: FilterFeature = { name: 'ipMasq', backendKey: 'ipMasqBackend' };

const requireBackend = (socket: NftSocket, backend: FilterBackend, feature: FilterFeature): void => {
  const unavailable = (problem: string, details: string): CniError =>
    new CniError(ErrorCode.notAvailable, `${feature.name} cannot work: ${problem}`, { details });
  if (backend === 'nftables') {
    if (toolPath('nft') === undefined)
      throw unavailable('nft is not installed', 'Install the package nftables.');
    if (!kernelHasNftables(socket)) {
      const details = `Load the module nf_tables, or set "${feature.backendKey}": "iptables".`;
      throw unavailable('the kernel has no nftables', details);
    }
    return;
  }
  const tool = iptablesTool(4, 'default', 'restore');
  if (toolPath(tool) === undefined)
    throw unavailable(`${tool} is not installed`, 'Install the package iptables.');
  if (kernelHasNftables(socket) || legacyTablePresent(4, 'nat')) return;
  try {
    readIptablesTable(4, 'default', 'nat');
  } catch (error) {
    throw unavailable('the kernel has no iptables nat table', String(error));
  }
};

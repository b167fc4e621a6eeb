import { CniError, ErrorCode } from '../cni/errors.ts';
import { detectBackend } from '../filter/backend.ts';
import { iptablesTool } from '../kernel/iptables.ts';
import { kernelHasNftables } from '../kernel/nft-read.ts';
import { readingNft } from '../kernel/nft-socket.ts';
import { toolPath } from '../kernel/tool-path.ts';
import { firewalldIsRunning } from './firewalld.ts';
import type { FirewallOptions } from './options.ts';

/** Throws CniError 50 that names what the backend lacks. Changes nothing, starts no child. */
export const firewallStatus = ({ backend, ingressPolicy }: FirewallOptions): void =>
  readingNft((socket) => {
    const isZoned = backend === 'firewalld' || (backend === undefined && firewalldIsRunning());
    if (backend === 'firewalld' && !firewalldIsRunning()) {
      throw unavailable('firewalld is not running', 'Start it, or choose another "backend".');
    }
    if (isZoned && ingressPolicy === 'open') return;
    const filter = backend === 'nftables' || backend === 'iptables' ? backend : detectBackend(socket);
    if (filter === 'iptables') return requireIptables();
    if (toolPath('nft') === undefined) {
      throw unavailable('nft is not installed', 'Install the package nftables.');
    }
    if (!kernelHasNftables(socket)) {
      throw unavailable(
        'the kernel has no nftables',
        'Load the module nf_tables, or set "backend": "iptables".',
      );
    }
  });

const requireIptables = (): void => {
  for (const action of ['restore', 'save'] as const) {
    const tool = iptablesTool(4, 'default', action);
    if (toolPath(tool) !== undefined) continue;
    throw unavailable(`${tool} is not installed`, 'Install the package iptables.');
  }
};

const unavailable = (problem: string, details: string): CniError =>
  new CniError(ErrorCode.notAvailable, `the firewall cannot work: ${problem}`, { details });

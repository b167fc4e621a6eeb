// Run by the kernel tests inside a test host, as a plugin would be: one verb, its arguments as JSON,
// and on stdout `{ value }` or `{ error }`.
import { toCniError } from '../../shared/cni/errors.ts';
import type { Attachment } from '../../shared/cni/plugin.ts';
import { type FilterBackend, filterStatus } from '../../shared/filter/backend.ts';
import {
  applyMasquerade,
  checkMasquerade,
  collectMasquerade,
  removeMasquerade,
} from '../../shared/filter/masquerade.ts';
import type { Owner } from '../../shared/filter/owner.ts';
import type { MasqueradeAddress } from '../../shared/filter/pod-address.ts';
import { removeReferenceLeftovers } from '../../shared/filter/reference-leftovers.ts';
import { SPOOF_SETS, spoofCheckPlan } from '../../shared/filter/spoof-check.ts';

export interface FilterRequest {
  verb: 'apply' | 'remove' | 'check' | 'collect' | 'leftovers' | 'status';
  owner?: Owner;
  addresses?: MasqueradeAddress[];
  backend?: FilterBackend;
  fresh?: boolean;
  spoof?: { port: string; mac: string };
  network?: string;
  keep?: Attachment[];
}

const perform = async ({ verb, addresses, backend, ...request }: FilterRequest): Promise<unknown> => {
  const { owner = { network: '', containerId: '', ifname: '' }, spoof, fresh = false } = request;
  const plans = spoof === undefined ? [] : [spoofCheckPlan(owner, spoof.port, spoof.mac)];
  switch (verb) {
    case 'apply':
      return await applyMasquerade(owner, addresses ?? [], { backend, fresh, plans });
    case 'remove':
      return await removeMasquerade(owner, {
        addresses,
        backend,
        plans,
        sets: addresses === undefined ? SPOOF_SETS : [],
      });
    case 'check':
      return checkMasquerade(owner, addresses ?? [], backend ?? 'nftables', plans);
    case 'collect':
      return await collectMasquerade(request.network ?? '', request.keep ?? [], SPOOF_SETS);
    case 'leftovers':
      return await removeReferenceLeftovers(owner);
    case 'status':
      return filterStatus(backend);
  }
};

let answer: unknown;
try {
  answer = { value: await perform(JSON.parse(process.argv[2] ?? '') as FilterRequest) };
} catch (thrown) {
  const { code, message, details } = toCniError(thrown);
  answer = { error: { code, message, details } };
}
await Bun.write(Bun.stdout, JSON.stringify(answer));

import type { FilterBackend } from '../../shared/filter/backend.ts';
import { readFileSync, unlinkSync } from '../../shared/kernel/files.ts';
import { removeOutgoingNat, syncOutgoingNat } from '../../shared/overlay/nat-outgoing.ts';
import type { OutgoingNat } from '../../shared/overlay/nat-plan.ts';
import { failedWith, ioFailure } from '../../shared/store/io-failure.ts';
import { writeWhole } from '../../shared/store/whole-file.ts';

/**
 * Makes the NAT of an overlay, or none; and takes away what an earlier configuration made, of which a file beside
 * the overlay's state tells. Throws CniError 100, 104 or 5.
 */
export const bringNatAbout = async (
  vni: number,
  nat: (OutgoingNat & { backend: FilterBackend | undefined }) | undefined,
): Promise<void> => {
  const before = madeEarlier(vni);
  if (nat === undefined) {
    if (before === undefined) return;
    await removeOutgoingNat(vni);
    remember(vni, undefined);
    return;
  }
  const { backend } = await syncOutgoingNat(nat);
  if (before === backend) return;
  // The same rules twice do no harm: where the other backend's tools are gone, a later ADD tries again.
  if (before !== undefined && !(await isRemoved(vni, backend))) return;
  remember(vni, backend);
};

const isRemoved = (vni: number, kept: FilterBackend): Promise<boolean> =>
  removeOutgoingNat(vni, kept).then(
    () => true,
    () => false,
  );

const fileOf = (vni: number): string => `/run/podwire/overlay/${vni}/nat`;

const madeEarlier = (vni: number): string | undefined => {
  try {
    return readFileSync(fileOf(vni)).trim();
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw ioFailure(`read ${fileOf(vni)}`, error);
  }
};

const remember = (vni: number, backend: FilterBackend | undefined): void => {
  try {
    if (backend === undefined) unlinkSync(fileOf(vni));
    else writeWhole(fileOf(vni), `${backend}\n`);
  } catch (error) {
    // Another ADD may have done the same.
    if (!failedWith(error, 'ENOENT')) throw ioFailure(`write ${fileOf(vni)}`, error);
  }
};

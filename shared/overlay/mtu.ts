import { CniError, ErrorCode } from '../cni/errors.ts';
import { parseCidr } from '../kernel/address-math.ts';
import type { OverlaySettings, Underlay } from './types.ts';

/** The MTU of pods and the one of the VTEP, in bytes. */
export interface OverlayMtu {
  pods: number;
  vtep: number;
}

/**
 * What the underlay leaves, or what is configured, if that fits. Throws CniError 7 when the configured MTU
 * does not fit, or IPv6 would not work with it.
 */
export const overlayMtu = (
  { mtu, mode }: Pick<OverlaySettings, 'mtu' | 'mode'>,
  underlay: Underlay,
  podCIDRs: readonly string[],
): OverlayMtu => {
  const encapsulated = underlay.mtu - vxlanOverhead(underlay.address);
  const largest = mode === 'direct' ? underlay.mtu : encapsulated;
  if (mtu !== undefined && mtu > largest) throw tooLarge(mtu, largest, underlay);
  const pods = mtu ?? largest;
  if (pods < IPV6_MIN_MTU && podCIDRs.some((text) => parseCidr(text)?.family === 6)) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `an MTU of ${pods} bytes is too small for the IPv6 pod prefix ${podCIDRs.find((text) => text.includes(':'))}`,
      { details: `IPv6 needs ${IPV6_MIN_MTU} bytes (RFC 8200). ${origin(mtu, underlay)}` },
    );
  }
  return { pods, vtep: Math.min(pods, encapsulated) };
};

/** The bytes that VXLAN adds to an IP packet: outer IP and UDP headers, VXLAN header, inner Ethernet header. */
export const vxlanOverhead = (underlayAddress: string): number => (underlayAddress.includes(':') ? 70 : 50);

const IPV6_MIN_MTU = 1280;

const tooLarge = (mtu: number, largest: number, underlay: Underlay): CniError => {
  const overhead = underlay.mtu - largest;
  const reason =
    overhead === 0
      ? `the underlay device "${underlay.device}" has an MTU of ${underlay.mtu}`
      : `the underlay device "${underlay.device}" has an MTU of ${underlay.mtu}, of which VXLAN takes ${overhead}`;
  return new CniError(
    ErrorCode.invalidNetworkConfig,
    `"mtu" is ${mtu}, but at most ${largest} is possible: ${reason}`,
    { details: 'Leave "mtu" out to have it found, or give a smaller one; all nodes need the same.' },
  );
};

const origin = (mtu: number | undefined, { device, mtu: own }: Underlay): string =>
  mtu === undefined
    ? `The MTU of the underlay device "${device}" is ${own}.`
    : 'Give a larger "mtu", or no IPv6 prefix.';

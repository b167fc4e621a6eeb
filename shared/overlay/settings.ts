import type { Fields } from '../cni/fields.ts';
import { formatAddress, parseAddress } from '../kernel/address-math.ts';
import { type OverlayMode, type OverlaySettings, overlayDefaults, overlayModes } from './types.ts';

/**
 * The keys `vni`, `port`, `mode`, `underlay` and `mtu` of a configuration. Throws CniError 7 that names the
 * key and the value. Whether an MTU fits is known when the underlay is (`mtu.ts`).
 */
export const parseOverlaySettings = (fields: Fields): OverlaySettings => {
  const mode = fields.string('mode') ?? overlayDefaults.mode;
  if (!isMode(mode)) throw fields.invalid('mode', 'must be "vxlan", "direct" or "cross-subnet"');
  return {
    vni: fields.integer('vni', 1, MAX_VNI) ?? overlayDefaults.vni,
    port: fields.integer('port', 1, 65_535) ?? overlayDefaults.port,
    mode,
    underlay: underlayOf(fields),
    mtu: fields.integer('mtu', MIN_MTU, 65_535),
  };
};

const MAX_VNI = 0xff_ff_ff;

/** RFC 791: what every host must take in one piece. */
const MIN_MTU = 576;

const isMode = (text: string): text is OverlayMode => overlayModes.some((mode) => mode === text);

const underlayOf = (fields: Fields): string | undefined => {
  const text = fields.string('underlay');
  if (text === undefined) return undefined;
  const address = parseAddress(text);
  if (address !== undefined) return formatAddress(address);
  if (DEVICE_NAME.test(text)) return text;
  throw fields.invalid('underlay', 'must be the name of a network device or an address of one');
};

/** What the kernel takes (dev_valid_name), less what could not be a word of an `ip -batch`. */
const DEVICE_NAME = /^(?!\.{1,2}$)[^\s/:"'\\#\p{Cc}]{1,15}$/u;

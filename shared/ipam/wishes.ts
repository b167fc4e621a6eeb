import { Fields } from '../cni/fields.ts';
import type { NetworkConfig } from '../cni/plugin.ts';
import type { Address } from '../kernel/address-math.ts';
import { parseAddress } from '../kernel/address-math.ts';

/** What a pod wants of its own, apart from addresses requested by the CNI conventions. */
export interface PodWishes {
  /** The pools to use, in this order. */
  pools: string[] | undefined;
  addresses: Address[];
  isSticky: boolean | undefined;
  /** Whom a sticky address is for, instead of the pod by its name. */
  key: string | undefined;
  holdSeconds: number | undefined;
}

/**
 * The pod's annotations, which a runtime passes as the capability `io.kubernetes.cri.pod-annotations` (containerd and
 * CRI-O do), and `args.cni` for other runtimes: `podwire.dev/pools` or `pools`, `podwire.dev/addresses`,
 * `podwire.dev/sticky` or `sticky`, `stickyKey`, `podwire.dev/hold-seconds` or `holdSeconds`. Throws CniError 7.
 */
export const parseWishes = (config: NetworkConfig): PodWishes => {
  const runtime = new Fields(config.runtimeConfig, 'runtimeConfig');
  const annotations = runtime.fields('io.kubernetes.cri.pod-annotations');
  const args = new Fields(config.cniArgs, 'args.cni');
  const holdSeconds = annotations.string('podwire.dev/hold-seconds');
  if (holdSeconds !== undefined && !/^\d{1,9}$/.test(holdSeconds)) {
    throw annotations.invalid('podwire.dev/hold-seconds', 'must be a number of seconds');
  }
  const sticky = annotations.string('podwire.dev/sticky');
  if (sticky !== undefined && sticky !== 'true' && sticky !== 'false') {
    throw annotations.invalid('podwire.dev/sticky', 'must be "true" or "false"');
  }
  return {
    pools: split(annotations.string('podwire.dev/pools')) ?? args.strings('pools'),
    addresses: (split(annotations.string('podwire.dev/addresses')) ?? []).map((text) => {
      const address = parseAddress(text);
      if (address === undefined) {
        throw annotations.invalid('podwire.dev/addresses', `must list IP addresses; "${text}" is none`);
      }
      return address;
    }),
    isSticky: sticky === undefined ? args.boolean('sticky') : sticky === 'true',
    key: args.string('stickyKey') || undefined,
    holdSeconds:
      holdSeconds === undefined ? args.integer('holdSeconds', 0, 999_999_999) : Number(holdSeconds),
  };
};

const split = (text: string | undefined): string[] | undefined =>
  text
    ?.split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

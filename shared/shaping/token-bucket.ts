import type { RateLimit } from './bandwidth-keys.ts';

/** A limit in the kernel's units. */
export interface TokenBucket {
  /** Bytes per second. */
  rate: number;
  /** Bytes that may go out at once. */
  burst: number;
  /** Bytes that may wait; what comes beyond is dropped. */
  limit: number;
  /** Bytes of burst as the configuration has it, where that is another number: what the reference plugin uses. */
  asked?: number;
}

/**
 * The token bucket for a limit on an interface of that MTU.
 *
 * Burst: the one given, but never less than a full frame, as the kernel drops every packet that is larger
 * than the bucket (sch_tbf's max_size). Without one: what the rate lets through in 10 ms, the longest that
 * a kernel's timer may need to come back (HZ=100), and at least ten frames, without which TCP does not
 * get to the rate. At most what the kernel has bits for: 2^32 - 1 bytes, and 2^32 ticks of 64 ns at this
 * rate; the reference refuses more than the first and lets the second wrap around.
 *
 * Limit: the reference's, what the rate lets through in 25 ms, and the burst.
 */
export const tokenBucketOf = ({ rate: bits, burst, placeholder }: RateLimit, mtu: number): TokenBucket => {
  const rate = Math.floor(bits / 8);
  const frame = mtu + ETHERNET_HEADER;
  const given = bytesOf(burst);
  const asked = given ?? bytesOf(placeholder);
  const wanted = given ?? Math.max(Math.floor(rate / DEFAULT_BURSTS_PER_S), DEFAULT_BURST_FRAMES * frame);
  const longest = Math.floor(rate * LONGEST_BURST_S);
  const bytes = Math.max(Math.min(wanted, longest, MAX_U32), frame);
  return {
    rate,
    burst: bytes,
    limit: limitOf(rate, bytes),
    ...(asked === undefined || asked === bytes ? {} : { asked }),
  };
};

/** Whether a bucket that the kernel has is the wanted one, or what the reference plugin makes of the same limit. */
export const isBucket = (
  wanted: TokenBucket,
  { limit, bufferTicks }: { limit: number | undefined; bufferTicks: number },
): boolean =>
  [wanted.burst, ...(wanted.asked === undefined ? [] : [wanted.asked])].some(
    (burst) =>
      isNearly(bufferTicks, ticksOf(wanted.rate, burst)) &&
      (limit === undefined ||
        limit === limitOf(wanted.rate, burst) ||
        limit === wrappedLimit(wanted.rate, burst)),
  );

/** How long it takes to send the burst, in ticks, of which the kernel shows the lower 32 bits. */
export const ticksOf = (rate: number, burst: number): number =>
  Math.floor((burst / rate) * TICKS_PER_S) % TICKS_WRAP;

const bytesOf = (bits: number | undefined): number | undefined =>
  bits === undefined ? undefined : Math.min(Math.floor(bits / 8), MAX_U32);

const ETHERNET_HEADER = 14;
const MAX_U32 = 2 ** 32 - 1;
/** 25 ms and 10 ms, as divisors, which floating point has exactly. */
const LATENCIES_PER_S = 40;
const DEFAULT_BURSTS_PER_S = 100;
const DEFAULT_BURST_FRAMES = 10;
const TICKS_PER_S = 1e9 / 64;
const TICKS_WRAP = 2 ** 32;
const LONGEST_BURST_S = Math.floor(TICKS_WRAP / TICKS_PER_S);

const limitOf = (rate: number, burst: number): number => Math.min(wideLimit(rate, burst), MAX_U32);

const wrappedLimit = (rate: number, burst: number): number => wideLimit(rate, burst) % TICKS_WRAP;

const wideLimit = (rate: number, burst: number): number => Math.floor(rate / LATENCIES_PER_S) + burst;

/**
 * `tc` and the reference round the time down to µs (15.6 ticks) and then to ticks; the kernel, where it
 * is told the burst in bytes, computes by a multiplication that is exact to some 10^-9.
 */
const isNearly = (actual: number, wanted: number): boolean => {
  const difference = Math.abs(actual - wanted);
  return Math.min(difference, TICKS_WRAP - difference) <= 20;
};

import { describe, expect, test } from 'vitest';
import { isBucket, ticksOf, tokenBucketOf } from './token-bucket.ts';

describe('tokenBucketOf', () => {
  test('bits become bytes, and the limit is what goes out in 25 ms and the burst', () => {
    expect(tokenBucketOf({ rate: 10_000_000, burst: 1_000_000 }, 1500)).toEqual({
      rate: 1_250_000,
      burst: 125_000,
      limit: 156_250,
    });
  });

  test.each([
    // Ten frames of 1514 bytes up to some 12 Mbit/s, then what goes out in 10 ms.
    [1_000_000, 1500, 15_140],
    [12_000_000, 1500, 15_140],
    [100_000_000, 1500, 125_000],
    [10_000_000_000, 1500, 12_500_000],
    [1_000_000, 9000, 90_140],
    [10_000_000, 65_521, 655_350],
  ])('the default burst of %i bits per second with an MTU of %i is %i bytes', (rate, mtu, burst) => {
    expect(tokenBucketOf({ rate }, mtu).burst).toBe(burst);
    expect(tokenBucketOf({ rate, placeholder: 2 ** 31 - 1 }, mtu).burst).toBe(burst);
  });

  test('a burst less than a frame would let no full packet pass', () => {
    expect(tokenBucketOf({ rate: 8000, burst: 456 }, 1500)).toEqual({
      rate: 1000,
      burst: 1514,
      limit: 1539,
      asked: 57,
    });
  });

  test('nothing exceeds the bits that the kernel has for it', () => {
    const most = 2 ** 32 - 1;
    expect(tokenBucketOf({ rate: 8e10, burst: 8e12 }, 1500)).toMatchObject({ burst: most, limit: most });
    // 274 s of the rate, beyond which the time to fill the bucket would wrap around.
    expect(tokenBucketOf({ rate: 8_000_000, burst: 8 * most }, 1500)).toMatchObject({
      burst: 274_000_000,
      asked: most,
    });
  });
});

describe('isBucket', () => {
  const bucket = tokenBucketOf({ rate: 10_000_000, burst: 1_000_000 }, 1500);
  const ticks = ticksOf(bucket.rate, bucket.burst);

  test('ticks are of 64 ns; a µs of rounding is allowed', () => {
    expect(ticks).toBe(1_562_500);
    expect(isBucket(bucket, { bufferTicks: ticks - 16, limit: bucket.limit })).toBe(true);
    expect(isBucket(bucket, { bufferTicks: ticks - 160, limit: bucket.limit })).toBe(false);
    expect(isBucket(bucket, { bufferTicks: ticks, limit: bucket.limit + 1 })).toBe(false);
    expect(isBucket(bucket, { bufferTicks: ticks, limit: undefined })).toBe(true);
  });

  test('what the reference makes of a burst that we change is as good', () => {
    const small = tokenBucketOf({ rate: 8000, burst: 456 }, 1500);
    expect(isBucket(small, { bufferTicks: ticksOf(1000, 57), limit: 82 })).toBe(true);
    const large = tokenBucketOf({ rate: 10_000_000, placeholder: 2 ** 32 - 1 }, 1500);
    // 429.5 s are more than 2^32 ticks: they wrap around.
    expect(isBucket(large, { bufferTicks: 2_415_919_094, limit: 31_250 + (2 ** 29 - 1) })).toBe(true);
    expect(isBucket(large, { bufferTicks: 2_415_919_094, limit: 31_250 })).toBe(false);
  });
});

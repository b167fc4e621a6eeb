import { describe, expect, test } from 'vitest';
import { median, p95, quantile } from './statistics.ts';

describe('quantiles', () => {
  test('the median of an odd and an even number of values, in any order', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });

  test('lie between neighbours', () => {
    expect(quantile([10, 20], 0.25)).toBe(12.5);
    expect(p95(Array.from({ length: 101 }, (_, index) => index))).toBe(95);
  });

  test('of one value are that value, of none are not a number', () => {
    expect(p95([7])).toBe(7);
    expect(median([])).toBeNaN();
  });

  test('leave their argument as it was', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

import { expect, test } from 'vitest';
import { bootId } from './boot.ts';

test('the boot id is a UUID and stays the same', () => {
  expect(bootId()).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(bootId()).toBe(bootId());
});

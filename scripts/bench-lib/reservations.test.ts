import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { reserveAddresses } from './reservations.ts';

test('leaves the files that host-local would have left', () => {
  const directory = mkdtempSync(join(tmpdir(), 'reservations-'));
  try {
    reserveAddresses(directory, '10.88', 300);
    expect(readdirSync(directory)).toHaveLength(302);
    expect(readFileSync(join(directory, '10.88.0.2'), 'utf8')).toBe('resident-0\r\neth0');
    expect(readFileSync(join(directory, '10.88.1.0'), 'utf8')).toBe('resident-254\r\neth0');
    expect(readFileSync(join(directory, 'last_reserved_ip.0'), 'utf8')).toBe('10.88.1.45');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

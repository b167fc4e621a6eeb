import { expect, test } from 'vitest';
import { countExecutions } from './footprint.ts';

test('counts executions that succeeded, also those whose line another process interrupted', () => {
  const trace = [
    '100 execve("/opt/cni/bin/bridge", ["bridge"], 0x7ffe /* 8 vars */) = 0',
    '101 execve("/usr/local/sbin/ip", ["ip"], 0x7ffe /* 2 vars */) = -1 ENOENT (No such file or directory)',
    '101 execve("/usr/sbin/ip", ["ip"], 0x7ffe /* 2 vars */ <unfinished ...>',
    '102 execve("/usr/sbin/nft", ["nft"], 0x7ffe /* 2 vars */) = 0',
    '101 <... execve resumed>)               = 0',
    '100 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=101} ---',
    '',
  ].join('\n');
  expect(countExecutions(trace)).toBe(3);
});

import { expect, test } from 'vitest';
import { parseTrace, programsIn, readsStdin, readsStdinOrOpensSocket, stepsOf } from './trace.ts';

const trace = `81    execve("/opt/bridge", ["/opt/bridge"], 0x7f /* 3 vars */) = 0
81    read(3, "\\177ELF", 4) = 4
81    read(0, "{", 65536) = 1
81    clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD}, 88 <unfinished ...>
90    execve("/usr/local/sbin/ip", ["ip", "-batch", "-"], 0x7f) = -1 ENOENT (No such file or directory)
90    execve("/usr/sbin/ip", ["ip", "-batch", "-"], 0x7f /* 2 vars */ <unfinished ...>
81    <... clone3 resumed>) = 90
90    <... execve resumed>) = 0
81    unlink("/run/x") = -1 ENOENT (No such file or directory)
81    close(3) = 0
81    --- SIGCHLD {si_signo=SIGCHLD} ---
81    read(7, <unfinished ...>
90    socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) = 3
81    <... read resumed>"", 16384) = -1 EAGAIN (Resource temporarily unavailable)
81    write(1, "-1 ENOENT (", 11) = 11
81    exit_group(0) = ?
`;

test('the calls of each process, those that were interrupted by others put together', () => {
  const processes = parseTrace(trace);
  expect([...processes.keys()]).toEqual([81, 90]);
  expect(processes.get(81)?.map(({ syscall, failed }) => (failed ? `${syscall}!` : syscall))).toEqual([
    'execve',
    'read',
    'read',
    'clone3',
    'unlink!',
    'close',
    'read!',
    'write',
    'exit_group',
  ]);
});

test('steps begin with the first act, are counted from the start, and are left out after a failure', () => {
  expect(stepsOf(parseTrace(trace).get(81) ?? [], readsStdin)).toEqual([
    { syscall: 'read', n: 2 },
    { syscall: 'clone3', n: 1 },
    { syscall: 'unlink', n: 1 },
    { syscall: 'read', n: 3 },
    { syscall: 'exit_group', n: 1 },
  ]);
  expect(stepsOf(parseTrace(trace).get(90) ?? [], readsStdinOrOpensSocket)).toEqual([
    { syscall: 'socket', n: 1 },
  ]);
  expect(stepsOf(parseTrace('read(3, "", 1) = 0').get(0) ?? [], readsStdin)).toEqual([]);
});

test('the programs that children executed', () => {
  expect(programsIn(parseTrace(trace))).toEqual(['ip']);
});

import { createHost } from './test-host.ts';

// Makes a host, starts a process in it, prints its pid, and dies without any chance to clean up.
const host = await createHost();
const sleeper = host.start(['sleep', '1000']);
await Bun.write(Bun.stdout, `${sleeper.pid}\n`);
process.kill(process.pid, 'SIGKILL');

import { startTool } from '../kernel/command.ts';
import { withAttachment } from './attachment-lock.ts';

// A call that is killed while a tool of it is at work: `FILE TOOL ARGUMENT…`.
const [file = '', tool = '', ...args] = process.argv.slice(2);
await withAttachment(
  { network: 'pods', containerId: 'killed', ifname: 'eth0' },
  () => {
    startTool(tool, args);
    process.kill(process.pid, 'SIGKILL');
  },
  { file },
);

import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { Call, Plugin } from '../../shared/cni/plugin.ts';
import { readRules } from '../../shared/kernel/rule.ts';
import { toolPath } from '../../shared/kernel/tool-path.ts';
import { addSbr } from './add.ts';
import { checkSbr } from './check.ts';
import { parseConfig } from './config.ts';
import { delSbr } from './del.ts';

/** Throws CniError 50 when no rule can be set, 7 when the configuration is at fault. */
const status = (call: Call): void => {
  parseConfig(call);
  if (toolPath('ip') === undefined) throw unavailable('the "ip" command is missing', 'Install iproute2.');
  if (readRules(4) === undefined)
    throw unavailable('the kernel has no routing rules', 'It lacks CONFIG_IP_MULTIPLE_TABLES.');
};

const unavailable = (problem: string, details: string): CniError =>
  new CniError(ErrorCode.notAvailable, problem, { details });

/** Routes what a container sends by the interface whose address it sends from. */
export const plugin: Plugin = {
  title: 'sbr',
  add: addSbr,
  del: delSbr,
  check: checkSbr,
  // Nothing of it is on the host: rules and routes go with the container's netns.
  gc: () => {},
  status,
};

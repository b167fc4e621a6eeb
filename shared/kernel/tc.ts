import { SystemError } from './libc.ts';
import { queryRoute } from './netlink.ts';
import {
  type ClassState,
  type FilterState,
  parseClass,
  parseFilter,
  parseQdisc,
  type QdiscState,
  RTM_GETQDISC,
  RTM_GETTCLASS,
  RTM_GETTFILTER,
  TC_H_INGRESS,
  TC_H_ROOT,
  tcmsg,
} from './tc-message.ts';

/**
 * The queueing discipline at the root of an interface in the netns of the calling thread, undefined when
 * there is no such interface or it has none (it was never up). Only this one is asked for: the kernel
 * knows no dump of one interface, and that of all grows with the pods of a node.
 */
export const readRootQdisc = (linkIndex: number): QdiscState | undefined => readQdisc(linkIndex, TC_H_ROOT);

/** The same for what an interface receives: `ingress`, `clsact`, or undefined. */
export const readIngressQdisc = (linkIndex: number): QdiscState | undefined =>
  readQdisc(linkIndex, TC_H_INGRESS);

/** The queueing discipline of a class, undefined when there is none. */
export const readClassQdisc = (linkIndex: number, classHandle: number): QdiscState | undefined =>
  readQdisc(linkIndex, classHandle);

/** The `htb` classes of an interface in the netns of the calling thread. */
export const readClasses = (linkIndex: number): ClassState[] =>
  dump(RTM_GETTCLASS, tcmsg(linkIndex))
    .map(parseClass)
    .filter((entry) => entry !== undefined);

/** The filters at a parent of an interface, such as `INGRESS_PARENT` or an `htb`'s handle, in order of priority. */
export const readFilters = (linkIndex: number, parent: number): FilterState[] =>
  dump(RTM_GETTFILTER, tcmsg(linkIndex, parent))
    .map(parseFilter)
    .filter((entry) => entry !== undefined)
    .sort((a, b) => a.priority - b.priority);

/** `ffff:fff2`, where the filters for what comes in are, with `ingress` and `clsact` alike. */
export const INGRESS_PARENT = 0xffff_fff2;

const readQdisc = (linkIndex: number, parent: number): QdiscState | undefined => {
  try {
    const parts = [tcmsg(linkIndex, parent)];
    const [answer] = queryRoute({ type: RTM_GETQDISC, parts, dump: false, echo: true });
    return answer === undefined ? undefined : parseQdisc(answer);
  } catch (error) {
    // Without an answer (EAGAIN) there is but the kernel's placeholder for none.
    if (isAbsence(error)) return undefined;
    throw error;
  }
};

const dump = (type: number, message: Uint8Array): Uint8Array[] => {
  try {
    return queryRoute({ type, parts: [message], dump: true });
  } catch (error) {
    if (isAbsence(error)) return [];
    throw error;
  }
};

const isAbsence = (error: unknown): boolean =>
  error instanceof SystemError && ['ENODEV', 'ENOENT', 'EINVAL', 'EAGAIN'].includes(error.code);

import { SystemError } from './libc.ts';
import { type LinkState, linkQueryParts, parseLink, RTM_GETLINK } from './link-message.ts';
import { queryRoute } from './netlink.ts';

export type { LinkState } from './link-message.ts';

/**
 * The interface of that name or index in the netns of the calling thread, undefined when there is none.
 * A name also finds an interface by an alternative name (`ip link property`), as all of the kernel does.
 */
export const readLink = (selector: string | number): LinkState | undefined => {
  // The kernel refuses longer names with other errors than "no such device".
  if (typeof selector === 'string' && !isPossibleName(selector)) return undefined;
  try {
    const [answer] = queryRoute({ type: RTM_GETLINK, parts: linkQueryParts(selector), dump: false });
    return answer === undefined ? undefined : parseLink(answer);
  } catch (error) {
    if (error instanceof SystemError && error.code === 'ENODEV') return undefined;
    throw error;
  }
};

/** All interfaces in the netns of the calling thread. */
export const listLinks = (): LinkState[] =>
  queryRoute({ type: RTM_GETLINK, parts: linkQueryParts(), dump: true }).map(parseLink);

/**
 * Reads the interface again and again, at once and then every millisecond, until `predicate` holds for
 * it (undefined: it is gone) or `deadlineMs` milliseconds have passed. Returns whether it held.
 */
export const waitForLink = (
  selector: string | number,
  predicate: (link: LinkState | undefined) => boolean,
  deadlineMs: number,
): boolean => {
  const deadline = performance.now() + deadlineMs;
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    if (predicate(readLink(selector))) return true;
    const left = deadline - performance.now();
    if (left <= 0) return false;
    Bun.sleepSync(Math.max(1, Math.min(pause, left)));
  }
};

const LONGEST_PAUSE_MS = 8;

/** IFNAMSIZ is 16 bytes with the terminating zero. */
const isPossibleName = (name: string): boolean => {
  const { length } = new TextEncoder().encode(name);
  return length > 0 && length < 16 && !name.includes('\0');
};

import { isObject } from '../../cni/fields.ts';
import type { CallOptions } from './client.ts';
import { KubernetesFailure } from './failure.ts';
import { ListSplitter } from './list-splitter.ts';
import { type KubernetesObject, type Resource, resourcePath } from './resource.ts';

export interface ListOptions<T> extends CallOptions {
  /** What is kept of each object as it arrives; undefined: nothing. */
  project(object: KubernetesObject): T | undefined;
  /** `any`: from the API server's memory, which may lag; `latest`, the default: every write that was answered. */
  consistency?: 'latest' | 'any';
  /** Which of them, such as `metadata.name=n1`; all unless given. */
  fieldSelector?: string | undefined;
  /** Objects in a page; default 500. */
  pageSize?: number | undefined;
}

export interface Listed<T> {
  items: T[];
  /** The state that was listed: a watch goes on from here. */
  resourceVersion: string;
}

/** Gets one page, with repetitions; `read` takes its body. */
export type ReadPage = <P>(
  path: string,
  read: (response: Response) => Promise<P>,
  options: CallOptions,
) => Promise<P>;

/**
 * All objects of a kind, page by page. When the server has forgotten the state that the pages are of (410), they are
 * listed again without pages, as that can't expire. `deadlineMs` is for each page; default 30,000.
 */
export const listPages = async <T>(
  resource: Resource,
  options: ListOptions<T>,
  readPage: ReadPage,
): Promise<Listed<T>> => {
  try {
    return await walk(resource, options, readPage, options.pageSize ?? PAGE_SIZE);
  } catch (error) {
    if (!(error instanceof KubernetesFailure) || error.status !== 410) throw error;
    return walk(resource, options, readPage, 0);
  }
};

const walk = async <T>(
  resource: Resource,
  { project, consistency, fieldSelector, deadlineMs = PAGE_DEADLINE_MS, signal }: ListOptions<T>,
  readPage: ReadPage,
  limit: number,
): Promise<Listed<T>> => {
  const items: T[] = [];
  for (let next = ''; ; ) {
    const query = new URLSearchParams({
      ...(limit > 0 && { limit: String(limit) }),
      ...(fieldSelector !== undefined && { fieldSelector }),
      ...(next !== '' && { continue: next }),
      ...(next === '' && consistency === 'any' && { resourceVersion: '0' }),
    });
    const path = `${resourcePath(resource)}${query.size > 0 ? `?${query}` : ''}`;
    const page = await readPage(path, (response) => readBody(response, project), { deadlineMs, signal });
    for (const item of page.items) items.push(item);
    if (page.next === '') return { items, resourceVersion: page.resourceVersion };
    next = page.next;
  }
};

const readBody = async <T>(
  response: Response,
  project: ListOptions<T>['project'],
): Promise<Listed<T> & { next: string }> => {
  const items: T[] = [];
  const splitter = new ListSplitter((json) => {
    const item = project(JSON.parse(json));
    if (item !== undefined) items.push(item);
  });
  if (response.body !== null) for await (const chunk of response.body) splitter.push(chunk);
  const envelope = splitter.end();
  const metadata = isObject(envelope) && isObject(envelope.metadata) ? envelope.metadata : {};
  const { resourceVersion, continue: next = '' } = metadata;
  if (typeof resourceVersion !== 'string' || typeof next !== 'string') {
    throw new SyntaxError('the answer is no list of objects');
  }
  return { items, resourceVersion, next };
};

const PAGE_SIZE = 500;
const PAGE_DEADLINE_MS = 30_000;

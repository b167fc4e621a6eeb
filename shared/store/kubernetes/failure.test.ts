import { expect, test } from 'vitest';
import { type Attempt, failureOf, missingRule, noAnswer } from './failure.ts';
import { nodesResource } from './resource.ts';

const pools = { group: 'ipam.podwire.dev', version: 'v1alpha1', plural: 'podwirepools' };
const from = { retryAfter: null, source: 'kubeconfig /k, context c', credentials: 'the token of user "u"' };

test.for<[attempt: Attempt, rule: object]>([
  [
    { verb: 'list', resource: nodesResource },
    { apiGroups: [''], resources: ['nodes'], verbs: ['list'] },
  ],
  [
    { verb: 'update', resource: pools, name: 'a', part: 'status' },
    { apiGroups: ['ipam.podwire.dev'], resources: ['podwirepools/status'], verbs: ['update'] },
  ],
])('the rule that is missing: %o', ([attempt, rule]) => {
  expect(JSON.parse(missingRule(attempt))).toEqual(rule);
  const { message, details, code, transient } = failureOf(attempt, 403, '', from);
  expect(message).toMatch(/^Kubernetes: .*: HTTP 403$/);
  expect(details).toContain(missingRule(attempt));
  expect(details).toContain('kubeconfig /k, context c');
  expect([code, transient]).toEqual([5, false]);
});

test('in a namespace, a Role is enough', () => {
  const attempt: Attempt = { verb: 'get', resource: { ...nodesResource, namespace: 'a' }, name: 'b' };
  expect(failureOf(attempt, 403, '', from).details).toContain('Bind a Role with');
});

test.for<[status: number, body: string, reason: string, code: number]>([
  [404, '{"kind":"Status","reason":"NotFound","details":{"name":"a"}}', 'NotFound', 5],
  [404, '404 page not found', 'NoResource', 5],
  [404, '{"kind":"Status","reason":"NotFound","details":{}}', 'NoResource', 5],
  [409, '{"kind":"Status","reason":"AlreadyExists","code":409,"details":{"name":"a"}}', 'AlreadyExists', 5],
  [503, '<html>', '', 11],
  [429, '', '', 11],
  [200, '{"kind":"Status","code":410,"reason":"Expired"}', 'Expired', 5],
])('what is said by %i %s', ([status, body, reason, code]) => {
  const failure = failureOf({ verb: 'get', resource: pools, name: 'a' }, status, body, from);
  expect([failure.reason, failure.code]).toEqual([reason, code]);
});

test.for<[reason: string, transient: boolean]>([
  ['ECONNREFUSED', true],
  ['ECONNRESET', true],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', false],
  ['ERR_TLS_CERT_ALTNAME_INVALID', false],
  ['CERT_HAS_EXPIRED', false],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', false],
])('no answer for %s', ([reason, transient]) => {
  const failure = noAnswer(
    { verb: 'list', resource: pools },
    'https://api',
    Object.assign(new Error(), { code: reason }),
  );
  expect(failure.transient).toBe(transient);
  expect(failure.code).toBe(transient ? 11 : 5);
  expect(failure.message).toBe(
    `Kubernetes: list podwirepools.ipam.podwire.dev: no valid answer from https://api: ${reason}`,
  );
});

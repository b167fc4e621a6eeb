import { encodeText } from './encoding.ts';

/** What must hold of a key: that it is not there, or was last changed at that revision (0: not there), or is of that lease. */
export type Comparison = { key: string; modRevision: bigint } | { key: string; lease: string };

export type Operation =
  | { do: 'get'; key: string }
  | { do: 'put'; key: string; value: string; lease?: string }
  | { do: 'delete'; key: string };

/** The comparison of creation-if-absent. */
export const isAbsent = (key: string): Comparison => ({ key, modRevision: 0n });

/** `etcdserverpb.TxnRequest` in JSON. */
export const encodeTransaction = (
  compare: Comparison[],
  success: Operation[],
  failure: Operation[],
): object => ({
  compare: compare.map((comparison) => ({
    key: encodeText(comparison.key),
    result: 'EQUAL',
    ...('lease' in comparison
      ? { target: 'LEASE', lease: comparison.lease }
      : { target: 'MOD', mod_revision: String(comparison.modRevision) }),
  })),
  success: success.map(encodeOperation),
  failure: failure.map(encodeOperation),
});

const encodeOperation = (operation: Operation): object => {
  const key = encodeText(operation.key);
  switch (operation.do) {
    case 'get':
      return { request_range: { key } };
    case 'delete':
      return { request_delete_range: { key } };
    case 'put':
      return {
        request_put: {
          key,
          value: encodeText(operation.value),
          ...(operation.lease !== undefined && { lease: operation.lease }),
        },
      };
  }
};

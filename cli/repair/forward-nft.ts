import { isObject } from '../../shared/cni/fields.ts';
import type { JsonObject, JsonValue } from '../../shared/cni/types.ts';
import type { ForwardRule, ForwardTable } from './forward-table.ts';

/**
 * Reads what `nft -j list table` prints (libnftables-json(5)), iptables' nft variant included; other
 * statements than those known here make a rule conditional.
 */
export const parseNftTable = (label: string, json: JsonValue): ForwardTable => {
  const table: ForwardTable = { label, base: [], rules: [], setNames: [] };
  const items = isObject(json) && Array.isArray(json.nftables) ? json.nftables.filter(isObject) : [];
  for (const { chain, rule, set, map } of items) {
    if (isObject(chain) && chain.hook === 'forward') {
      table.base.push({ chain: String(chain.name), policy: chain.policy === 'drop' ? 'drop' : 'accept' });
    }
    if (isObject(rule)) table.rules.push(parseRule(rule));
    for (const named of [set, map]) if (isObject(named)) table.setNames.push(...namesIn(named.elem ?? []));
  }
  return table;
};

const parseRule = ({ chain, expr }: JsonObject): ForwardRule => {
  const rule: ForwardRule = { chain: String(chain), conditional: false, names: [] };
  for (const statement of Array.isArray(expr) ? expr.filter(isObject) : []) {
    const [[kind, value] = ['', null]] = Object.entries(statement);
    if (kind === 'accept') rule.verdict = 'accept';
    else if (DROPS.has(kind) || isRejection(kind, value)) rule.verdict = 'drop';
    else if ((kind === 'jump' || kind === 'goto') && isObject(value)) rule.target = String(value.target);
    else if (!NO_CONDITIONS.has(kind) && !isComment(kind, value)) rule.conditional = true;
    if (kind === 'match' && isObject(value)) rule.names.push(...namesIn(value.right ?? null));
    if (kind === 'vmap' && isObject(value)) rule.names.push(...namesIn(value.data ?? null));
  }
  return rule;
};

const DROPS = new Set(['drop', 'reject']);
const NO_CONDITIONS = new Set(['counter', 'log', 'return', 'notrack', 'mangle']);

const isRejection = (kind: string, value: JsonValue | undefined): boolean =>
  kind === 'xt' && isObject(value) && value.type === 'target' && value.name === 'REJECT';

const isComment = (kind: string, value: JsonValue | undefined): boolean =>
  kind === 'xt' && isObject(value) && value.type === 'match' && value.name === 'comment';

/** All words of an expression, prefixes and ranges as one word each. */
const namesIn = (value: JsonValue): string[] => {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(namesIn);
  if (!isObject(value)) return [];
  const { prefix, range } = value;
  if (isObject(prefix)) return [`${String(prefix.addr)}/${String(prefix.len)}`];
  if (Array.isArray(range)) return [range.map(String).join('-')];
  return Object.values(value).flatMap((part) => namesIn(part ?? null));
};

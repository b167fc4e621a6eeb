import { CniError, ErrorCode } from '../cni/errors.ts';
import { type Fields, show } from '../cni/fields.ts';
import type { FilterBackend } from '../filter/backend.ts';
import {
  bindingsOf,
  describeBinding,
  type PortBinding,
  type PortMapping,
  parsePortMappings,
} from './mapping.ts';

/** What `portmap` is asked for, as it is kept in records, too. */
export interface PortmapOptions {
  /** Undefined: nftables where it works, else iptables. */
  backend?: FilterBackend | undefined;
  /** Masquerade what would not find its way back: hairpins, and what comes from 127.0.0.1. */
  snat: boolean;
  /** With `snat`: masquerade whatever comes through a host port. */
  masqAll: boolean;
  /** The bit of the packet mark that says "masquerade this". */
  markMasqBit: number;
  /** iptables: another's chain that sets the mark, instead of ours. */
  externalSetMarkChain?: string | undefined;
  /** Matches that a packet has to meet, as words of the backend's own syntax. */
  conditionsV4: string[];
  conditionsV6: string[];
  mappings: PortMapping[];
  /** Bindings, as `describeBinding` has them, that another attachment of the same container has. */
  except?: string[];
}

/** What the options come to for a pod with addresses of these families. */
export const boundPorts = (
  { mappings, except = [] }: PortmapOptions,
  families: readonly (4 | 6)[],
): PortBinding[] =>
  bindingsOf(mappings, families).filter((binding) => !except.includes(describeBinding(binding)));

/** Kubernetes uses bits 14 and 15, Calico 20 to 31; the same default as the reference's. */
const DEFAULT_MARK_BIT = 13;

/**
 * Reads the plugin's keys, and the port mappings from `runtimeConfig`. Throws CniError 7, or 2 for a
 * backend that we don't know.
 */
export const parsePortmapOptions = (fields: Fields, runtimeConfig: Fields): PortmapOptions => {
  const externalSetMarkChain = parseChainName(fields);
  if (externalSetMarkChain !== undefined && fields.has('markMasqBit')) {
    throw fields.invalid('markMasqBit', 'cannot be given together with "externalSetMarkChain"');
  }
  const conditionsV4 = parseConditions(fields, 'conditionsV4');
  const conditionsV6 = parseConditions(fields, 'conditionsV6');
  const backend = chooseBackend(fields, [
    ...(externalSetMarkChain === undefined
      ? []
      : [{ key: 'externalSetMarkChain', needs: 'iptables' as const }]),
    ...conditionsNeed('conditionsV4', conditionsV4),
    ...conditionsNeed('conditionsV6', conditionsV6),
  ]);
  return {
    backend,
    snat: fields.boolean('snat') ?? true,
    masqAll: fields.boolean('masqAll') ?? false,
    markMasqBit: fields.integer('markMasqBit', 0, 31) ?? DEFAULT_MARK_BIT,
    externalSetMarkChain,
    conditionsV4,
    conditionsV6,
    mappings: parsePortMappings(runtimeConfig),
  };
};

interface Need {
  key: string;
  needs: FilterBackend;
}

/** The backend asked for, or that which the other keys are written for. */
const chooseBackend = (fields: Fields, needs: Need[]): FilterBackend | undefined => {
  const given = parseBackend(fields);
  const wanted = given ?? needs[0]?.needs;
  const misfit = needs.find((need) => need.needs !== wanted);
  if (wanted === undefined || misfit === undefined) return wanted;
  const why =
    given === undefined
      ? `"${needs[0]?.key}" is for ${wanted}`
      : `"${fields.pathOf('backend')}" is ${show(given)}`;
  throw fields.invalid(misfit.key, `is for ${misfit.needs}, but ${why}`);
};

const parseBackend = (fields: Fields): FilterBackend | undefined => {
  const backend = fields.string('backend') ?? '';
  if (backend === '') return undefined;
  if (backend === 'nftables' || backend === 'iptables') return backend;
  throw new CniError(
    ErrorCode.unsupportedField,
    `unsupported value: "${fields.pathOf('backend')}" is ${show(backend)}`,
    { details: 'Use "nftables" or "iptables", or leave it out.' },
  );
};

/** As the reference tells them apart: a match of iptables begins with "-" or "!", one of nft never does. */
const conditionsNeed = (key: string, [first]: string[]): Need[] => {
  if (first === undefined) return [];
  return [{ key, needs: /^[-!]/.test(first) ? 'iptables' : 'nftables' }];
};

/**
 * The words go into a line for `nft -f` or `iptables-restore`, and must not end it. For iptables each is
 * quoted; nft's syntax knows no escape, so what ends a statement, or hides the rest of it, is refused.
 */
const parseConditions = (fields: Fields, key: string): string[] => {
  const words = (fields.strings(key) ?? []).filter((word) => word !== '');
  const text = words.join(' ');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\x00-\x1f\x7f]/.test(text)) throw fields.invalid(key, 'must not contain control characters');
  if (words.length === 0 || /^[-!]/.test(text)) return words;
  if (/[;#\\$]/.test(text)) throw fields.invalid(key, 'must not contain ";", "#", "$" or a backslash');
  if (!isBalanced(text)) throw fields.invalid(key, 'has a brace or quote without its counterpart');
  return words;
};

const isBalanced = (text: string): boolean => {
  if ((text.match(/"/g) ?? []).length % 2 !== 0) return false;
  let depth = 0;
  for (const character of text.replaceAll(/"[^"]*"/g, '')) {
    if (character === '{') depth += 1;
    if (character === '}') depth -= 1;
    if (depth < 0) return false;
  }
  return depth === 0;
};

/** iptables takes up to 28 characters, none of them white space, and no option's or negation's first one. */
const parseChainName = (fields: Fields): string | undefined => {
  const name = fields.string('externalSetMarkChain');
  if (name === undefined || /^[A-Za-z0-9_.:][A-Za-z0-9_.:-]{0,27}$/.test(name)) return name;
  throw fields.invalid('externalSetMarkChain', 'must be the name of a chain');
};

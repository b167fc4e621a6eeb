import type { Dns } from '../cni/types.ts';
import { readFileSync } from '../kernel/files.ts';
import { ioFailure } from '../store/io-failure.ts';

/** `dns` from a file in resolv.conf(5) format. Throws CniError 5 when it can't be read. */
export const readResolvConf = (file: string): Dns => {
  try {
    return parseResolvConf(readFileSync(file));
  } catch (error) {
    throw ioFailure(`read "ipam.resolvConf" ${file}`, error);
  }
};

/**
 * Nameservers, search domains and options add up over several lines and the last domain counts, as in
 * the reference; other keywords and lines without a value are skipped.
 */
export const parseResolvConf = (text: string): Dns => {
  const dns: Dns = {};
  for (const line of text.split('\n')) {
    const [keyword = '', ...values] = line.trim().split(/\s+/);
    if (values.length === 0 || /^[#;]/.test(keyword)) continue;
    const [first = ''] = values;
    if (keyword === 'nameserver') dns.nameservers = [...(dns.nameservers ?? []), first];
    if (keyword === 'domain') dns.domain = first;
    if (keyword === 'search' || keyword === 'options') dns[keyword] = [...(dns[keyword] ?? []), ...values];
  }
  return dns;
};

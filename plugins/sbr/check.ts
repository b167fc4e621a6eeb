import { networkCidr, sameAddress, sameCidr } from '../../shared/attachment/address-compare.ts';
import { Findings } from '../../shared/attachment/check-pod.ts';
import { requireContainerNetns } from '../../shared/attachment/container-netns.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import type { IpConfig } from '../../shared/cni/types.ts';
import { readLink } from '../../shared/kernel/link.ts';
import { readRoutes } from '../../shared/kernel/route.ts';
import { readRules } from '../../shared/kernel/rule.ts';
import { parseConfig, prevResultOf, requireAddresses, type SbrConfig } from './config.ts';
import { MAIN_TABLE, sourceOf } from './plan.ts';

/** CHECK: each address has its rule, and the table it looks into the default route and nobody else's. */
export const checkSbr = (call: Call): void => {
  const config = parseConfig(call);
  const { ifname } = call.env;
  const addresses = requireAddresses(prevResultOf(call), ifname);
  const findings = new Findings();
  requireContainerNetns(call.env).run(() => {
    for (const address of addresses) checkAddress(config, ifname, address, findings);
  });
  findings.throwIfAny();
};

const checkAddress = (
  { table, gateways, addSourceHints }: SbrConfig,
  ifname: string,
  { address, gateway }: IpConfig,
  findings: Findings,
): void => {
  const family = address.includes(':') ? 6 : 4;
  const source = sourceOf(address);
  const rules = (readRules(family) ?? []).filter(({ src }) => src !== undefined && sameCidr(src, source));
  const rule = rules.find((candidate) => table === undefined || candidate.table === table);
  if (rule === undefined) {
    const where = table === undefined ? '' : ` to table ${table}`;
    findings.add(`the rule from ${source}${where} is missing in the container`);
    return;
  }
  if (table !== undefined) return;
  const link = readLink(ifname);
  if (link === undefined) {
    findings.add(`interface "${ifname}" is missing in the container`);
    return;
  }
  const routes = readRoutes(family, { linkIndex: link.index });
  const via = gateways[family] ?? gateway;
  const isDefault = (dst: string): boolean => dst.endsWith('/0');
  const isRouted = routes.some(
    (route) =>
      route.table === rule.table &&
      isDefault(route.dst) &&
      via !== undefined &&
      sameAddress(route.gateway ?? '', via),
  );
  if (via !== undefined && !isRouted) {
    findings.add(`table ${rule.table} has no default route by ${via} for ${source}`);
  }
  const subnet = networkCidr(address);
  const main = routes.filter((route) => route.table === MAIN_TABLE);
  if (
    addSourceHints &&
    !main.some((route) => sameCidr(route.dst, subnet) && route.src === source.split('/')[0])
  ) {
    findings.add(`the main table has no route to ${subnet} with the source ${source.split('/')[0]}`);
  }
};

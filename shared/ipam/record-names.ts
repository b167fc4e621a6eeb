import { type Address, type Cidr, formatCidr, networkOf } from '../kernel/address-math.ts';

/** `10-244-1-5`, `fd00-10-0-0-0-0-0-1`: an address as a datastore's record is named. */
export const addressName = ({ family, value }: Address): string => {
  const [count, bits, radix] = family === 4 ? ([4, 8n, 10] as const) : ([8, 16n, 16] as const);
  const parts: string[] = [];
  for (let index = count - 1; index >= 0; index--) {
    parts.push(((value >> (BigInt(index) * bits)) & ((1n << bits) - 1n)).toString(radix));
  }
  return parts.join('-');
};

export const addressPath = (address: Address): string => `addresses/${addressName(address)}`;

/** `blocks/10-244-1-64-26`: where the claim of a block is. */
export const blockPath = (block: Cidr): string => {
  const network = networkOf(block);
  return `blocks/${addressName(network)}-${network.prefixLength}`;
};

export const poolPath = (name: string): string => `pools/${name}`;

/** `10.244.1.64/26` */
export const blockText = (block: Cidr): string => formatCidr(networkOf(block));

/**
 * What the datastore holds for cluster-wide IPAM: the values of its three collections, as they are in JSON. Times are
 * ISO 8601 in UTC. (Types and not interfaces: only these can be given where a JsonObject is wanted.)
 */

/** `pools/<name>`: addresses, how they are cut into blocks, and who may have them. */
export type PoolValue = {
  /** The network that is cut into blocks, `10.244.0.0/16`. Two pools never overlap. */
  cidr: string;
  /** Prefix length of a block; 26 for IPv4 and 122 for IPv6 unless given. Fixed while blocks of it are claimed. */
  blockSize?: number;
  /** Gives no more; what was given stays. */
  disabled?: boolean;
  /** Only pods of these namespaces get addresses of it without asking. */
  namespaceSelector?: NamespaceSelector;
  /** Only nodes with all of these labels claim blocks of it. */
  nodeSelector?: { matchLabels: Labels };
  /** Never given: networks, single addresses or `first-last`. */
  excluded?: string[];
  /** Given only to who asks for the very address; written as `excluded` is. */
  reserved?: string[];
  /** The gateway of flat pools that are one subnet for all nodes; never given to a pod. */
  gateway?: string;
};

export type NamespaceSelector = {
  /** Any of these. */
  names?: string[];
  /** All of these. With `names`, both must hold. */
  matchLabels?: Labels;
};

export type Labels = { [key: string]: string };

/** `blocks/<block>`, for instance `blocks/10-244-1-64-26`: that a node has a block. */
export type BlockValue = {
  cidr: string;
  /** The name of its pool. */
  pool: string;
  node: string;
  /** The network, by its name in the configuration, whose pods get the addresses: its store on the node is one of its own. */
  network: string;
  claimedAt: string;
  /** Since when its node is known to be gone; the node itself removes this when it is not. */
  missingSince?: string;
};

/** `addresses/<address>`, for instance `addresses/10-244-1-5`: a fixed or sticky address. */
export type AddressValue = {
  address: string;
  /** The name of its pool. */
  pool: string;
  /** Where it is in use, or was last. */
  node: string;
  network: string;
  /** Whom it is kept for: `<network>/<namespace>/<pod>/<ifname>`, or what the configuration says. Absent: nobody. */
  key?: string;
  /** The container that has it; absent while it is only kept. */
  containerId?: string;
  ifname?: string;
  /** `<namespace>/<name>`, as far as the runtime told. */
  pod?: string;
  /** How many seconds it is kept after its container is gone. */
  holdSeconds?: number;
  /** It was made, but whether a block of another node contains it is still being found out. Such a one is not kept. */
  isPending?: true;
  /** Since when no container has it. */
  releasedAt?: string;
  /** As in a block. */
  missingSince?: string;
};

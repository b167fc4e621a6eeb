import { type LinkState, readLink } from '../kernel/link.ts';
import {
  INGRESS_PARENT,
  readClasses,
  readClassQdisc,
  readFilters,
  readIngressQdisc,
  readRootQdisc,
} from '../kernel/tc.ts';
import type { ClassState, FilterState, QdiscState } from '../kernel/tc-message.ts';
import { ROOT_HANDLE, SHAPED_CLASS, type ShapingPlan } from './plan.ts';

/** What the host's netns has in the places that a plan is about. */
export interface ShapingState {
  device: LinkState | undefined;
  root: QdiscState | undefined;
  classes: ClassState[];
  /** Of the class with the limit. */
  classQueue: QdiscState | undefined;
  rootFilters: FilterState[];
  ingress: QdiscState | undefined;
  ingressFilters: FilterState[];
  ifb: LinkState | undefined;
  ifbRoot: QdiscState | undefined;
}

/** That of an interface which is about to be made. */
export const nothingYet: ShapingState = {
  device: undefined,
  root: undefined,
  classes: [],
  classQueue: undefined,
  rootFilters: [],
  ingress: undefined,
  ingressFilters: [],
  ifb: undefined,
  ifbRoot: undefined,
};

/** Reads it by netlink in the netns of the calling thread. */
export const readShapingState = (
  plan: Pick<ShapingPlan, 'device'> & { egress?: { ifb: { name: string } } },
): ShapingState => {
  const ifb = plan.egress === undefined ? undefined : readLink(plan.egress.ifb.name);
  const ifbRoot = ifb === undefined ? undefined : readRootQdisc(ifb.index);
  const device = readLink(plan.device);
  if (device === undefined) return { ...nothingYet, ifb, ifbRoot };
  const root = readRootQdisc(device.index);
  const ingress = readIngressQdisc(device.index);
  const hasClasses = root?.kind === 'htb';
  return {
    device,
    root,
    classes: hasClasses ? readClasses(device.index) : [],
    classQueue: hasClasses ? readClassQdisc(device.index, SHAPED_CLASS) : undefined,
    rootFilters: hasClasses ? readFilters(device.index, ROOT_HANDLE) : [],
    ingress,
    ingressFilters: ingress === undefined ? [] : readFilters(device.index, INGRESS_PARENT),
    ifb,
    ifbRoot,
  };
};

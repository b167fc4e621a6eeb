import { conformanceOf } from './suite/conformance-of.ts';

conformanceOf('cluster-ipam');

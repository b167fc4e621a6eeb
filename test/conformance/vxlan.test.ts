import { conformanceOf } from './suite/conformance-of.ts';

conformanceOf('vxlan');

import { CniError, ErrorCode } from '../../shared/cni/errors.ts';

/**
 * Compares two CNI versions: negative, 0 or positive. The empty one counts as 0.1.0 and missing parts
 * as 0, as in libcni. Throws CniError 7 for what is no version.
 */
export const compareVersions = (left: string, right: string): number => {
  const [a, b] = [parseVersion(left), parseVersion(right)];
  for (let part = 0; part < 3; part++) {
    const difference = (a[part] ?? 0) - (b[part] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
};

export const isAtLeast = (version: string, wanted: string): boolean => compareVersions(version, wanted) >= 0;

/**
 * The version a runtime uses for a network: the highest of `cniVersions` and `cniVersion` that is not
 * above `newest`; `cniVersion` itself when the list is absent or has nothing to offer.
 */
export const chooseVersion = (
  cniVersion: string,
  cniVersions: string[] | undefined,
  newest: string,
): string => {
  if (cniVersions === undefined) return cniVersion;
  const offered = cniVersion === '' ? cniVersions : [...cniVersions, cniVersion];
  const usable = offered.filter((version) => compareVersions(version, newest) <= 0);
  return usable.sort(compareVersions).at(-1) ?? cniVersion;
};

const parseVersion = (text: string): number[] => {
  if (text === '') return [0, 1, 0];
  if (!/^\d+(\.\d+){0,2}$/.test(text)) {
    throw new CniError(ErrorCode.invalidNetworkConfig, `invalid CNI version "${text}"`, {
      details: 'A CNI version has the form "1.1.0".',
    });
  }
  return text.split('.').map(Number);
};

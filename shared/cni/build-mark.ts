declare const PODWIRE_BUILD_MARK: string | undefined;

/**
 * Stands in every executable that `scripts/build` made, and nowhere else: `podwire-executable/`, the version, a
 * slash, the build id, a slash. Empty when run from source.
 */
export const buildMark = typeof PODWIRE_BUILD_MARK === 'string' ? PODWIRE_BUILD_MARK : '';

declare const PODWIRE_VERSION: string | undefined;
declare const PODWIRE_BUILD_ID: string | undefined;

/** Version of podwire, put in by the build; "dev" when run from source. */
export const version = typeof PODWIRE_VERSION === 'string' ? PODWIRE_VERSION : 'dev';

/** The commit the executable was built from, with a mark when the tree had changes. */
export const buildId = typeof PODWIRE_BUILD_ID === 'string' ? PODWIRE_BUILD_ID : 'source';

/** Every released version of the CNI specification, oldest first. */
export const supportedVersions: readonly string[] = [
  '0.1.0',
  '0.2.0',
  '0.3.0',
  '0.3.1',
  '0.4.0',
  '1.0.0',
  '1.1.0',
];

export const newestVersion = '1.1.0';

/** The versions of a plugin that has a lowest one. */
export const versionsFrom = (lowest: string | undefined): readonly string[] =>
  lowest === undefined ? supportedVersions : supportedVersions.slice(supportedVersions.indexOf(lowest));

/** What a plugin prints when it is called without CNI_COMMAND, as the reference library does. */
export const aboutText = (title: string, lowest?: string): string =>
  `CNI ${title} plugin podwire ${version} (${buildId})\nCNI protocol versions supported: ${versionsFrom(lowest).join(', ')}\n`;

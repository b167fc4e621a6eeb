import { CniError, ErrorCode } from '../../cni/errors.ts';
import type { Fields } from '../../cni/fields.ts';
import type { Credential, Credentials } from './access.ts';
import { execCredentials } from './exec-credentials.ts';
import type { Cluster } from './kubeconfig.ts';
import { readRequired } from './read-required.ts';

export interface UserSetting {
  /** Where relative paths count from. */
  directory: string;
  userName: string;
  cluster: Cluster;
}

/**
 * The credentials of a kubeconfig's user: client certificate, token, token file, or an exec plugin. Files are read
 * anew for each request. Throws CniError 7 for ways to authenticate that we do not have.
 */
export const userCredentials = (user: Fields, { directory, userName, cluster }: UserSetting): Credentials => {
  refuseOthers(user);
  const cert = fileOrData(user, 'client-certificate', directory);
  const key = fileOrData(user, 'client-key', directory);
  if ((cert === undefined) !== (key === undefined)) {
    throw invalid(
      `user "${userName}" has a client certificate or its key, but not both`,
      'Give both or none.',
    );
  }
  const token = tokenOf(user, directory);
  const certificate = (): Credential => (cert && key ? { cert: cert(), key: key() } : {});
  if (user.has('exec')) {
    const exec = execCredentials(user.fields('exec'), { directory, cluster });
    return {
      current: async (refused) => ({ ...certificate(), ...(await exec.current(refused)) }),
      describe: exec.describe,
    };
  }
  return {
    current: () => ({ ...certificate(), token: token?.() }),
    describe: `the ${token === undefined ? 'client certificate' : 'token'} of user "${userName}"`,
  };
};

/** A reader of the PEM text that `key` names the file of, or that `key`-data holds. Throws CniError 7 for neither text nor PEM. */
export const fileOrData = (fields: Fields, key: string, directory: string): (() => string) | undefined => {
  const data = secretText(fields, `${key}-data`);
  if (data) {
    const text = Buffer.from(data, 'base64').toString();
    // The value is not shown: it may be a key.
    if (!text.includes('-----BEGIN '))
      throw invalid(`${key}-data is not PEM in base64`, `Correct ${key}-data.`);
    return () => text;
  }
  const file = fields.string(key);
  if (!file) return undefined;
  const path = file.startsWith('/') ? file : `${directory}/${file}`;
  return () => readRequired(path, key.replaceAll('-', ' '));
};

/** As client-go does, a file goes before a token that is there as well. */
const tokenOf = (user: Fields, directory: string): (() => string) | undefined => {
  const file = user.string('tokenFile');
  if (file) {
    const path = file.startsWith('/') ? file : `${directory}/${file}`;
    return () => readRequired(path, 'token file').trim();
  }
  const token = secretText(user, 'token');
  return token ? () => token : undefined;
};

/** As `fields.string`, whose message would show the value. */
export const secretText = (fields: Fields, key: string): string | undefined => {
  const value = fields.raw(key);
  if (value === undefined || typeof value === 'string') return value;
  throw invalid(`"${fields.pathOf(key)}" must be a string`, 'Quote its value.');
};

const refuseOthers = (user: Fields): void => {
  for (const key of ['username', 'password', 'auth-provider', 'as', 'as-uid', 'as-groups', 'as-user-extra']) {
    if (!user.has(key)) continue;
    throw invalid(
      `"${key}" is not supported`,
      'Supported are client-certificate, client-key, token, tokenFile and exec.',
    );
  }
};

const invalid = (problem: string, details: string): CniError =>
  new CniError(ErrorCode.invalidNetworkConfig, problem, { details });

import { mkdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expectSuccess, runProcess } from '../support/process.ts';

/** The archive that scripts/image makes, or that PODWIRE_IMAGE names. */
export const imageArchive = resolve(
  process.env.PODWIRE_IMAGE ?? resolve(import.meta.dirname, '../../dist/image/podwire.tar'),
);

/** An image as a container runtime sees it. */
export interface UnpackedImage {
  rootfs: string;
  architecture: string;
  config: {
    Entrypoint: string[];
    Cmd: string[];
    Env: string[];
    Labels: Record<string, string>;
    User?: string;
  };
}

/**
 * Unpacks an archive of the OCI image layout (image-spec, "Image Layout" and "Layer") into a directory that is
 * there. Layers are applied in order, their whiteouts included.
 */
export const unpackImage = async (archive: string, directory: string): Promise<UnpackedImage> => {
  const rootfs = `${directory}/rootfs`;
  mkdirSync(rootfs);
  mkdirSync(`${directory}/layout`);
  await run('tar', '-xf', archive, '-C', `${directory}/layout`);
  const blob = (digest: string): string => `${directory}/layout/blobs/${digest.replace(':', '/')}`;
  const read = <T>(file: string): T => JSON.parse(readFileSync(file, 'utf8')) as T;
  const index = read<{ manifests: Descriptor[] }>(`${directory}/layout/index.json`);
  const [only] = index.manifests;
  if (only === undefined || index.manifests.length !== 1) throw new Error('the archive holds not one image');
  const manifest = read<{ config: Descriptor; layers: Descriptor[] }>(blob(only.digest));
  for (const { digest } of manifest.layers)
    await run('/bin/sh', '-ec', applyLayer, 'sh', blob(digest), rootfs);
  const image = read<Pick<UnpackedImage, 'architecture' | 'config'>>(blob(manifest.config.digest));
  return { rootfs, architecture: image.architecture, config: image.config };
};

interface Descriptor {
  digest: string;
}

// `.wh.NAME` takes NAME of the layers below away, `.wh..wh..opq` all of its directory.
const applyLayer = `
layer=$1; cd "$2"
tar -tf "$layer" | grep -E '(^|/)\\.wh\\.' | while read -r entry; do
  directory=$(dirname "$entry"); name=$(basename "$entry")
  if [ "$name" = .wh..wh..opq ]; then find "$directory" -mindepth 1 -delete 2>/dev/null || true
  else rm -rf "$directory/\${name#.wh.}"; fi
done
tar -xf "$layer" --numeric-owner --exclude='.wh.*'`;

const run = async (...argv: string[]): Promise<void> => {
  expectSuccess(await runProcess(argv, { timeout: 120_000 }));
};

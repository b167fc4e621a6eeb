import { programPath } from '../support/process.ts';
import type { TestHost } from '../support/test-host.ts';

export const imageName = 'docker.io/library/podwire-test:1';

/**
 * Makes a container image of busybox (Debian: busybox-static) in the host and returns the path of its
 * archive, in the format of `docker save`, which containerd and podman both load. /www is for httpd.
 */
export const makeBusyboxImage = async (host: TestHost): Promise<string> => {
  await host.shell(script, {
    env: { PATH: '/usr/bin:/bin', BUSYBOX: programPath('busybox'), IMAGE: imageName },
  });
  return '/run/image/image.tar';
};

const script = `
mkdir -p /run/image/rootfs /run/image/archive
cd /run/image/rootfs
mkdir -p bin dev etc proc sys tmp www/cgi-bin
cp "$BUSYBOX" bin/busybox
for applet in $("$BUSYBOX" --list); do [ -e "bin/$applet" ] || ln -s busybox "bin/$applet"; done
echo 'root:x:0:0:root:/:/bin/sh' >etc/passwd
cat >www/cgi-bin/client <<'E'
#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n%s' "$REMOTE_ADDR"
E
chmod 755 www/cgi-bin/client
cd ../archive
tar -C ../rootfs --owner=0 --group=0 -cf layer.tar .
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
digest=$(sha256sum layer.tar | cut -d' ' -f1)
printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$arch" "$digest" >config
config=$(sha256sum config | cut -d' ' -f1).json
mv config "$config"
printf '[{"Config":"%s","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$config" "$IMAGE" >manifest.json
tar -cf ../image.tar manifest.json layer.tar "$config"
rm -rf /run/image/rootfs /run/image/archive
`;

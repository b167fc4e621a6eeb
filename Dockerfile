# The image of podwire: the executable, and the tools it drives.
#
#   docker build --build-arg BUILD_ID=$(git rev-parse --short=12 HEAD) -t podwire .
#   docker buildx build --platform linux/amd64,linux/arm64 … .
#
# Nothing here needs BuildKit; scripts/image builds it with buildah. NODE_IMAGE has node and npm, BASE_IMAGE is a
# Debian with glibc: either may be another registry's.
ARG NODE_IMAGE=docker.io/library/node:22-bookworm-slim
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim

# Runs on the machine that builds, whatever it builds for: bun compiles for other processors, too.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS build
WORKDIR /src

# By themselves, so that a change of the sources does not fetch them again. bun's own install script puts the
# program for this machine into place.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && node node_modules/bun/install.js

COPY . .
ARG TARGETARCH
# Which of bun's runtimes; linux-x64-baseline is for processors without AVX2. The default is that of TARGETARCH.
ARG BUILD_TARGET
# The build sees no .git.
ARG BUILD_ID=unversioned
RUN case "${BUILD_TARGET:-$TARGETARCH}" in \
      amd64 | '') target=linux-x64 ;; \
      arm64) target=linux-arm64 ;; \
      *) target=$BUILD_TARGET ;; \
    esac \
    && PODWIRE_BUILD_ID="$BUILD_ID" scripts/build --into /out --target "$target"

FROM ${BASE_IMAGE}

# ip, bridge and tc; nft; both variants of iptables. Connections are looked up and forgotten by netlink, without
# the conntrack command. The certificates are for the API servers of Kubernetes and etcd.
RUN apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
         ca-certificates iproute2 iptables nftables \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log /var/log/apt

# Below what costs time, as it is new with each build.
ARG BUILD_ID=unversioned
LABEL org.opencontainers.image.title="podwire" \
      org.opencontainers.image.description="CNI plugins for Linux, their installer, and the node agent of the overlay" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$BUILD_ID"

# One name is enough: `podwire install` makes the others on the node.
COPY --from=build /out/podwire /usr/local/bin/podwire

# The user stays root, as the work is a node's: `podwire agent` changes links, routes and nftables (NET_ADMIN) and
# writes /run/podwire and the CNI configuration, which are root's on the node; `podwire install` writes into
# /opt/cni/bin and chowns what it saved (CHOWN, DAC_OVERRIDE, FOWNER). Neither needs a privileged container. What
# only reads or prints runs as any user: `docker run --user 65534 podwire version`.
ENTRYPOINT ["/usr/local/bin/podwire"]
CMD ["--help"]

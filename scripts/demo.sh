#!/usr/bin/env bash
# Installs what is missing, builds, and shows, first, three pods on a bridge: addresses, pings, NAT, CHECK, GC, DEL;
# then the overlay: three nodes with three pods each, who reaches whom, and a picture of it (dist/topology.svg).
# All of it happens on hosts of its own (see scripts/private-host); the machine's network is not touched.
#
#   scripts/demo.sh        as root, with sudo, or without either where packages and user namespaces are there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

scripts/setup
scripts/build
echo $'\nPART 1: ONE HOST'
scripts/private-host scripts/demo-lib/story.sh
echo $'\nPART 2: THREE NODES'
WORKSPACE=$(mktemp -d "${TMPDIR:-/tmp}/podwire-demo.XXXXXX")
trap 'rm -rf "$WORKSPACE"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
TMPDIR=$WORKSPACE scripts/private-host node_modules/.bin/bun scripts/demo-lib/overlay.ts dist/topology.svg

#!/usr/bin/env bash
# Installs what is missing, builds, and shows three pods on a bridge: addresses, pings, NAT, CHECK, GC, DEL.
# All of it happens on a host of its own (see scripts/private-host); the machine's network is not touched.
#
#   scripts/demo.sh        as root, with sudo, or without either where packages and user namespaces are there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

scripts/setup
scripts/build
exec scripts/private-host scripts/demo-lib/story.sh

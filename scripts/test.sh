#!/usr/bin/env bash
# Installs what is missing, builds, lints, checks types, and runs all tests on a host of its own (see
# scripts/private-host). Without root the tests run in a user namespace, and what needs root is skipped aloud.
# The last line is `N passed, N failed, N skipped`; a failing lint, type check or build counts as failed.
#
#   scripts/test.sh [ARGUMENT…]      arguments go to vitest: a part of a file's name, -t PATTERN, …
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

BUN="$PWD/node_modules/.bin/bun"
FAILED=0

main() {
  make_workspace
  step 'setup' scripts/setup --tests || finish
  step 'lint' "$BUN" node_modules/.bin/biome check . || true
  step 'types' "$BUN" node_modules/.bin/tsc -p . || true
  step 'build' scripts/build || finish
  make_image "$@"
  run_vitest "$@"
  finish "$TOTALS"
}

# Files that tests leave, also those of tests that are killed, go with this script.
make_workspace() {
  WORKSPACE=$(mktemp -d "${TMPDIR:-/tmp}/podwire-test.XXXXXX")
  TOTALS=$WORKSPACE/totals
  export TMPDIR=$WORKSPACE
  trap 'rm -rf "$WORKSPACE"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

# step NAME COMMAND…: counts and returns its failure.
step() {
  local name=$1
  shift
  echo "test: $name"
  "$@" </dev/null && return
  FAILED=$((FAILED + 1))
  echo "test: $name failed" >&2
  return 1
}

# Tests have no network, which building the image needs: it is built here, for all tests or those of the image.
make_image() {
  (($# == 0)) || [[ $* == *image* ]] || return 0
  export PODWIRE_IMAGE=$WORKSPACE/podwire.tar
  step 'image' scripts/image --if-possible "$PODWIRE_IMAGE" || true
}

# The totals are held back: they are to be the very last line, with the other steps counted.
run_vitest() {
  echo "test: vitest"
  # Its output goes through a pipe; colours are for a terminal behind that.
  if [[ -t 1 && -z ${NO_COLOR-} ]]; then export FORCE_COLOR=1; else export NO_COLOR=1; fi
  if scripts/private-host "$BUN" node_modules/.bin/vitest run "$@" </dev/null 2>&1 | hold_totals_back; then
    [[ -e $TOTALS ]] && return
  fi
  # It ended badly although no test failed, or before it could count.
  [[ -e $TOTALS && $(<"$TOTALS") != *' 0 failed'* ]] || FAILED=$((FAILED + 1))
}

hold_totals_back() {
  awk -v totals="$TOTALS" '/^[0-9]+ passed, [0-9]+ failed/ { print >totals; next } { print; fflush() }'
}

# finish [TOTALS-FILE]: prints the last line and exits.
finish() {
  local passed=0 failed=0 skipped=0
  if [[ -e ${1-} ]]; then
    IFS=' ,' read -r passed _ failed _ skipped _ <"$1"
  fi
  failed=$((failed + FAILED))
  printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  exit $((failed > 0))
}

main "$@"

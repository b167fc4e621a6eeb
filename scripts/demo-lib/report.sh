# shellcheck shell=bash
# What the demo prints: numbered headings, commands with their output, and checks that end it when they fail.

if [[ -t 1 && -z ${NO_COLOR-} && ${TERM-} != dumb ]]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m'
else
  BOLD='' DIM='' GREEN='' RED='' PLAIN=''
fi
STEP=0
CHECKS=0
STEP_TITLE=

heading() {
  STEP=$((STEP + 1))
  STEP_TITLE=$1
  printf '\n%s%d. %s%s\n' "$BOLD" "$STEP" "$STEP_TITLE" "$PLAIN"
}

# show COMMAND…: prints the command, runs it, and prints its output indented; fails as the command does.
show() {
  prompt "$@"
  "$@" 2>&1 | indent
}

# show_failure WORD COMMAND…: as show, for a command that is to fail and to say the word.
show_failure() {
  local word=$1 output status=0
  shift
  prompt "$@"
  output=$("$@" 2>&1) || status=$?
  printf '%s\n' "$output" | indent
  ((status == 1)) && [[ ${output,,} == *"$word"* ]]
}

# check TEXT COMMAND…: a tick when the command succeeds; else its output, and the demo ends.
check() {
  local text=$1 output
  shift
  if output=$("$@" 2>&1); then
    tick "$text"
  else
    printf '   %s✗ %s%s\n' "$RED" "$text" "$PLAIN"
    prompt "$@"
    printf '%s\n' "$output" | indent
    return 1
  fi
}

# tick TEXT: says that what was just shown did what it should.
tick() {
  CHECKS=$((CHECKS + 1))
  printf '   %s✓%s %s\n' "$GREEN" "$PLAIN" "$1"
}

# report_end STATUS: the last lines.
report_end() {
  if (($1 == 0)); then
    printf '\n%sDone: %d checks, all passed.%s\n' "$BOLD" "$CHECKS" "$PLAIN"
  else
    printf '\n%sFailed in step %d, "%s".%s All that the demo made goes with its namespaces.\n' \
      "$RED" "$STEP" "$STEP_TITLE" "$PLAIN"
  fi
}

prompt() {
  printf '   %s$ %s%s\n' "$DIM" "$*" "$PLAIN"
}

indent() {
  sed 's/^/     /'
}

#!/usr/bin/env bash
# The demo's steps; scripts/demo.sh runs this on a private host.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/demo-lib/report.sh
source scripts/demo-lib/report.sh

PODS=(red green blue)
NETWORK=podwire
BRIDGE=podwire0
# Documentation prefixes (RFC 5737, RFC 3849): "the internet". It has no route to the pods.
HOST4=192.0.2.1 OUTSIDE4=192.0.2.2
HOST6=2001:db8::1 OUTSIDE6=2001:db8::2
PORT=8080
declare -A ADDRESS4 ADDRESS6

export PATH="$PWD/dist/bin:$PATH" CNI_PATH="$PWD/dist/bin" NETCONFPATH="$PWD/conf"

main() {
  trap 'report_end $?' EXIT
  trap 'exit 130' INT TERM
  make_surroundings
  ask_status
  add_pods
  ping_each_other
  reach_outside
  check_pods
  collect_garbage
  delete_pods
  look_for_leftovers
}

make_surroundings() {
  heading 'A host, three pods and the world outside, as network namespaces'
  local name
  for name in "${PODS[@]}" outside; do ip netns add "$name"; done
  ip link add uplink type veth peer name uplink netns outside
  ip address add "$HOST4/24" dev uplink
  ip address add "$HOST6/64" dev uplink nodad
  ip link set uplink up
  ip -n outside address add "$OUTSIDE4/24" dev uplink
  ip -n outside address add "$OUTSIDE6/64" dev uplink nodad
  ip -n outside link set uplink up
  start_server
  show ip netns list
  check "the host reaches outside at $OUTSIDE4" ping -q -c 1 -W 2 "$OUTSIDE4"
  check "the host reaches outside at $OUTSIDE6" ping -q -c 1 -W 2 "$OUTSIDE6"
  check 'outside has no route to the pods' no_route_to_pods
}

start_server() {
  coproc SERVER { exec ip netns exec outside node_modules/.bin/bun scripts/demo-lib/caller-address.ts "$PORT"; }
  local line
  read -r -t 20 line <&"${SERVER[0]}" && [[ $line == ready ]]
}

no_route_to_pods() {
  ! ip -n outside route get 10.244.1.2 && ! ip -n outside route get fd00:10:244:1::2
}

ask_status() {
  heading 'STATUS: can the network take pods?'
  show cat "$NETCONFPATH"/10-podwire.conflist
  show podwire run status "$NETWORK"
  tick 'the plugins are ready'
}

add_pods() {
  heading 'ADD: each pod gets an interface and addresses'
  local pod
  for pod in "${PODS[@]}"; do
    show podwire run add "$NETWORK" "$pod" --container-id "$pod"
    ADDRESS4[$pod]=$(address_of "$pod" -4)
    ADDRESS6[$pod]=$(address_of "$pod" -6)
    check "$pod has ${ADDRESS4[$pod]} and ${ADDRESS6[$pod]}" test "${ADDRESS4[$pod]}" -a "${ADDRESS6[$pod]}"
  done
  show ip -br link show master "$BRIDGE"
}

# address_of POD FAMILY: the pod's global address, as the kernel has it.
address_of() {
  ip -n "$1" -br "$2" address show dev eth0 scope global | awk '{ sub("/.*", "", $3); print $3 }'
}

ping_each_other() {
  heading 'Ping: pod to pod, host to pod'
  local from to
  for from in "${PODS[@]}"; do
    for to in "${PODS[@]}"; do
      [[ $from == "$to" ]] && continue
      check "$from → $to ${ADDRESS4[$to]}" ping_from "$from" "${ADDRESS4[$to]}"
      check "$from → $to ${ADDRESS6[$to]}" ping_from "$from" "${ADDRESS6[$to]}"
    done
  done
  for to in "${PODS[@]}"; do
    check "host → $to ${ADDRESS4[$to]}" ping -q -c 1 -W 2 "${ADDRESS4[$to]}"
    check "host → $to ${ADDRESS6[$to]}" ping -q -c 1 -W 2 "${ADDRESS6[$to]}"
  done
}

ping_from() {
  ip netns exec "$1" ping -q -c 1 -W 2 "$2"
}

reach_outside() {
  heading 'Masquerade: pods reach the outside, which sees the address of the host'
  local pod
  for pod in "${PODS[@]}"; do
    check "$pod → outside $OUTSIDE4 (ping)" ping_from "$pod" "$OUTSIDE4"
    check "$pod → outside $OUTSIDE6 (ping)" ping_from "$pod" "$OUTSIDE6"
    check "$pod connects by TCP; outside sees $HOST4, not ${ADDRESS4[$pod]}" seen_as "$pod" "$OUTSIDE4" "$HOST4"
    check "$pod connects by TCP; outside sees $HOST6, not ${ADDRESS6[$pod]}" seen_as "$pod" "$OUTSIDE6" "$HOST6"
  done
}

# seen_as POD SERVER ADDRESS: true when the server outside says that the pod comes from the address.
seen_as() {
  local seen
  # shellcheck disable=SC2016 # the inner shell's arguments
  seen=$(ip netns exec "$1" timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2"; cat <&3' bash "$2" "$PORT")
  echo "outside saw $seen"
  [[ $seen == "$3" ]]
}

check_pods() {
  heading 'CHECK: is everything as ADD left it?'
  local pod
  for pod in "${PODS[@]}"; do
    check "$pod is as it was added" podwire run check "$NETWORK" "$pod" --container-id "$pod"
  done
  ip -n green route del default
  show_failure route podwire run check "$NETWORK" green --container-id green
  tick 'green has lost its default route, and CHECK says so'
  ip -n green route add default via "$(gateway)"
  check 'with the route back, green is as it was added' podwire run check "$NETWORK" green --container-id green
}

gateway() {
  ip -br -4 address show dev "$BRIDGE" | awk '{ sub("/.*", "", $3); print $3 }'
}

collect_garbage() {
  heading 'GC: blue dies without a DEL; what it held is freed'
  ip netns delete blue
  check "blue's address ${ADDRESS4[blue]} is still reserved" reserved "${ADDRESS4[blue]}"
  show podwire run gc "$NETWORK" --keep-attachment red:eth0 --keep-attachment green:eth0
  check "blue's addresses are free" not reserved "${ADDRESS4[blue]}" "${ADDRESS6[blue]}"
  check 'red is as it was added' podwire run check "$NETWORK" red --container-id red
  check 'green is as it was added' podwire run check "$NETWORK" green --container-id green
}

# reserved ADDRESS…: true when one of them is reserved on disk.
reserved() {
  local address
  for address; do
    [[ -e /var/lib/cni/networks/$NETWORK/$address ]] && return 0
  done
  return 1
}

delete_pods() {
  heading 'DEL: red, green, and once more blue, which is gone already'
  local pod
  for pod in "${PODS[@]}"; do
    show podwire run del "$NETWORK" "$pod" --container-id "$pod"
    check "$pod is deleted" not reserved "${ADDRESS4[$pod]}" "${ADDRESS6[$pod]}"
  done
}

look_for_leftovers() {
  heading 'Nothing is left (the bridge stays, for the next pod)'
  check 'no interface in red' not ip -n red link show dev eth0
  check 'no interface in green' not ip -n green link show dev eth0
  check 'no veth on the host but the uplink' only_uplink
  check 'no port on the bridge' empty ip -br link show master "$BRIDGE"
  check 'no address reserved' not reserved "${ADDRESS4[@]}" "${ADDRESS6[@]}"
  check 'no address of a pod in nftables' mentions_no_pod nft list ruleset
  check 'no address of a pod in iptables' mentions_no_pod iptables_rules
  check 'no result remembered' empty find /var/lib/cni/results -type f
  check 'no attachment recorded' empty attachment_records
}

only_uplink() {
  local others
  others=$(ip -br link show type veth | grep -v '^uplink@' || true)
  echo "$others"
  [[ -z $others ]]
}

# mentions_no_pod COMMAND…: true when the command succeeds and its output has none of the pods' addresses.
mentions_no_pod() {
  local address text patterns=()
  for address in "${ADDRESS4[@]}" "${ADDRESS6[@]}"; do patterns+=(-e "$address"); done
  text=$("$@") || return
  ! grep -wF "${patterns[@]}" <<<"$text"
}

iptables_rules() {
  iptables-save
  ip6tables-save
}

attachment_records() {
  [[ ! -d /run/podwire/attachments ]] || find /run/podwire/attachments -type f
}

# empty COMMAND…: true when the command succeeds and says nothing on stdout.
empty() {
  local output
  output=$("$@") || return
  echo "$output"
  [[ -z $output ]]
}

not() {
  ! "$@"
}

main

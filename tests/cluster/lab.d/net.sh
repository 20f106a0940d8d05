# SPDX-License-Identifier: BSD-2-Clause
# The switch: a bridge in a namespace of its own, one veth port p-HOST per host.  Sourced by lab.

sw() { ip netns exec "$NETNS-sw" "$@"; }

net_up() {
	local h
	ip netns add "$NETNS-sw" || die "can't add a network namespace: run as root"
	ip -n "$NETNS-sw" link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0 ||
		die "can't add a bridge: is the kernel's bridge support there?"
	ip -n "$NETNS-sw" link set br0 up
	for h in $HOSTS; do
		ip netns add "$NETNS-$h"
		ip -n "$NETNS-$h" link add eth0 type veth peer name "p-$h" netns "$NETNS-sw" ||
			die "can't add a veth pair for $h"
		ip -n "$NETNS-$h" link set lo up
		ip -n "$NETNS-$h" addr add "$(ip_of "$h")/24" dev eth0
		ip -n "$NETNS-$h" link set eth0 up
		ip -n "$NETNS-sw" link set "p-$h" master br0 up
	done
}

# net_drop RULE…: each rule drops frames in the bridge's forward path
net_drop() {
	local r
	{
		echo "add table bridge lab"
		echo "add chain bridge lab cut { type filter hook forward priority 0; }"
		for r in "$@"; do echo "add rule bridge lab cut $r drop"; done
	} | sw nft -f - || die "the switch refuses the rule: is nftables' bridge family there?"
}

# port_set NODE…: an nft set of their ports
port_set() { local n s=; for n in "$@"; do s="$s${s:+, }p-$n"; done; echo "{ $s }"; }

net_partition() {
	local n all rest=''
	all=$(port_set $NODES)
	case ${1:-} in
	'')
		for n in $NODES; do sw bridge link set dev "p-$n" isolated on; done ;;
	cluster)
		shift
		for n in "$@"; do need_node "$n"; done
		for n in $NODES; do [[ " $* " = *" $n "* ]] || rest="$rest $n"; done
		[ -n "$rest" ] && [ $# -gt 0 ] || die "partition cluster: name some nodes, not all"
		net_drop "iifname $(port_set "$@") oifname $(port_set $rest)" \
			"iifname $(port_set $rest) oifname $(port_set "$@")" ;;
	carrier)
		need_node "${2:-}"
		sw ip link set "p-$2" down ;;
	oneway)
		need_node "${2:-}"; need_node "${3:-}"
		net_drop "iifname p-$2 oifname p-$3" ;;
	loss)
		[[ ${2:-} =~ ^[0-9]+$ ]] || die "partition loss PERCENT: from 0 to 100"
		net_drop "iifname $all oifname $all numgen random mod 100 < $2" ;;
	link)
		net_drop "tcp dport 3261" "tcp sport 3261" ;;
	*)
		need_node "$1"
		net_drop "iifname p-$1" "oifname p-$1" ;;
	esac
}

net_heal() {
	local n
	sw nft delete table bridge lab 2>/dev/null
	for n in $NODES; do
		sw bridge link set dev "p-$n" isolated off
		node_pid "$n" >/dev/null && sw ip link set "p-$n" up
	done
	return 0
}

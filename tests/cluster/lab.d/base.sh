# SPDX-License-Identifier: BSD-2-Clause
# Names, waiting, the life of a lab as a whole.  Sourced by lab.

die() { echo "lab: $*" >&2; exit 1; }
usage() { sed -n '3,/^# Environment/{/^# Environment/d;s/^# \{0,1\}//;p}' "$HERE/lab" >&2; exit 2; }
now() { date +%s.%N; }
since() { echo "$(now) - $1" | bc; }

# poll SECONDS CMD…: until CMD succeeds; fails when it has not within SECONDS
poll() {
	local end=$(($(date +%s%3N) + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s%3N)" -lt $end ] || return 1
		sleep 0.05
	done
}

# node_names N: node-a node-b …
node_names() {
	local i
	for ((i = 0; i < $1; i++)); do printf 'node-%b ' "\\x$(printf %x $((97 + i)))"; done
}
node_id() { local c=${1#node-}; echo $(($(printf %d "'$c") - 96)); }
ip_of() {
	case $1 in
	"$ARBITER") echo 10.77.0.250 ;;
	"$INITIATOR") echo 10.77.0.200 ;;
	*) echo 10.77.0.$(node_id "$1") ;;
	esac
}
need_node() {
	local n
	for n in $NODES; do [ "$n" = "$1" ] && return 0; done
	die "no node '$1' in lab '$NAME'; its nodes: $NODES"
}

cgroup_root() {
	local d
	for d in /sys/fs/cgroup/unified /sys/fs/cgroup "$DIR/cgroup"; do
		[ -w "$d/cgroup.procs" ] && { echo "$d"; return; }
	done
}

# every name that belongs to this lab
lab_settle() {
	DIR=$(realpath -m "${DIR:-/tmp/sandem-lab-$NAME}")
	[ -r "$DIR/env" ] && . "$DIR/env"
	NODES=$(node_names "$NODE_COUNT")
	HOSTS="$NODES$INITIATOR"
	[ "$QDEVICE$ETCD" = 00 ] || HOSTS="$HOSTS $ARBITER"
	NETNS=sandem-$NAME
	CGNAME=sandem-$NAME
	CG=$(cgroup_root)/$CGNAME
}

lab_lock() {
	exec 9>"/run/lock/sandem-lab-$NAME.lock"
	flock -w 60 9 || die "another 'lab up' or 'lab down' of '$NAME' is at work"
}

# prepare DIR; overlayfs wants a real file system under the nodes' disks, /tmp in a container
# often is an overlay itself
lab_mkdir() {
	case $DIR/ in /etc/* | /var/* | /root/* | /run/* | /dev/* | /srv/* | /usr/* | /proc/* | /sys/*)
		die "--dir $DIR would be hidden inside the nodes; choose one under /tmp" ;;
	esac
	[ ! -e "$DIR" ] || [ -z "$(ls -A "$DIR")" ] || die "$DIR is not empty and no lab"
	mkdir -p "$DIR"
	touch "$DIR/.sandem-lab"
	if [ "$(stat -f -c %T "$DIR")" = overlayfs ]; then
		mount -t tmpfs -o mode=755 "sandem-lab-$NAME" "$DIR" ||
			die "$DIR is on overlayfs and a tmpfs over it is refused; choose --dir"
		touch "$DIR/.sandem-lab"
	fi
	if [ -z "$(cgroup_root)" ]; then
		mkdir -p "$DIR/cgroup"
		mount -t cgroup2 "sandem-lab-$NAME" "$DIR/cgroup" ||
			die "no cgroup2 is mounted and it can't be mounted: run as root with CAP_SYS_ADMIN"
	fi
	CG=$(cgroup_root)/$CGNAME
	mkdir -p "$CG" || die "can't create $CG: cgroup2 must be writable"
	[ -e "$CG/cgroup.kill" ] || die "no cgroup.kill in $CG: Linux 5.14 or later is needed"
	{
		declare -p NODE_COUNT QDEVICE ETCD BARE TOKEN DISK_SIZE LUNS FORWARD LINK_TLS | sed 's/^declare -- //'
		echo "CG=$CG"
	} >"$DIR/env"
}

lab_down() {
	local h
	for h in $HOSTS; do host_kill "$h"; done
	for h in $HOSTS sw; do
		[ ! -e "/run/netns/$NETNS-$h" ] || ip netns del "$NETNS-$h"
	done
	for h in $HOSTS; do [ ! -d "$CG/$h" ] || poll 5 rmdir "$CG/$h"; done
	[ ! -d "$CG" ] || poll 5 rmdir "$CG" || die "$CG can't be removed: a process is left in it"
	[ -e "$DIR/.sandem-lab" ] || return 0
	if mountpoint -q "$DIR/cgroup"; then umount "$DIR/cgroup" || die "can't unmount $DIR/cgroup"; fi
	[ "${LAB_KEEP:-0}" = 0 ] || { rm -f "$DIR/env"; echo "lab: logs are kept in $DIR"; return 0; }
	if mountpoint -q "$DIR"; then umount -l "$DIR" || die "can't unmount $DIR"; fi
	rm -rf --one-file-system "$DIR" || die "can't remove $DIR"
}

# the lab must not outlive the test run that wanted it, whatever ends that
lab_guard() {
	tail --pid="$1" -s 0.5 -f /dev/null
	[ ! -e "$DIR/env" ] || "$HERE/lab" --name "$NAME" --dir "$DIR" down
}

up_options() {
	while [ $# -gt 0 ]; do
		case $1 in
		--nodes) NODE_COUNT=${2:?}; shift ;;
		--qdevice) QDEVICE=1 ;;
		--etcd) ETCD=1 ;;
		--bare) BARE=1 ;;
		--forward) FORWARD=1 ;;
		--link-tls) LINK_TLS=yes ;;
		--config) CONFIG=$(readlink -e "${2:?}") || die "no such file: $2"; shift ;;
		--disk-size) DISK_SIZE=${2:?}; shift ;;
		--luns) LUNS=${2:?}; shift ;;
		--owner) OWNER=${2:?}; shift ;;
		*) usage ;;
		esac
		shift
	done
	[[ $NODE_COUNT =~ ^[0-9]+$ ]] && [ "$NODE_COUNT" -ge 1 ] && [ "$NODE_COUNT" -le 16 ] ||
		die "--nodes $NODE_COUNT: from 1 to 16"
	[[ $LUNS =~ ^[0-9]+$ ]] && [ "$LUNS" -ge 1 ] && [ "$LUNS" -le 4096 ] || die "--luns $LUNS: from 1 to 4096"
}

up_failed() {
	local rc=$?
	trap - EXIT INT TERM HUP
	[ $rc -ne 0 ] || rc=1
	echo "lab: up failed; last lines of the logs:" >&2
	tail -qn 5 "$DIR"/*.console "$DIR"/*/var.up/log/{corosync,pacemaker,sandem}/*.log >&2 2>/dev/null
	lab_down
	exit $rc
}

verb_up() {
	local t0
	t0=$(now)
	up_options "$@"
	[ "$(id -u)" = 0 ] || die "must be root"
	lab_lock
	[ ! -e "$DIR/env" ] && [ ! -e "/run/netns/$NETNS-sw" ] ||
		die "a lab '$NAME' exists: 'lab --name $NAME down' ends it, --name gives another"
	lab_settle
	[ $BARE = 1 ] || sandem_check_build
	trap up_failed EXIT
	trap 'exit 130' INT TERM HUP
	lab_mkdir
	[ -z "$OWNER" ] || ( setsid "$HERE/lab" --name "$NAME" --dir "$DIR" __guard "$OWNER" \
		9>&- </dev/null >/dev/null 2>&1 & )
	net_up
	stack_configure
	sandem_configure
	stack_up
	[ $BARE = 1 ] || sandem_up
	trap - EXIT INT TERM HUP
	echo "lab $NAME: up after $(since "$t0") s, nodes $NODES"
}

verb_status() {
	local n
	for n in $NODES; do
		node_pid "$n" >/dev/null || { echo "$n: off"; continue; }
		node_frozen "$n" && { echo "$n: paused"; continue; }
		echo "$n: on"
		node_run "$n" corosync-quorumtool 2>&1 | grep -E '^(Nodes|Quorate|Flags)'
		node_run "$n" sandemctl status 2>&1 | sed 's/^/  /'
	done
	for n in $NODES; do
		node_alive "$n" || continue
		node_run "$n" crm_mon -1 --inactive
		break
	done
}

verb_logs() {
	local f d
	[ "${1:-}" != --save ] || d=${2:?--save needs a directory}
	for f in "$DIR"/*.console "$DIR"/*/var.up/log/{corosync,pacemaker,sandem}/*; do
		[ -f "$f" ] || continue
		[ -n "${d:-}" ] || { echo "$f"; continue; }
		mkdir -p "$d"
		cp "$f" "$d/$(sed 's|/var.up/log/|.|; s|/|.|g' <<<"${f#"$DIR"/}")"
	done
}

verb_fence_state() {
	local n
	for n in $NODES; do
		node_pid "$n" >/dev/null && echo "$n: on" || echo "$n: off"
	done
	for n in $NODES; do
		node_alive "$n" || continue
		node_run "$n" stonith_admin --history '*' --verbose
		return 0
	done
}

# SPDX-License-Identifier: BSD-2-Clause
# The nodes as machines: power on, power off, pause, run something inside.  Sourced by lab.
#
# DIR/NODE/{etc,var,root}.up is what a node has written: its disk, which survives a power cut.
# DIR/NODE.pid is the host's pid of the node's PID 1.

# the host's pid of a powered node's init.  A dead init can stay a zombie for a while; a zombie
# still shows its cgroup but has no namespaces.
node_pid() {
	local p
	p=$(cat "$DIR/$1.pid" 2>/dev/null) && [ -n "$p" ] && [ -e "/proc/$p/ns/mnt" ] &&
		grep -qs "^0::.*/$CGNAME/$1\$" "/proc/$p/cgroup" && echo "$p"
}
node_frozen() { grep -qs 'frozen 1' "$CG/$1/cgroup.events"; }
node_alive() { node_pid "$1" >/dev/null && ! node_frozen "$1"; }
host_empty() { ! grep -qs '^populated 1' "$CG/$1/cgroup.events"; }

node_freeze() {
	[ -d "$CG/$1" ] || return 0
	echo "$2" >"$CG/$1/cgroup.freeze"
	[ "$2" = 0 ] || poll 5 node_frozen "$1" || die "$1 does not freeze"
}

# everything in the host's cgroup ends at once
host_kill() {
	[ -d "$CG/$1" ] || return 0
	echo 1 >"$CG/$1/cgroup.kill"
	poll 10 host_empty "$1" || die "processes of $1 do not die, see $CG/$1/cgroup.procs"
}

# like pulling the plug: frozen first so that it can do no more harm, then the cable so that no
# FIN or RST escapes, then SIGKILL, which reaches frozen processes too
node_poweroff() {
	local n
	for n in "$@"; do [ ! -d "$CG/$n" ] || echo 1 >"$CG/$n/cgroup.freeze"; done
	for n in "$@"; do node_freeze "$n" 1; done
	for n in "$@"; do sw ip link set "p-$n" down; done
	for n in "$@"; do
		host_kill "$n"
		rm -f "$DIR/$n.pid"
	done
}

node_boot() {
	local n=$1
	node_pid "$n" >/dev/null && return 0
	mkdir -p "$DIR/$n"/{etc,var,root}.{up,wk} "$CG/$n"
	node_freeze "$n" 0		# a fenced node is left frozen
	rm -f "$DIR/$n.pid"
	sw ip link set "p-$n" up
	# a grandchild, or this shell's "wait" would wait for the node
	( (
		echo $BASHPID >"$CG/$n/cgroup.procs"
		exec setsid nsenter --net="/run/netns/$NETNS-$n" \
			unshare --mount --uts --ipc --pid --fork \
			"$HERE/lab" --name "$NAME" --dir "$DIR" __init "$n"
	) 9>&- </dev/null >>"$DIR/$n.console" 2>&1 &)
	poll 20 test -s "$DIR/$n.pid" || die "$n does not boot: $(tail -n 3 "$DIR/$n.console")"
}

# PID 1 of a node, in its fresh namespaces
node_init() {
	local n=$1 d=$DIR/$1 o hostpid
	set -e
	read -r hostpid _ </proc/self/stat	# this /proc is still the host's
	hostname "$n"
	mount --make-rprivate /
	# a parking place for what the mounts below would hide
	mount -t tmpfs -o size=1m tmpfs /mnt
	mkdir -p /mnt/cg /mnt/bmc /mnt/dir /mnt/build
	touch /mnt/sw
	mount --bind "$DIR" /mnt/dir
	mount --bind "$CG" /mnt/cg
	mount --bind "$DIR/bmc" /mnt/bmc
	mount --bind "/run/netns/$NETNS-sw" /mnt/sw
	[ ! -d "$BUILD" ] || mount --bind "$BUILD" /mnt/build
	umount -R /run/netns 2>/dev/null || true	# or this node would pin every other's
	for o in etc var root; do
		mount -t overlay overlay \
			-o "lowerdir=/$o,upperdir=$d/$o.up,workdir=$d/$o.wk" "/$o"
	done
	mkdir -p /srv
	[ -z "$(ls -A "$DIR/sbin")" ] || mount -t overlay overlay -o "lowerdir=$DIR/sbin:/usr/sbin" /usr/sbin
	mount -t overlay overlay -o "lowerdir=$DIR/ocf:/usr/lib/ocf/resource.d" /usr/lib/ocf/resource.d
	mount -t overlay overlay -o "lowerdir=$DIR/alerts:/usr/share/pacemaker/alerts" /usr/share/pacemaker/alerts
	mount --bind "$DIR/srv" /srv		# the shared disk
	# volatile, and per node: pids, which name many files here, collide between nodes
	mount -t tmpfs -o mode=755 tmpfs /run
	mount -t tmpfs -o mode=1777 tmpfs /dev/shm
	mkdir -p /run/lock /run/resource-agents /run/crm /run/lab/{cg,bmc,dir} \
		/run/corosync-qnetd /run/corosync-qdevice
	chmod 1777 /run/lock /run/resource-agents
	chown hacluster:haclient /run/crm
	chown coroqnetd: /run/corosync-qnetd 2>/dev/null || true
	touch /run/lab/sw
	for o in cg bmc sw dir; do mount --bind "/mnt/$o" "/run/lab/$o"; done
	mount -t tmpfs -o mode=1777 tmpfs /tmp
	[ -d "$BUILD" ] || { mkdir -p "$BUILD" && mount --bind /mnt/build "$BUILD"; }	# it was under /tmp
	umount -R /mnt
	mount -t sysfs sysfs /sys		# of this network namespace
	mount -t proc proc /proc		# of this pid namespace
	echo "$hostpid" >"/run/lab/dir/$n.pid.new"
	mv "/run/lab/dir/$n.pid.new" "/run/lab/dir/$n.pid"
	umount /run/lab/dir
	cd /
	# reap what is re-parented to us
	exec perl -e '$0 = "node-init"; $SIG{CHLD} = sub {}; $SIG{TERM} = sub { exit 0 };
		while (1) { sleep 1 if wait() < 0 }'
}

# become CMD inside NODE: in its cgroup, so that it dies and freezes with the node
node_enter() {
	local n=$1 p
	shift
	if [ "$n" = "$INITIATOR" ]; then
		[ -e "/run/netns/$NETNS-$n" ] || die "lab '$NAME' is not up"
		mkdir -p "$CG/$n"
		echo $BASHPID >"$CG/$n/cgroup.procs"
		exec nsenter --net="/run/netns/$NETNS-$n" -- "$@"
	fi
	[ "$n" = $ARBITER ] || need_node "$n"
	p=$(node_pid "$n") || die "$n is powered off"
	! node_frozen "$n" || die "$n is paused"
	echo $BASHPID >"$CG/$n/cgroup.procs"
	exec nsenter -t "$p" -m -u -i -n -p -- env -i HOME=/root LANG=C.UTF-8 \
		TERM="${TERM:-dumb}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
node_run() { (node_enter "$@" 9>&-); }

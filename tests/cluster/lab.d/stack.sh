# SPDX-License-Identifier: BSD-2-Clause
# corosync, pacemaker, fencing; qnetd and etcd on the arbitrator.  Sourced by lab.

stack_configure() {
	local n h
	mkdir -p "$DIR"/{sbin,ocf,srv,bmc}
	corosync-keygen -l -k "$DIR/authkey" >/dev/null || die "corosync-keygen failed"
	for n in ${HOSTS/$INITIATOR/}; do
		mkdir -p "$DIR/$n"/{etc,var,root}.{up,wk} "$DIR/$n/etc.up/corosync" "$CG/$n"
		echo "$n" >"$DIR/$n/etc.up/hostname"
		echo '127.0.0.1 localhost' >"$DIR/$n/etc.up/hosts"
		for h in $HOSTS; do echo "$(ip_of "$h") $h" >>"$DIR/$n/etc.up/hosts"; done
		[ "$n" != $ARBITER ] || continue
		install -m 400 "$DIR/authkey" "$DIR/$n/etc.up/corosync/authkey"
		corosync_conf >"$DIR/$n/etc.up/corosync/corosync.conf"
	done
	install -m 755 "$HERE/lab.d/fence_lab" "$DIR/sbin/fence_lab"
}

corosync_conf() {
	local n
	# sched_rr no: behaves alike on every host; a token below 1000 ms loses members on a busy one
	cat <<E
totem {
	version: 2
	cluster_name: $NAME
	transport: knet
	crypto_cipher: aes256
	crypto_hash: sha256
	keyfile: /etc/corosync/authkey
	token: $TOKEN
}
quorum {
	provider: corosync_votequorum
E
	if [ "$QDEVICE" = 1 ]; then
		cat <<E
	device {
		model: net
		votes: 1
		timeout: 3000
		sync_timeout: 5000
		net {
			host: $(ip_of $ARBITER)
			algorithm: ffsplit
			tls: off
		}
	}
E
	elif [ "$NODE_COUNT" = 2 ]; then
		echo "	two_node: 1"
	fi
	cat <<E
}
system {
	sched_rr: no
}
logging {
	to_stderr: no
	to_syslog: no
	to_logfile: yes
	logfile: /var/log/corosync/corosync.log
	timestamp: hires
}
nodelist {
E
	for n in $NODES; do
		printf '\tnode {\n\t\tname: %s\n\t\tnodeid: %s\n\t\tring0_addr: %s\n\t}\n' \
			"$n" "$(node_id "$n")" "$(ip_of "$n")"
	done
	echo "}"
}

# Before the first election a CIB with a short dc-deadtime: the default of 20 s would be waited
# for.  Fencing is off until its devices are there.
cib_seed() {
	node_run "$1" bash -c '
		f=/var/lib/pacemaker/cib/cib.xml
		[ -e $f ] && exit 0
		s="<cluster_property_set id=\"cib-bootstrap-options\">"
		s="$s<nvpair id=\"opt-dc-deadtime\" name=\"dc-deadtime\" value=\"2s\"/>"
		s="$s<nvpair id=\"opt-stonith\" name=\"stonith-enabled\" value=\"false\"/></cluster_property_set>"
		cibadmin --empty | sed "s|<crm_config/>|<crm_config>$s</crm_config>|" >$f
		grep -q dc-deadtime $f || { echo "the empty CIB has no crm_config element" >&2; exit 1; }
		chown hacluster:haclient $f
		chmod 600 $f'
}

stack_start() {
	local n=$1
	node_run "$n" corosync || die "corosync on $n does not start, see 'lab logs'"
	poll 15 node_run "$n" corosync-cfgtool -s || die "corosync on $n does not answer"
	[ "$QDEVICE" = 0 ] || node_run "$n" sh -c \
		'setsid corosync-qdevice -f </dev/null >/var/log/corosync/qdevice.out 2>&1 &'
	[ "${2:-}" != --corosync ] || return 0
	cib_seed "$n" || die "no CIB for $n"
	node_run "$n" sh -c \
		'setsid pacemakerd </dev/null >/var/log/pacemaker/pacemakerd.out 2>&1 &'
}

# every powered node sees every powered node online
stack_online() {
	local n m x
	for n in $NODES; do
		node_alive "$n" || continue
		x=$(node_run "$n" crm_mon -1 --output-as=xml 2>/dev/null) || return 1
		for m in $NODES; do
			node_alive "$m" || continue
			grep -q "<node name=\"$m\" .*online=\"true\".*pending=\"false\"" <<<"$x" || return 1
		done
	done
}
# The designated controller has nothing under way, and the scheduler would start nothing: what
# crm_resource --wait tells, without its steps of two seconds.
stack_idle() {
	local n dc
	for n in $NODES; do
		node_alive "$n" || continue
		dc=$(node_run "$n" crmadmin -D 2>/dev/null | sed -n 's/.*: //p')
		[ -n "$dc" ] && node_alive "$dc" || return 1
		node_run "$n" crm_simulate -LS 2>/dev/null |
			sed -n '/^Transition Summary:/,/^Executing Cluster Transition:/p' | grep -q '^  \*' && return 1
		node_run "$n" crmadmin -S "$dc" 2>/dev/null | grep -q S_IDLE
		return
	done
	return 1
}
stack_wait() {
	local end=$(($(date +%s) + $1))
	until stack_online && stack_idle; do
		[ "$(date +%s)" -lt $end ] || return 1
		sleep 0.1
	done
}

# One fence device per victim, never run by the victim.
fencing_crm() {
	local n
	for n in $NODES; do
		echo "primitive fence-$n stonith:fence_lab" \
			"params port=$n pcmk_host_list=$n pcmk_host_check=static-list" \
			"op monitor interval=60s timeout=30s"
		echo "location l-fence-$n fence-$n -inf: $n"
	done
	echo "property stonith-enabled=true stonith-action=off stonith-timeout=30s"
}

stack_up() {
	local n p pids=''
	# the steps of the nodes run side by side; each must succeed
	for n in $NODES; do (node_boot "$n") & pids="$pids $!"; done
	for p in $pids; do wait "$p" || exit 1; done
	[ "$QDEVICE" = 0 ] || qnetd_up
	[ "$ETCD" = 0 ] || etcd_up
	pids=''
	for n in $NODES; do (stack_start "$n") & pids="$pids $!"; done
	for p in $pids; do wait "$p" || exit 1; done
	poll 60 stack_online || die "not all nodes are online after 60 s"
	fencing_crm | node_run node-a crm configure load update - || die "crm refuses the fencing"
}

qnetd_up() {
	node_boot $ARBITER
	node_run $ARBITER bash -c 'mkdir -p /etc/corosync/qnetd
		chown -R coroqnetd: /etc/corosync/qnetd /run/corosync-qnetd
		setsid setpriv --reuid coroqnetd --regid coroqnetd --clear-groups \
			corosync-qnetd -f -s off </dev/null >/var/log/qnetd.out 2>&1 &'
	poll 15 node_run $ARBITER corosync-qnetd-tool -s || die "qnetd does not answer"
}

etcd_up() {
	node_boot $ARBITER
	node_run $ARBITER bash -c "mkdir -p -m 700 /var/lib/etcd-lab
		setsid etcd --name lab --data-dir /var/lib/etcd-lab \
			--listen-client-urls http://0.0.0.0:2379 \
			--advertise-client-urls http://$(ip_of $ARBITER):2379 \
			--listen-peer-urls http://127.0.0.1:2380 </dev/null >/var/log/etcd.out 2>&1 &"
	poll 20 node_run $ARBITER env ETCDCTL_API=3 \
		etcdctl --endpoints http://127.0.0.1:2379 endpoint health || die "etcd does not answer"
}

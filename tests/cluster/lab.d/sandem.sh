# SPDX-License-Identifier: BSD-2-Clause
# What of Sandem goes into the nodes: binaries, agents, sandem.yaml, the crm configuration.
# Sourced by lab.

sandem_check_build() {
	local b
	for b in sandemd sandemctl; do
		[ -x "$BUILD/$b" ] ||
			die "$BUILD/$b is missing: run make, or set SANDEM_BUILD, or use 'up --bare'"
	done
}

# Copies, so that a build during a run changes nothing in a running cluster.
sandem_configure() {
	local n b
	for b in sandemd sandemctl; do
		[ ! -x "$BUILD/$b" ] || install -m 755 "$BUILD/$b" "$DIR/sbin/$b"
	done
	install -m 755 "$REPO/agents/move_group" "$DIR/sbin/move_group"
	mkdir -p "$DIR/ocf/sandem" "$DIR/alerts"
	install -m 755 "$REPO"/agents/ocf/* "$DIR/ocf/sandem/" ||
		die "the agents in $REPO/agents/ocf can't be copied"
	install -m 755 "$REPO"/agents/alerts/* "$DIR/alerts/" ||
		die "the alert agents in $REPO/agents/alerts can't be copied"
	truncate -s "$DISK_SIZE" "$DIR/srv/disk0.img" || die "--disk-size $DISK_SIZE: use e.g. 1G"
	for ((n = 1; n < LUNS; n++)); do truncate -s 1M "$DIR/srv/disk$n.img"; done
	if [ -n "$CONFIG" ]; then cp "$CONFIG" "$DIR/sandem.yaml"; else sandem_yaml >"$DIR/sandem.yaml"; fi
	(umask 077; head -c 32 /dev/urandom >"$DIR/cluster.key")
	for n in $NODES; do
		install -D -m 600 "$DIR/cluster.key" "$DIR/$n/etc.up/sandem/cluster.key"
		install -D -m 644 "$DIR/sandem.yaml" "$DIR/$n/etc.up/sandem/sandem.yaml"
		mkdir -p "$DIR/$n/var.up/log/sandem"
	done
}

sandem_yaml() {
	local n
	echo "cluster: {name: $NAME, link_tls: $LINK_TLS}"
	echo "nodes:"
	for n in $NODES; do
		echo "  - {name: $n, id: $(node_id "$n"), portals: [\"$(ip_of "$n"):3260\"]}"
	done
	[ "$ETCD" = 0 ] || echo "store: {type: etcd, endpoints: [\"http://$(ip_of $ARBITER):2379\"]}"
	cat <<E
groups: [{name: g0, non_owner: $([ "$FORWARD" = 1 ] && echo forward || echo standby)}]
luns:
  - {name: disk0, group: g0, handler: file, path: /srv/disk0.img, size: $DISK_SIZE, direct: false}
E
	for ((n = 1; n < LUNS; n++)); do
		echo "  - {name: disk$n, group: g0, handler: file, path: /srv/disk$n.img, size: 1M, direct: false}"
	done
	echo "targets:"
	echo "  - name: iqn.2026-11.io.sandem:demo"
	echo "    luns:"
	for ((n = 0; n < LUNS; n++)); do echo "      - {lun: $n, name: disk$n}"; done
	echo "    initiators: [\"iqn.*\"]"
}

# sandem_owner GROUP: the node on which pacemaker has promoted it
sandem_owner() {
	local n o
	for n in $NODES; do
		node_alive "$n" || continue
		o=$(node_run "$n" crm_resource --resource "$1" --locate 2>/dev/null |
			sed -n 's/.* on: \([^ ]*\) \(Promoted\|Master\).*/\1/p')
		[ -n "$o" ] && { echo "$o"; return 0; }
		break
	done
	return 1
}

sandem_up() {
	node_run node-a crm configure load update - <"$REPO/configs/sandem.crm" ||
		die "crm refuses configs/sandem.crm"
	poll 60 sandem_owner g0 || die "no node was promoted for g0 within 60 s: $(
		node_run node-a crm_mon -1 --inactive --failcounts 2>&1 | tail -n 25)"
	stack_wait 60 || die "the cluster does not settle"
}

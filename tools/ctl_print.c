/* SPDX-License-Identifier: BSD-2-Clause */
/* The answers of the verbs as a person reads them. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/ctl.h"

void print_groups(const json_t *result)
{
	static const struct column col[] = {
		{ "GROUP", "name", put_text, false },  { "OWNER", "owner", put_text, false },
		{ "EPOCH", "epoch", put_number, true }, { "HERE", "state", put_text, false },
		{ "PORTS", "ports", put_ports, false }, { "LUNS", "luns", put_list, false },
		{ NULL, NULL, NULL, false },
	};
	const json_t *groups = json_object_get(result, "groups");
	json_t *g;
	size_t i;

	print_table(col, groups, "no LUN groups are configured");
	json_array_foreach(groups, i, g) {
		if (json_is_true(json_object_get(g, "owner_lost")) && !json_is_string(json_object_get(g, "owner")))
			printf("group %s: its owner had left the cluster; it is nobody's until a node is promoted\n", text_of(g, "name"));
		else if (json_is_true(json_object_get(g, "owner_lost")))
			printf("group %s: its owner %s has left the cluster; it is taken over once that node is fenced\n",
			       text_of(g, "name"), text_of(g, "owner"));
		if (json_is_string(json_object_get(g, "error")))
			printf("group %s: %s\n", text_of(g, "name"), text_of(g, "error"));
	}
}

void print_luns(const json_t *result)
{
	static const struct column col[] = {
		{ "LUN", "name", put_text, false },	 { "GROUP", "group", put_text, false },
		{ "SIZE", "size", put_size, true },	 { "BLOCK", "block_size", put_number, true },
		{ "OPEN", "open", put_bool, false },	 { "R/O", "read_only", put_bool, false },
		{ "READ", "read_bytes", put_size, true }, { "WRITTEN", "write_bytes", put_size, true },
		{ "NAA", "naa", put_text, false },	 { "HANDLER", "handler", put_text, false },
		{ "PATH", "path", put_text, false },	 { "TARGET:LUN", "targets", put_targets, false },
		{ NULL, NULL, NULL, false },
	};

	print_table(col, json_object_get(result, "luns"), "no LUNs are configured");
}

void print_sessions(const json_t *result)
{
	static const struct column col[] = {
		{ "NODE", "node", put_text, false },
		{ "INITIATOR", "initiator", put_text, false }, { "PEER", "peer", put_text, false },
		{ "TARGET", "target", put_text, false },       { "TPGT", "tpgt", put_number, true },
		{ "ISID", "isid", put_text, false },	       { "TSIH", "tsih", put_number, true },
		{ "REACTOR", "reactor", put_number, true },    { "AGE", "since", put_age, true },
		{ "IN FLIGHT", "commands_in_flight", put_number, true },
		{ NULL, NULL, NULL, false },
	};

	print_table(col, json_object_get(result, "sessions"), "no initiator is logged in, on this node or another");
}

void print_pr(const json_t *r)
{
	static const struct column col[] = {
		{ "KEY", "key", put_text, false },
		{ "RTPI", "rtpi", put_number, true },
		{ "INITIATOR PORT", "port", put_text, false },
		{ NULL, NULL, NULL, false },
	};
	const json_t *holder = json_object_get(r, "holder"), *spc2 = json_object_get(r, "spc2_holder");
	const char *type = json_string_value(json_object_get(r, "type"));

	printf("LUN          %s\ngeneration   %" PRId64 "\nAPTPL        %s\nreservation  %s\n", text_of(r, "lun"),
	       number_of(r, "generation"), json_is_true(json_object_get(r, "aptpl")) ? "yes" : "no", type ? type : "none");
	if (json_is_object(holder))
		printf("holder       %s, port %" PRId64 ", key %s\n", text_of(holder, "port"), number_of(holder, "rtpi"),
		       text_of(holder, "key"));
	if (json_is_object(spc2))
		printf("RESERVE      %s, port %" PRId64 "\n", text_of(spc2, "port"), number_of(spc2, "rtpi"));
	printf("\n");
	print_table(col, json_object_get(r, "registrants"), "no initiator is registered");
}

static void print_state(const json_t *r)
{
	char up[32], unfenced[CELL];
	const char *why = json_string_value(json_object_get(r, "why"));

	put_duration(number_of(r, "uptime_s"), up, sizeof(up));
	printf("node      %s (sandem %s, up %s)\n", text_of(r, "node"), text_of(r, "version"), up);
	printf("state     %s, %s%s%s\n", text_of(r, "state"),
	       json_is_true(json_object_get(r, "quorate")) ? "quorate" : "no quorum", why && *why ? ": " : "", why ? why : "");
	printf("position  %" PRId64 "\n", number_of(r, "position"));
	if (json_array_size(json_object_get(r, "unfenced"))) {
		put_list(r, "unfenced", unfenced, sizeof(unfenced));
		printf("unfenced  %s (lost, and not yet known to be off)\n", unfenced);
	}
}

static void print_store(const json_t *s)
{
	const char *why = json_string_value(json_object_get(s, "why"));

	if (!json_object_get(s, "reachable"))
		return;
	printf("etcd      %s%s%s%s\n", json_is_true(json_object_get(s, "reachable")) ? text_of(s, "endpoint") : "away",
	       why && *why ? ": " : "", why ? why : "",
	       json_is_true(json_object_get(s, "stale")) ? "; this node is STALE" : "");
}

static void print_links(const json_t *links)
{
	const json_t *l;
	size_t i;

	json_array_foreach(links, i, l) {
		bool to = json_is_true(json_object_get(l, "to")), from = json_is_true(json_object_get(l, "from"));

		printf("link      %s: %s\n", json_string_value(json_object_get(l, "node")),
		       to && from ? "up" : to ? "up to it, down from it" : from ? "down to it, up from it" : "down");
	}
}

void print_status(const json_t *r)
{
	char members[CELL];

	put_list(r, "members", members, sizeof(members));
	print_state(r);
	printf("members   %s\n", members);
	print_links(json_object_get(r, "links"));
	print_store(json_object_get(r, "store"));
	printf("\n");
	print_groups(r);
}

void print_cluster(const json_t *r)
{
	static const struct column col[] = {
		{ "MEMBER", "node", put_text, false },
		{ "ID", "id", put_number, true },
		{ "SYNCED", "synced", put_bool, false },
		{ "ACKNOWLEDGED", "acknowledged", put_number, true },
		{ "SPEAKS UP TO", "protocol_max", put_number, true },
		{ NULL, NULL, NULL, false },
	};

	print_state(r);
	printf("protocol  version %" PRId64 " in use\n", number_of(r, "protocol"));
	printf("\n");
	print_table(col, json_object_get(r, "members"), "no members: this node is alone, or corosync is not running");
	printf("\n");
	print_groups(r);
}

/* A moved group, as it is now. */
void print_moved(const json_t *r)
{
	printf("group %s: %s here, owner %s, epoch %" PRId64 "\n", text_of(r, "name"), text_of(r, "state"),
	       text_of(r, "owner"), number_of(r, "epoch"));
}

void print_ended(const json_t *r)
{
	(void)r;
	printf("sandemd has ended\n");
}

void print_done(const json_t *r)
{
	(void)r;
	printf("done\n");
}

void print_medium(const json_t *r)
{
	printf("LUN %s: %s\n", json_string_value(json_object_get(r, "name")),
	       json_is_true(json_object_get(r, "ejected")) ? "the medium is ejected" : "the medium is loaded");
}

void print_resized(const json_t *r)
{
	printf("LUN %s has %" JSON_INTEGER_FORMAT " bytes\n", json_string_value(json_object_get(r, "name")),
	       json_integer_value(json_object_get(r, "size")));
}

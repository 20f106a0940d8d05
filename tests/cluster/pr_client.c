/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pr_client: one initiator, one session, one command, the answer as JSON. For the scenario
 * tests of persistent reservations and task management across nodes.
 *
 * The I_T nexus is named by --initiator, --isid and the portal: two calls with the same three are
 * the same nexus (RFC 7143 4.4.3.1), so a registration outlives the session that made it.
 * Exit: 0 GOOD, 1 another SCSI status, 2 usage, 3 no session or the session broke.
 */
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "tests/cluster/wire.h"

#define UA_RETRIES 16
#define DATA_MAX 65535

struct options {
	const char *portal, *target, *initiator, *verb;
	int lun, timeout;
	uint32_t isid;
	uint64_t key, sa_key, lba, value;
	int type;
	bool aptpl, all_tg_pt;
};

struct client {
	struct options opt;
	struct iscsi_context *iscsi;
	json_t *out;
	json_t *uas;
	uint32_t block_size;
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static int64_t wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* ---- the answer ---- */

static const char *status_text(int status)
{
	switch (status) {
	case SCSI_STATUS_GOOD: return "GOOD";
	case SCSI_STATUS_CHECK_CONDITION: return "CHECK CONDITION";
	case SCSI_STATUS_CONDITION_MET: return "CONDITION MET";
	case SCSI_STATUS_BUSY: return "BUSY";
	case SCSI_STATUS_RESERVATION_CONFLICT: return "RESERVATION CONFLICT";
	case SCSI_STATUS_TASK_SET_FULL: return "TASK SET FULL";
	case SCSI_STATUS_ACA_ACTIVE: return "ACA ACTIVE";
	case SCSI_STATUS_TASK_ABORTED: return "TASK ABORTED";
	case SCSI_STATUS_CANCELLED: return "connection lost";
	case SCSI_STATUS_TIMEOUT: return "timed out";
	default: return "error";
	}
}

static bool status_is_scsi(int status)
{
	return status >= 0 && status <= 0xff;
}

static json_t *sense_json(const struct scsi_task *task)
{
	return json_pack("{s:i, s:i, s:i, s:o}", "key", (int)task->sense.key,
			 "asc", task->sense.ascq >> 8 & 0xff, "ascq", task->sense.ascq & 0xff,
			 "text", json_sprintf("%02x/%02x/%02x", task->sense.key,
					      task->sense.ascq >> 8 & 0xff,
					      task->sense.ascq & 0xff));
}

static int answer(struct client *c, const struct scsi_task *task)
{
	if (!task) {
		json_object_set_new(c->out, "status", json_string("connection lost"));
		json_object_set_new(c->out, "error", json_string(iscsi_get_error(c->iscsi)));
		return 3;
	}
	json_object_set_new(c->out, "status", json_string(status_text(task->status)));
	if (task->status == SCSI_STATUS_CHECK_CONDITION)
		json_object_set_new(c->out, "sense", sense_json(task));
	if (!status_is_scsi(task->status))
		return 3;
	return task->status == SCSI_STATUS_GOOD ? 0 : 1;
}

/* ---- commands ---- */

/* One command, sent again after each unit attention, which is noted in "unit_attentions". */
static struct scsi_task *command(struct client *c, const uint8_t *cdb, int cdb_len, int dir,
				 uint8_t *data, size_t len)
{
	for (int i = 0; ; i++) {
		uint8_t copy[16];
		struct iscsi_data out = { .size = len, .data = data };
		struct scsi_task *task;

		memcpy(copy, cdb, cdb_len);
		task = scsi_create_task(cdb_len, copy, dir, len);
		if (!task)
			return NULL;
		if (!iscsi_scsi_command_sync(c->iscsi, c->opt.lun, task,
					     dir == SCSI_XFER_WRITE ? &out : NULL)) {
			scsi_free_scsi_task(task);
			return NULL;
		}
		if (!is_unit_attention(task) || i == UA_RETRIES)
			return task;
		json_array_append_new(c->uas, json_sprintf("%02x/%02x", task->sense.ascq >> 8 & 0xff,
							   task->sense.ascq & 0xff));
		scsi_free_scsi_task(task);
	}
}

static json_t *key_json(uint64_t key)
{
	return json_sprintf("0x%llx", (unsigned long long)key);
}

static int pr_out(struct client *c, int action)
{
	const struct pr_out o = { action, c->opt.type, c->opt.key, c->opt.sa_key, c->opt.aptpl, c->opt.all_tg_pt };
	uint8_t cdb[PR_OUT_CDB], list[PR_OUT_LIST];
	struct scsi_task *task;
	int rc;

	pr_out_fill(&o, cdb, list);
	task = command(c, cdb, sizeof(cdb), SCSI_XFER_WRITE, list, sizeof(list));
	rc = answer(c, task);
	if (task)
		scsi_free_scsi_task(task);
	return rc;
}

static void parse_keys(struct client *c, const uint8_t *d, size_t len)
{
	json_t *keys = json_array();

	for (size_t i = 8; i + 8 <= len; i += 8)
		json_array_append_new(keys, key_json(be(d + i, 8)));
	json_object_set_new(c->out, "keys", keys);
}

static void parse_reservation(struct client *c, const uint8_t *d, size_t len)
{
	if (len < 24) {
		json_object_set_new(c->out, "reservation", json_null());
		return;
	}
	json_object_set_new(c->out, "reservation",
			    json_pack("{s:o, s:i, s:i}", "key", key_json(be(d + 8, 8)),
				      "scope", d[21] >> 4, "type", d[21] & 0xf));
}

/* SPC-4 6.15.5, table 221: full status descriptors */
static void parse_full_status(struct client *c, const uint8_t *d, size_t len)
{
	json_t *list = json_array();

	for (size_t i = 8; i + 24 <= len; i += 24 + be(d + i + 20, 4)) {
		size_t id_len = be(d + i + 20, 4);
		const uint8_t *id = d + i + 24;
		json_t *e;

		if (id_len > len - i - 24)
			break;
		e = json_pack("{s:o, s:b, s:b, s:i, s:i, s:i}", "key", key_json(be(d + i, 8)),
			      "all_tg_pt", d[i + 12] >> 1 & 1, "holder", d[i + 12] & 1,
			      "scope", d[i + 13] >> 4, "type", d[i + 13] & 0xf,
			      "relative_target_port", (int)be(d + i + 18, 2));
		/* TransportID of iSCSI, SPC-4 7.6.4.6: the name begins at byte 4, null terminated */
		if (id_len > 4 && (id[0] & 0xf) == 5)
			json_object_set_new(e, "initiator",
					    json_stringn((const char *)id + 4,
							 strnlen((const char *)id + 4, id_len - 4)));
		json_array_append_new(list, e);
	}
	json_object_set_new(c->out, "registrants", list);
}

static int pr_in(struct client *c, int action,
		 void (*parse)(struct client *c, const uint8_t *d, size_t len))
{
	uint8_t cdb[10] = { 0x5e, action };
	struct scsi_task *task;
	int rc;

	put_be(cdb + 7, DATA_MAX, 2);
	task = command(c, cdb, sizeof(cdb), SCSI_XFER_READ, NULL, DATA_MAX);
	rc = answer(c, task);
	if (rc == 0 && task->datain.size >= 8) {
		size_t len = 8 + be(task->datain.data + 4, 4);

		json_object_set_new(c->out, "additional_length", json_integer(len - 8));
		json_object_set_new(c->out, "returned", json_integer(task->datain.size));
		json_object_set_new(c->out, "generation",
				    json_integer(be(task->datain.data, 4)));
		parse(c, task->datain.data, len < (size_t)task->datain.size ? len : (size_t)task->datain.size);
	}
	if (task)
		scsi_free_scsi_task(task);
	return rc;
}

/* SPC-4 6.37 REPORT TARGET PORT GROUPS, length only header */
static int rtpg(struct client *c)
{
	uint8_t cdb[12] = { 0xa3, 0x0a };
	struct scsi_task *task;
	json_t *groups = json_array();
	int rc;

	put_be(cdb + 6, DATA_MAX, 4);
	task = command(c, cdb, sizeof(cdb), SCSI_XFER_READ, NULL, DATA_MAX);
	rc = answer(c, task);
	for (int i = 4; rc == 0 && i + 8 <= task->datain.size; ) {
		const uint8_t *d = task->datain.data + i;
		json_t *ports = json_array();

		for (int p = 0; p < d[7] && i + 8 + 4 * p + 4 <= task->datain.size; p++)
			json_array_append_new(ports, json_integer(be(d + 8 + 4 * p + 2, 2)));
		json_array_append_new(groups, json_pack("{s:i, s:i, s:b, s:o}", "id", (int)be(d + 2, 2),
							"state", d[0] & 0xf, "preferred",
							d[0] >> 7, "ports", ports));
		i += 8 + 4 * d[7];
	}
	json_object_set_new(c->out, "groups", groups);
	if (task)
		scsi_free_scsi_task(task);
	return rc;
}

/* SPC-4 6.33 REPORT LUNS; of the numbers the peripheral and the flat format (SAM-5 4.7.7) */
static int report_luns(struct client *c)
{
	uint8_t cdb[12] = { 0xa0 };
	json_t *luns = json_array();
	struct scsi_task *task;
	int rc;

	put_be(cdb + 6, DATA_MAX, 4);
	task = command(c, cdb, sizeof(cdb), SCSI_XFER_READ, NULL, DATA_MAX);
	rc = answer(c, task);
	for (int i = 8; rc == 0 && i + 8 <= task->datain.size; i += 8)
		json_array_append_new(luns, json_integer(be(task->datain.data + i, 2) & 0x3fff));
	json_object_set_new(c->out, "luns", luns);
	if (task)
		scsi_free_scsi_task(task);
	return rc;
}

static int simple(struct client *c, const uint8_t *cdb, int len)
{
	struct scsi_task *task = command(c, cdb, len, SCSI_XFER_NONE, NULL, 0);
	int rc = answer(c, task);

	if (task)
		scsi_free_scsi_task(task);
	return rc;
}

/* ---- medium ---- */

static int learn_block_size(struct client *c)
{
	uint8_t cdb[10] = { 0x25 };
	struct scsi_task *task = command(c, cdb, sizeof(cdb), SCSI_XFER_READ, NULL, 8);
	int rc = answer(c, task);

	if (rc == 0 && task->datain.size >= 8)
		c->block_size = be(task->datain.data + 4, 4);
	if (task)
		scsi_free_scsi_task(task);
	if (rc == 0 && (c->block_size < 512 || c->block_size > DATA_MAX)) {
		json_object_set_new(c->out, "error", json_string("unusable block size"));
		return 3;
	}
	return rc;
}

static struct scsi_task *read_write(struct client *c, uint8_t opcode, int dir, uint8_t *block)
{
	uint8_t cdb[16] = { opcode };

	put_be(cdb + 2, c->opt.lba, 8);
	put_be(cdb + 10, 1, 4);
	return command(c, cdb, sizeof(cdb), dir, block, c->block_size);
}

static struct scsi_task *write_value(struct client *c, uint64_t value)
{
	uint8_t block[DATA_MAX];

	for (uint32_t i = 0; i + 8 <= c->block_size; i += 8)
		put_be(block + i, value, 8);
	return read_write(c, 0x8a, SCSI_XFER_WRITE, block);
}

static int medium_write(struct client *c)
{
	struct scsi_task *task;
	int rc = learn_block_size(c);

	if (rc != 0)
		return rc;
	task = write_value(c, c->opt.value);
	rc = answer(c, task);
	if (task)
		scsi_free_scsi_task(task);
	return rc;
}

static int medium_read(struct client *c)
{
	struct scsi_task *task;
	int rc = learn_block_size(c);

	if (rc != 0)
		return rc;
	task = read_write(c, 0x88, SCSI_XFER_READ, NULL);
	rc = answer(c, task);
	if (rc == 0 && task->datain.size >= 8)
		json_object_set_new(c->out, "value", json_integer(be(task->datain.data, 8)));
	if (task)
		scsi_free_scsi_task(task);
	return rc;
}

/* ---- many registrants ---- */

#define SPEC_PORTS 200

/* SPC-4 7.6.4.6: TransportID of an iSCSI initiator port; null terminated, padded to 4 */
static size_t transport_id(uint8_t *p, const char *name)
{
	size_t len = (strlen(name) + 4) & ~3ul;

	memset(p, 0, 4 + len);
	p[0] = 0x45; /* format 01b: name, ",i,0x" and ISID */
	put_be(p + 2, len, 2);
	memcpy(p + 4, name, strlen(name));
	return 4 + len;
}

/* REGISTER of this nexus and of n initiator ports, from number first on (SPEC_I_PT, table 213) */
static int register_ports(struct client *c, uint64_t first, unsigned n)
{
	const struct pr_out o = { 0, 0, 0, c->opt.sa_key, c->opt.aptpl, c->opt.all_tg_pt };
	uint8_t cdb[PR_OUT_CDB], list[32768];
	size_t len = PR_OUT_LIST + 4;
	struct scsi_task *task;
	int rc;

	pr_out_fill(&o, cdb, list);
	list[20] |= 1 << 3;
	for (unsigned i = 0; i < n; i++) {
		char name[128];

		snprintf(name, sizeof(name), "iqn.2026-11.io.sandem.test:crowd%06llu,i,0x800000000000",
			 (unsigned long long)(first + i));
		len += transport_id(list + len, name);
	}
	put_be(list + PR_OUT_LIST, len - PR_OUT_LIST - 4, 4);
	put_be(cdb + 5, len, 4);
	task = command(c, cdb, sizeof(cdb), SCSI_XFER_WRITE, list, len);
	rc = answer(c, task);
	if (task)
		scsi_free_scsi_task(task);
	return rc;
}

/* --value ports besides this one. A list may come only from a nexus that is not registered. */
static int pr_register_many(struct client *c)
{
	const uint64_t key = c->opt.sa_key, all = c->opt.value;
	int rc = 0;

	for (uint64_t i = 0; i < all && rc == 0; i += SPEC_PORTS) {
		if (i > 0) {
			c->opt.key = key;
			c->opt.sa_key = 0;
			rc = pr_out(c, 0);
			c->opt.sa_key = key;
		}
		if (rc == 0)
			rc = register_ports(c, i, all - i < SPEC_PORTS ? all - i : SPEC_PORTS);
	}
	return rc;
}

static int cmp(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* --value times the command, one after the other: microseconds from its sending to its status. */
static int latency_of(struct client *c, int (*run)(struct client *c))
{
	double *us = calloc(c->opt.value + 1, sizeof(*us));
	struct timespec a, b;
	int rc = 0;

	for (uint64_t i = 0; i < c->opt.value && rc == 0; i++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		rc = run(c);
		clock_gettime(CLOCK_MONOTONIC, &b);
		us[i] = (b.tv_sec - a.tv_sec) * 1e6 + (b.tv_nsec - a.tv_nsec) / 1e3;
	}
	qsort(us, c->opt.value, sizeof(*us), cmp);
	json_object_set_new(c->out, "us", json_pack("{s:f, s:f, s:f}", "min", us[0], "p50", us[c->opt.value / 2],
						    "p99", us[c->opt.value * 99 / 100]));
	free(us);
	return rc;
}

/* Registers with key after key, each as soon as the last is acknowledged, and says so of each,
 * until one is not or SIGTERM comes. */
static int pr_register_loop(struct client *c)
{
	int rc;

	do {
		c->opt.sa_key++;
		rc = pr_out(c, 6);
		if (rc == 0)
			printf("{\"acknowledged\": %llu}\n", (unsigned long long)c->opt.sa_key);
		fflush(stdout);
	} while (rc == 0 && !stop);
	return rc;
}

/* Writes 1, 2, 3 … until a write does not end with GOOD, or SIGTERM: "acknowledged" is the last. */
static int medium_write_loop(struct client *c)
{
	struct scsi_task *task = NULL;
	uint64_t value = c->opt.value;
	int64_t good_ms = 0;
	int rc = learn_block_size(c);

	while (rc == 0 && !stop) {
		if (task)
			scsi_free_scsi_task(task);
		task = write_value(c, value + 1);
		rc = answer(c, task);
		if (rc == 0)
			good_ms = wall_ms();
		if (rc == 0 && ++value == c->opt.value + 1) {
			printf("{\"event\": \"writing\"}\n");
			fflush(stdout);
		}
	}
	json_object_set_new(c->out, "acknowledged", json_integer(value));
	json_object_set_new(c->out, "good_ms", json_integer(good_ms));
	json_object_set_new(c->out, "ended_ms", json_integer(wall_ms()));
	if (task)
		scsi_free_scsi_task(task);
	return rc;
}

/* ---- task management ---- */

static int manage(struct client *c, enum iscsi_task_mgmt_funcs function)
{
	int response = iscsi_task_mgmt_sync(c->iscsi, c->opt.lun, function, 0xffffffff, 0);

	json_object_set_new(c->out, "status", json_string(response == 0 ? "GOOD" : "refused"));
	json_object_set_new(c->out, "response", json_integer(response));
	return response == 0 ? 0 : 1;
}

/* Until a unit attention is reported that does not come from the login (29h/00h). */
static int await_ua(struct client *c)
{
	const int64_t end = wall_ms() + c->opt.timeout * 1000;
	const uint8_t cdb[6] = { 0 };
	size_t known = 0;

	for (int i = 0; !stop && wall_ms() < end; i++) {
		int rc = simple(c, cdb, sizeof(cdb));

		if (rc == 3)
			return rc;
		if (i == 0) {
			known = json_array_size(c->uas);
			printf("{\"event\": \"waiting\"}\n");
			fflush(stdout);
		} else if (json_array_size(c->uas) > known) {
			return 0;
		}
		usleep(10000);
	}
	return 1;
}

/* ---- verbs ---- */

static int v_register(struct client *c) { return pr_out(c, 0); }
static int v_reserve(struct client *c) { return pr_out(c, 1); }
static int v_release(struct client *c) { return pr_out(c, 2); }
static int v_clear(struct client *c) { return pr_out(c, 3); }
static int v_preempt(struct client *c) { return pr_out(c, 4); }
static int v_preempt_abort(struct client *c) { return pr_out(c, 5); }
static int v_register_ignore(struct client *c) { return pr_out(c, 6); }
static int v_read_keys(struct client *c) { return pr_in(c, 0, parse_keys); }
static int v_read_reservation(struct client *c) { return pr_in(c, 1, parse_reservation); }
static int v_read_full_status(struct client *c) { return pr_in(c, 3, parse_full_status); }
static int v_tur(struct client *c) { return simple(c, (uint8_t[6]){ 0x00 }, 6); }
static int v_reserve6(struct client *c) { return simple(c, (uint8_t[6]){ 0x16 }, 6); }
static int v_release6(struct client *c) { return simple(c, (uint8_t[6]){ 0x17 }, 6); }

static int v_lun_reset(struct client *c) { return manage(c, ISCSI_TM_LUN_RESET); }
static int v_clear_task_set(struct client *c) { return manage(c, ISCSI_TM_CLEAR_TASK_SET); }

static int pr_register_next(struct client *c)
{
	c->opt.sa_key++;
	return pr_out(c, 6);
}
static int v_register_latency(struct client *c) { return latency_of(c, pr_register_next); }
static int v_tur_latency(struct client *c) { return latency_of(c, v_tur); }

static const struct verb {
	const char *name;
	int (*run)(struct client *c);
} verbs[] = {
	{ "register", v_register },
	{ "register-ignore", v_register_ignore },
	{ "reserve", v_reserve },
	{ "release", v_release },
	{ "clear", v_clear },
	{ "preempt", v_preempt },
	{ "preempt-abort", v_preempt_abort },
	{ "read-keys", v_read_keys },
	{ "read-reservation", v_read_reservation },
	{ "read-full-status", v_read_full_status },
	{ "reserve6", v_reserve6 },
	{ "release6", v_release6 },
	{ "register-loop", pr_register_loop },
	{ "register-many", pr_register_many },
	{ "register-latency", v_register_latency },
	{ "tur-latency", v_tur_latency },
	{ "tur", v_tur },
	{ "rtpg", rtpg },
	{ "report-luns", report_luns },
	{ "write", medium_write },
	{ "read", medium_read },
	{ "write-loop", medium_write_loop },
	{ "lun-reset", v_lun_reset },
	{ "clear-task-set", v_clear_task_set },
	{ "await-ua", await_ua },
};

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static void usage(void)
{
	fprintf(stderr,
		"usage: pr_client --portal ADDR:PORT --target IQN [--lun N] [--initiator IQN] [--isid N]\n"
		"       [--timeout SECS] [--key K] [--sa-key K] [--type N] [--aptpl] [--all-tg-pt]\n"
		"       [--lba N] [--value N] VERB\n"
		"--key is the RESERVATION KEY, --sa-key the SERVICE ACTION RESERVATION KEY. VERB:");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(stderr, " %s", verbs[i].name);
	fprintf(stderr, "\n");
	exit(2);
}

static uint64_t number(const char *s)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 0);
	if (errno || end == s || *end) {
		fprintf(stderr, "pr_client: '%s' is no number: use decimal or 0x…\n", s);
		exit(2);
	}
	return v;
}

static const struct verb *parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "portal", 1, NULL, 'p' }, { "target", 1, NULL, 't' }, { "lun", 1, NULL, 'l' },
		{ "initiator", 1, NULL, 'i' }, { "isid", 1, NULL, 'I' }, { "key", 1, NULL, 'k' },
		{ "sa-key", 1, NULL, 's' }, { "type", 1, NULL, 'T' }, { "aptpl", 0, NULL, 'a' },
		{ "all-tg-pt", 0, NULL, 'A' }, { "lba", 1, NULL, 'b' }, { "value", 1, NULL, 'v' },
		{ "timeout", 1, NULL, 'o' }, { NULL, 0, NULL, 0 },
	};
	const struct verb *verb;
	int ch;

	while ((ch = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (ch) {
		case 'p': o->portal = optarg; break;
		case 't': o->target = optarg; break;
		case 'l': o->lun = number(optarg); break;
		case 'i': o->initiator = optarg; break;
		case 'I': o->isid = number(optarg); break;
		case 'k': o->key = number(optarg); break;
		case 's': o->sa_key = number(optarg); break;
		case 'T': o->type = number(optarg); break;
		case 'a': o->aptpl = true; break;
		case 'A': o->all_tg_pt = true; break;
		case 'b': o->lba = number(optarg); break;
		case 'v': o->value = number(optarg); break;
		case 'o': o->timeout = number(optarg); break;
		default: usage();
		}
	}
	if (!o->portal || !o->target || optind != argc - 1)
		usage();
	verb = verb_find(argv[optind]);
	if (!verb)
		usage();
	return verb;
}

int main(int argc, char **argv)
{
	struct client c = { .opt = { .initiator = "iqn.2026-11.io.sandem.test:host", .isid = 1,
				     .timeout = 20, .type = 5 } };
	struct sigaction sa = { .sa_handler = on_term };
	const struct verb *verb = parse(&c.opt, argc, argv);
	int rc = 3;

	sigaction(SIGTERM, &sa, NULL);
	c.out = json_pack("{s:s}", "verb", verb->name);
	c.uas = json_array();
	if (session_open(&c.iscsi, c.opt.initiator, c.opt.isid, c.opt.target, c.opt.portal, c.opt.timeout) == 0) {
		rc = verb->run(&c);
		if (rc < 3)
			iscsi_logout_sync(c.iscsi);
	} else {
		json_object_set_new(c.out, "status", json_string("no session"));
		json_object_set_new(c.out, "error", json_string(c.iscsi ? iscsi_get_error(c.iscsi) :
								"initiator name is refused"));
	}
	json_object_set_new(c.out, "unit_attentions", c.uas);
	json_object_set_new(c.out, "done_ms", json_integer(wall_ms()));
	json_dumpf(c.out, stdout, JSON_COMPACT);
	putchar('\n');
	if (c.iscsi)
		iscsi_destroy_context(c.iscsi);
	json_decref(c.out);
	return rc;
}

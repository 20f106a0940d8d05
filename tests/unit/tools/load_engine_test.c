/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sandem-load against a scripted target: does it behave like dm-multipath, and does it find what
 * a broken target does? Topology: two nodes on loopback, one logical unit, the real libiscsi.
 */
#include "load_target.h"

#include <signal.h>
#include <stdlib.h>

#include "tools/load_engine.h"

#define READ16 0x88
#define WRITE16 0x8a

static struct medium medium;
static struct node node[T_NODES];
static struct load_opts opts;
static struct load_report report;
static struct load_lu lu;
static struct load_path paths[T_NODES];
static struct load_engine engine;

static void changed(void *arg, struct load_path *p, const char *from, const char *to)
{
	load_report_change(arg, p, from, to);
}

static const struct load_path_hooks hooks = { changed, &report };

static void turn(bool pump)
{
	struct pollfd p[T_NODES];
	uint64_t now = load_now();

	for (unsigned i = 0; i < T_NODES; i++) {
		load_path_tick(&paths[i], now);
		load_path_reap(&paths[i], now);
	}
	if (pump)
		load_engine_pump(&engine, now);
	for (unsigned i = 0; i < T_NODES; i++) {
		load_path_flush(&paths[i]);
		p[i].revents = 0;
		p[i].fd = load_path_fd(&paths[i], &p[i].events);
	}
	poll(p, T_NODES, 5);
	for (unsigned i = 0; i < T_NODES; i++)
		load_path_service(&paths[i], p[i].revents, load_now());
}

/* Runs sandem-load's loop with the given options against both nodes until it is done. */
static void run(const char *const *words)
{
	static char text[4][64];
	char err[300] = "", *argv[40] = { "sandem-load", "--target", "iqn.test:t", "--lun", "0",
					  "--no-path-timeout", "10", "--reconnect-delay", "0.05",
					  "--check-interval", "0.05" };
	int argc = 11;

	for (unsigned i = 0; i < T_NODES; i++) {
		snprintf(text[i], sizeof(text[i]), "127.0.0.1:%u", node[i].port);
		argv[argc++] = "--portal";
		argv[argc++] = text[i];
	}
	while (*words)
		argv[argc++] = (char *)*words++;
	assert_int_equal(load_opts_parse(argc, argv, &opts, err, sizeof(err)), LOAD_OPTS_RUN);
	lu = (struct load_lu){ 0 };
	assert_int_equal(load_report_init(&report, &opts, 77), 0);
	for (unsigned i = 0; i < T_NODES; i++)
		load_path_init(&paths[i], &opts, i, 0, &lu, &hooks);
	assert_int_equal(load_engine_init(&engine, &opts, &report, paths, T_NODES, &lu, 77), 0);
	while (!paths[0].probed || !paths[1].probed)
		turn(false); /* both paths are there before the first I/O */
	while (!load_engine_done(&engine))
		turn(true);
}

#define RUN(...) run((const char *const[]){ __VA_ARGS__, NULL })

static int setup(void **state)
{
	(void)state;
	memset(&medium, 0, sizeof(medium));
	pthread_mutex_init(&medium.lock, NULL);
	for (unsigned i = 0; i < T_NODES; i++)
		t_start(&node[i], &medium, i);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < T_NODES; i++)
		load_path_fini(&paths[i]);
	load_engine_fini(&engine);
	load_report_fini(&report);
	for (unsigned i = 0; i < T_NODES; i++)
		t_stop(&node[i]);
	pthread_mutex_destroy(&medium.lock);
	return 0;
}

static bool is_io(const uint8_t *cdb)
{
	return cdb[0] == READ16 || cdb[0] == WRITE16;
}

static uint64_t retried(const char *start)
{
	uint64_t n = 0;

	for (size_t i = 0; i < report.retries.used; i++)
		if (strncmp(report.retries.row[i].name, start, strlen(start)) == 0)
			n += report.retries.row[i].count;
	return n;
}

static void assert_done(uint64_t ops)
{
	assert_string_equal(report.fatal, "");
	assert_true(load_report_clean(&report));
	assert_int_equal(report.reads + report.writes, ops);
}

/* ---- where I/O goes ---- */

static void optimized_path_gets_everything(void **state)
{
	(void)state;
	RUN("--ops", "3000", "--verify-at-end");
	assert_done(3000);
	assert_int_equal(paths[0].port_group, 1);
	assert_int_equal(paths[1].port_group, 2);
	assert_true(paths[0].ios >= 3000);
	assert_int_equal(paths[1].ios, 0);
	assert_int_equal(report.verify_total, report.verify_read);
}

static void round_robin_uses_both(void **state)
{
	(void)state;
	RUN("--ops", "3000", "--path-policy", "roundrobin");
	assert_done(3000);
	assert_int_equal(paths[0].ios, 1500);
	assert_int_equal(paths[1].ios, 1500);
}

static void set_states(uint8_t a, uint8_t b)
{
	for (unsigned i = 0; i < T_NODES; i++) {
		node[i].tpg_state[0] = a;
		node[i].tpg_state[1] = b;
		node[i].attention = true;
	}
}

/* At the 500th I/O: node 0 becomes standby, node 1 active/optimized, 2A/06 for everyone. */
static enum verdict_of_hook move(struct node *n, const uint8_t *cdb, uint32_t lba, uint8_t *data,
				 struct reply *r)
{
	(void)lba;
	(void)data;
	if (!is_io(cdb))
		return T_NORMAL;
	if (++n->m->count[0] == 500)
		set_states(2, 0);
	if (n->m->count[0] < 500 || n->attention || n->tpg_state[n->index] != 2)
		return T_NORMAL;
	*r = (struct reply){ 2, 2, 0x04, 0x0b };
	return T_ANSWER;
}

static void planned_move_has_no_error(void **state)
{
	(void)state;
	medium.hook = move;
	RUN("--ops", "3000", "--verify-at-end");
	assert_done(3000);
	assert_true(retried("06/2A/06") >= 1);
	assert_string_equal(load_path_state(&paths[0]), "standby");
	assert_true(paths[1].ios >= 2000);
}

/* From the 500th I/O both ports are transitioning, until they were asked ten times. */
static enum verdict_of_hook transition(struct node *n, const uint8_t *cdb, uint32_t lba,
				       uint8_t *data, struct reply *r)
{
	int *count = n->m->count;

	(void)lba;
	(void)data;
	*r = (struct reply){ 2, 2, 0x04, 0x0a };
	if (is_io(cdb) && ++count[0] == 500)
		set_states(0xf, 0xf);
	if (cdb[0] == 0xa3 && count[0] >= 500 && ++count[1] == 10)
		set_states(3, 0);
	return cdb[0] != 0xa3 && count[0] >= 500 && count[1] < 10 ? T_ANSWER : T_NORMAL;
}

static void transition_is_waited_out(void **state)
{
	(void)state;
	medium.hook = transition;
	RUN("--ops", "2000", "--verify-at-end");
	assert_done(2000);
	assert_true(retried("02/04/0A") >= 1);
	assert_true(paths[1].ios > 1000);
	assert_string_equal(load_path_state(&paths[0]), "unavailable");
}

/* ---- what is retried, what is not ---- */

static const struct reply retried_replies[] = {
	{ 0x08, 0, 0, 0 },	   { 0x28, 0, 0, 0 },	      { 0x40, 0, 0, 0 },
	{ 0x02, 6, 0x29, 0x00 },   { 0x02, 6, 0x3f, 0x0e },   { 0x02, 0xb, 0x00, 0x00 },
	{ 0x02, 5, 0x25, 0x00 },   { 0x02, 2, 0x04, 0x0c },
};

static enum verdict_of_hook retriable(struct node *n, const uint8_t *cdb, uint32_t lba,
				      uint8_t *data, struct reply *r)
{
	(void)lba;
	(void)data;
	if (!is_io(cdb) || ++n->m->count[0] % 50)
		return T_NORMAL;
	*r = retried_replies[n->m->count[0] / 50 % 8];
	return T_ANSWER;
}

static void retriable_answers_are_no_errors(void **state)
{
	(void)state;
	medium.hook = retriable;
	RUN("--ops", "2000", "--verify-at-end");
	assert_done(2000);
	assert_true(retried("BUSY") && retried("TASK SET FULL") && retried("TASK ABORTED"));
	assert_true(retried("06/29/00") && retried("06/3F/0E") && retried("0B/00/00"));
	assert_true(retried("05/25/00") && retried("02/04/0C"));
}

/* Node 0 fails every I/O from the 100th on, though RTPG calls its port active, until the next
 * TEST UNIT READY. */
static enum verdict_of_hook fail_path(struct node *n, const uint8_t *cdb, uint32_t lba,
				      uint8_t *data, struct reply *r)
{
	int *count = n->m->count;

	(void)lba;
	(void)data;
	*r = (struct reply){ 2, 2, 0x04, 0x0c };
	if (n->index != 0)
		return T_NORMAL;
	count[2] += cdb[0] == 0x00 && count[1] > 0;
	if (!is_io(cdb) || ++count[0] < 100 || count[2] > 0)
		return T_NORMAL;
	count[1]++;
	return T_ANSWER;
}

static void failed_path_rests_until_a_check(void **state)
{
	(void)state;
	medium.hook = fail_path;
	RUN("--rate", "5000", "--ops", "3000", "--check-interval", "0.1");
	assert_done(3000);
	assert_int_equal(paths[0].failures, 1);
	/* What was in flight when the first answer came, and nothing after it. */
	assert_in_range(medium.count[1], 1, opts.qd);
	assert_int_equal(retried("02/04/0C"), medium.count[1]);
	assert_true(medium.count[0] > 1000); /* reinstated */
	assert_true(paths[1].ios >= 100);    /* 0.1 s of 5000 a second went there */
}

static enum verdict_of_hook one_medium_error(struct node *n, const uint8_t *cdb, uint32_t lba,
					     uint8_t *data, struct reply *r)
{
	(void)lba;
	(void)data;
	*r = (struct reply){ 2, 3, 0x11, 0x00 };
	return cdb[0] == READ16 && ++n->m->count[0] == 100 ? T_ANSWER : T_NORMAL;
}

static void medium_error_is_surfaced(void **state)
{
	(void)state;
	medium.hook = one_medium_error;
	RUN("--ops", "1000");
	assert_int_equal(report.errors.total, 1);
	assert_memory_equal(report.errors.row[0].name, "03/11/00", 8);
	assert_int_equal(report.reads + report.writes, 999);
	assert_false(load_report_clean(&report));
}

static enum verdict_of_hook conflicts(struct node *n, const uint8_t *cdb, uint32_t lba,
				      uint8_t *data, struct reply *r)
{
	(void)lba;
	(void)data;
	*r = (struct reply){ 0x18, 0, 0, 0 };
	return cdb[0] == WRITE16 && ++n->m->count[0] > 100 ? T_ANSWER : T_NORMAL;
}

static void conflict_is_an_error(void **state)
{
	(void)state;
	medium.hook = conflicts;
	RUN("--ops", "1000", "--mix", "50");
	assert_true(report.conflicts > 0);
	assert_int_equal(report.errors.total, report.conflicts);
	assert_false(load_report_clean(&report));
}

static void expected_conflict_is_counted(void **state)
{
	(void)state;
	medium.hook = conflicts;
	RUN("--ops", "1000", "--mix", "50", "--expect-conflict", "--verify-at-end");
	assert_true(report.conflicts > 0);
	assert_done(1000 - report.conflicts);
	assert_int_equal(report.writes, 100);
}

/* ---- lost paths ---- */

static enum verdict_of_hook closing(struct node *n, const uint8_t *cdb, uint32_t lba,
				    uint8_t *data, struct reply *r)
{
	(void)lba;
	(void)data;
	(void)r;
	if (!is_io(cdb) || ++n->m->count[0] % 200)
		return T_NORMAL;
	return n->m->count[0] % 400 ? T_CLOSE : T_DO_CLOSE;
}

static void closed_connections_are_survived(void **state)
{
	(void)state;
	medium.hook = closing;
	RUN("--ops", "3000", "--mix", "30", "--verify-at-end", "--path-policy", "roundrobin");
	assert_done(3000);
	assert_true(retried("path lost") >= 15);
	assert_true(paths[0].losses + paths[1].losses >= 15);
	/* The same I_T nexus after each reconnect (RFC 7143 4.4.3.1): reservations stay. */
	for (unsigned i = 0; i < T_NODES; i++) {
		assert_true(node[i].logins >= 5);
		assert_int_equal(node[i].isid_changes, 0);
	}
	assert_memory_not_equal(node[0].isid, node[1].isid, 6);
}

static enum verdict_of_hook mute_node_0(struct node *n, const uint8_t *cdb, uint32_t lba,
					uint8_t *data, struct reply *r)
{
	(void)lba;
	(void)data;
	(void)r;
	return n->index == 0 && is_io(cdb) && ++n->m->count[0] == 500 ? T_MUTE : T_NORMAL;
}

static void silent_node_is_noticed_by_nop(void **state)
{
	(void)state;
	medium.hook = mute_node_0;
	RUN("--ops", "3000", "--verify-at-end", "--nop-interval", "0.05", "--nop-timeout", "0.2",
	    "--io-timeout", "100");
	assert_done(3000);
	assert_int_equal(paths[0].losses, 1);
	assert_int_equal(node[0].resets, 1); /* so that nothing queued is sent any more */
	assert_true(report.gap.longest >= 200000000);
	assert_int_equal(report.gaps, 1);
}

static enum verdict_of_hook die(struct node *n, const uint8_t *cdb, uint32_t lba, uint8_t *data,
				struct reply *r)
{
	(void)lba;
	(void)data;
	(void)r;
	if (is_io(cdb) && ++n->m->count[0] >= 500)
		node[0].refuse = node[1].refuse = true;
	return node[0].refuse ? T_CLOSE : T_NORMAL;
}

static void no_path_at_all_ends_the_run(void **state)
{
	(void)state;
	medium.hook = die;
	RUN("--ops", "3000", "--no-path-timeout", "0.5");
	assert_non_null(strstr(report.fatal, "no usable path"));
	/* The reset of the connection may take answers along that were on their way. */
	assert_in_range(report.reads + report.writes, 499 - opts.qd, 499);
	assert_int_equal(report.errors.total, opts.qd);
	assert_false(load_report_clean(&report));
}

/* ---- a target that does wrong ---- */

static enum verdict_of_hook lose_one(struct node *n, const uint8_t *cdb, uint32_t lba,
				     uint8_t *data, struct reply *r)
{
	(void)lba;
	(void)data;
	(void)r;
	return cdb[0] == WRITE16 && ++n->m->count[0] == 30 ? T_SKIP : T_NORMAL;
}

/* Writes in sequence over 64 blocks, 40 of them: the 30th is never written again. */
static void lost_write_is_found(void **state)
{
	(void)state;
	medium.hook = lose_one;
	RUN("--ops", "40", "--mix", "0", "--seq", "--qd", "1", "--verify-at-end");
	assert_int_equal(report.lost, 1);
	assert_int_equal(report.stale + report.corrupt + report.refused_seen, 0);
	assert_int_equal(report.finding[0].block, 29);
	assert_false(load_report_clean(&report));
}

/* One read is served from a copy that was taken one generation earlier. */
static enum verdict_of_hook serve_old(struct node *n, const uint8_t *cdb, uint32_t lba,
				      uint8_t *data, struct reply *r)
{
	(void)data;
	(void)r;
	if (cdb[0] == WRITE16 && n->m->count[1] < 2)
		memcpy(n->m->copy[lba], n->m->data[lba], T_BLOCK);
	return cdb[0] == READ16 && n->m->count[1]++ == 0 ? T_SKIP : T_NORMAL;
}

static void stale_read_is_told_from_a_lost_write(void **state)
{
	(void)state;
	medium.hook = serve_old;
	RUN("--ops", "128", "--mix", "0", "--seq", "--qd", "1", "--verify-at-end");
	assert_int_equal(report.stale, 1);
	assert_int_equal(report.lost + report.corrupt, 0);
	assert_int_equal(report.finding[0].found_generation, 1);
	assert_int_equal(report.finding[0].promised.acked, 2);
}

static enum verdict_of_hook misdirect(struct node *n, const uint8_t *cdb, uint32_t lba,
				      uint8_t *data, struct reply *r)
{
	(void)r;
	if (cdb[0] != WRITE16 || ++n->m->count[0] != 40)
		return T_NORMAL;
	memcpy(n->m->data[lba - 20], data, T_BLOCK);
	return T_SKIP;
}

static void misdirected_write_is_both_lost_and_corrupt(void **state)
{
	(void)state;
	medium.hook = misdirect;
	RUN("--ops", "40", "--mix", "0", "--seq", "--qd", "1", "--verify-at-end");
	assert_int_equal(report.lost, 1);
	assert_int_equal(report.corrupt, 1);
}

static enum verdict_of_hook tear(struct node *n, const uint8_t *cdb, uint32_t lba, uint8_t *data,
				 struct reply *r)
{
	(void)r;
	if (cdb[0] != WRITE16 || ++n->m->count[0] != 100)
		return T_NORMAL;
	memcpy(n->m->data[lba], data, 1024);
	return T_SKIP;
}

static void torn_write_is_corrupt(void **state)
{
	(void)state;
	medium.hook = tear;
	RUN("--ops", "100", "--mix", "0", "--seq", "--qd", "1", "--verify-at-end");
	assert_int_equal(report.corrupt, 1);
	assert_int_equal(report.finding[0].seam, 1024);
}

/* P2 broken: RESERVATION CONFLICT is answered, the write is executed all the same. */
static enum verdict_of_hook refuse_but_write(struct node *n, const uint8_t *cdb, uint32_t lba,
					     uint8_t *data, struct reply *r)
{
	(void)lba;
	(void)data;
	*r = (struct reply){ 0x18, 0, 0, 0 };
	return cdb[0] == WRITE16 && ++n->m->count[0] == 100 ? T_DO_ANSWER : T_NORMAL;
}

static void fenced_write_on_the_medium_is_found(void **state)
{
	(void)state;
	medium.hook = refuse_but_write;
	RUN("--ops", "100", "--mix", "0", "--seq", "--qd", "1", "--verify-at-end",
	    "--expect-conflict");
	assert_int_equal(report.conflicts, 1);
	assert_int_equal(report.refused_seen, 1);
	assert_false(load_report_clean(&report));
}

/* Whether node 0 still has the connection that fell silent, and nobody has reset it. */
static bool muted_connection_is_open(void)
{
	for (unsigned i = 0; i < T_CONNS; i++) {
		struct pollfd p = { .fd = node[0].conn[i].fd };

		if (node[0].conn[i].mute && p.fd >= 0 && poll(&p, 1, 0) == 0)
			return true;
	}
	return false;
}

/*
 * The ghost: node 0 takes a write and falls silent; the write is sent again through node 1 and
 * acknowledged, the same block is written once more; then node 0 executes what it had.
 */
static enum verdict_of_hook ghost(struct node *n, const uint8_t *cdb, uint32_t lba, uint8_t *data,
				  struct reply *r)
{
	int *count = n->m->count;

	(void)r;
	if (cdb[0] != WRITE16)
		return T_NORMAL;
	if (n->index == 0 && ++count[0] == 70) {
		count[1] = (int)lba;
		memcpy(n->m->copy[lba], data, T_BLOCK);
		return T_MUTE;
	}
	/* Seen through node 1: sent again, then the next generation, then some other block. */
	if (count[0] >= 70 && (int)lba == count[1]) {
		count[2]++;
		count[4] += muted_connection_is_open();
	} else if (count[2] == 2 && count[3]++ == 0)
		memcpy(n->m->data[count[1]], n->m->copy[count[1]], T_BLOCK);
	return T_NORMAL;
}

static void ghost_write_is_found(void **state)
{
	(void)state;
	medium.hook = ghost;
	RUN("--ops", "160", "--mix", "0", "--seq", "--qd", "1", "--verify-at-end",
	    "--nop-interval", "0.05", "--nop-timeout", "0.2");
	assert_int_equal(medium.count[2], 2);
	assert_int_equal(medium.count[4], 0); /* never sent again before the old path is closed */
	assert_int_equal(report.lost, 1);
	assert_int_equal(report.finding[0].block, 69 % T_BLOCKS);
	assert_int_equal(report.finding[0].found_generation, 2);
	assert_int_equal(report.finding[0].promised.acked, 3);
}

static void too_great_a_range_is_named(void **state)
{
	(void)state;
	RUN("--ops", "10", "--range", "60:5");
	assert_non_null(strstr(report.fatal, "--range"));
	assert_int_equal(report.reads + report.writes, 0);
}

/* ---- what scripts read ---- */

static void report_keeps_its_keys(void **state)
{
	static const char *const integers[] = {
		"reads", "writes", "errors", "conflicts", "lost", "stale", "corrupt",
		"refused_seen", "torn_under_write", "retries", "gaps", "lun", "seed",
	};
	static const char *const reals[] = { "seconds", "iops", "mb_per_s", "longest_gap_ms" };
	static const char *const others[] = {
		"clean", "fatal", "latency_us", "gap_list", "retries_by_cause",
		"errors_by_cause", "findings", "paths", "path_change_list", "verify",
	};
	json_t *o;

	(void)state;
	medium.hook = mute_node_0;
	RUN("--ops", "1000", "--verify-at-end", "--nop-interval", "0.05", "--nop-timeout", "0.2");
	o = load_report_object(&report, paths, T_NODES, false);
	assert_non_null(o);
	for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++)
		assert_true(json_is_integer(json_object_get(o, integers[i])));
	for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
		assert_true(json_is_real(json_object_get(o, reals[i])));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_non_null(json_object_get(o, others[i]));
	assert_int_equal(json_integer_value(json_object_get(o, "reads")) +
			 json_integer_value(json_object_get(o, "writes")), 1000);
	assert_int_equal(json_array_size(json_object_get(o, "gap_list")), 1);
	assert_int_equal(json_array_size(json_object_get(o, "paths")), T_NODES);
	json_decref(o);
}

static unsigned events_of(FILE *f, const char *kind)
{
	char line[2000];
	unsigned n = 0;

	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		json_t *e = json_loads(line, 0, NULL);

		assert_non_null(e);
		assert_true(json_integer_value(json_object_get(e, "ms")) > 1000000000000);
		n += strcmp(json_string_value(json_object_get(e, "event")), kind) == 0;
		json_decref(e);
	}
	return n;
}

static void events_are_told(void **state)
{
	char name[] = "/tmp/load_engine_test.XXXXXX";
	int fd = mkstemp(name);
	FILE *f = fdopen(fd, "r");

	(void)state;
	assert_non_null(f);
	medium.hook = mute_node_0;
	RUN("--ops", "1000", "--events", name, "--nop-interval", "0.05", "--nop-timeout", "0.2");
	assert_int_equal(events_of(f, "running"), 1);
	assert_int_equal(events_of(f, "gap"), 1);
	assert_int_equal(events_of(f, "error"), 0);
	assert_true(events_of(f, "path") >= 5); /* two up, and one of them down */
	fclose(f);
	unlink(name);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(optimized_path_gets_everything),
		T(round_robin_uses_both),
		T(planned_move_has_no_error),
		T(transition_is_waited_out),
		T(retriable_answers_are_no_errors),
		T(failed_path_rests_until_a_check),
		T(medium_error_is_surfaced),
		T(conflict_is_an_error),
		T(expected_conflict_is_counted),
		T(closed_connections_are_survived),
		T(silent_node_is_noticed_by_nop),
		T(no_path_at_all_ends_the_run),
		T(lost_write_is_found),
		T(stale_read_is_told_from_a_lost_write),
		T(misdirected_write_is_both_lost_and_corrupt),
		T(torn_write_is_corrupt),
		T(fenced_write_on_the_medium_is_found),
		T(ghost_write_is_found),
		T(too_great_a_range_is_named),
		T(report_keeps_its_keys),
		T(events_are_told),
	};

	signal(SIGPIPE, SIG_IGN); /* as sandem-load itself does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sandemctl against a daemon with canned answers (fake_daemon.h): what it prints, where, and its exit codes, on which the
 * resource agents rely: 0 done, 1 refused or failed, 2 usage, 3 not reachable, 4 timed out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>

#define main sandemctl_main
int sandemctl_main(int argc, char **argv);
#include "tools/sandemctl.c"
#undef main

#include "fake_daemon.h"

struct outcome {
	int exit;
	char out[8192], err[2048];
};

static void slurp(int fd, char *to, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, to + len, size - 1 - len)) > 0)
		len += n;
	to[len] = 0;
	close(fd);
}

static struct outcome run(const char *dir, char **word)
{
	char *argv[16] = { "sandemctl", "--run-dir", (char *)dir };
	int out[2], err[2], n = 3, status;
	struct outcome o;
	pid_t pid;

	while (*word)
		argv[n++] = *word++;
	argv[n] = NULL;
	assert_int_equal(pipe(out), 0);
	assert_int_equal(pipe(err), 0);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], 1);
		dup2(err[1], 2);
		for (int i = 0; i < 2; i++) {
			close(out[i]);
			close(err[i]);
		}
		exit(sandemctl_main(n, argv));
	}
	close(out[1]);
	close(err[1]);
	slurp(out[0], o.out, sizeof(o.out));
	slurp(err[0], o.err, sizeof(o.err));
	waitpid(pid, &status, 0);
	o.exit = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return o;
}
#define RUN(dir, ...) run(dir, (char *[]){ __VA_ARGS__, NULL })

static void expect(const struct outcome *o, int code, const char *out, const char *err)
{
	if (o->exit != code || !strstr(o->out, out) || !strstr(o->err, err))
		fail_msg("exit %d, \"%s\" and on stderr \"%s\" expected; is: exit %d\n%s\n%s", code, out, err, o->exit, o->out,
			 o->err);
	if (code == 0)
		assert_string_equal(o->err, "");
	else
		assert_int_equal(strncmp(o->err, "sandemctl: ", 11), 0);
}

static int start(void **state)
{
	static struct fake_daemon f;

	fake_daemon_start(&f);
	*state = &f;
	return 0;
}

static int stop(void **state)
{
	fake_daemon_stop(*state);
	return 0;
}

static void test_tables(void **state)
{
	static const struct {
		char *word[3];
		const char *lines[5];
	} verbs[] = {
		{ { "status" }, { "node      node-a (sandem 0.1.0, up 3m)\n", "state     serving, quorate\n",
				  "members   node-a,node-b\n", "unfenced  node-c",
				  "\ng0     node-a      3  active  node-a:active,node-b:standby  disk0,disk1\n" } },
		{ { "cluster", "status" }, { "protocol  version 2 in use\n",
					   "MEMBER  ID  SYNCED  ACKNOWLEDGED  SPEAKS UP TO\nnode-a   1  yes              122             2\n" } },
		{ { "group", "list" }, { "\ng1     -           0  standby  -" } },
		{ { "lun", "list" }, { "10 GiB", "1.5 KiB", " 0 B ", "iqn.t:0\n", "/srv/disk0.img" } },
		{ { "session", "list" }, { "no initiator is logged in, on this node or another\n" } },
		{ { "pr", "show", "disk0" }, { "LUN          disk0\n", "generation   7\n", "APTPL        yes\n",
					       "holder       iqn.i,i,0x1, port 1, key 0xabc\n",
					       "0xabc     1  iqn.i,i,0x1\n" } },
	};
	const struct fake_daemon *f = *state;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		struct outcome o = RUN(f->dir, verbs[i].word[0], verbs[i].word[1], verbs[i].word[2]);

		for (int j = 0; j < 5 && verbs[i].lines[j]; j++)
			expect(&o, 0, verbs[i].lines[j], "");
		assert_null(strstr(o.out, " \n")); /* no blanks at the end of a line */
	}
}

static void test_json(void **state)
{
	const struct fake_daemon *f = *state;
	struct outcome o = RUN(f->dir, "--json", "group", "list");
	json_t *j = json_loads(o.out, 0, NULL);

	expect(&o, 0, "", "");
	assert_non_null(j);
	assert_int_equal(json_array_size(json_object_get(j, "groups")), 2);
	assert_true(json_is_null(json_object_get(json_array_get(json_object_get(j, "groups"), 1), "owner")));
	json_decref(j);
	o = RUN(f->dir, "status", "--json"); /* options may follow the verb */
	expect(&o, 0, "\"position\": 123", "");
}

static void test_promote(void **state)
{
	const struct fake_daemon *f = *state;
	struct outcome o = RUN(f->dir, "group", "promote", "g0");

	expect(&o, 0, "group g0: active here, owner node-a, epoch 3\n", "");
	o = RUN(f->dir, "group", "promote", "g9");
	expect(&o, 1, "", "demote it there first");
	assert_string_equal(o.out, "");
}

static void test_timeout(void **state)
{
	const struct fake_daemon *f = *state;
	struct outcome o = RUN(f->dir, "--timeout", "1", "group", "demote", "g0");

	expect(&o, 4, "", "group demote");
	assert_non_null(strstr(o.err, "within 1 s"));
}

static void test_shutdown(void **state)
{
	struct fake_daemon *f = *state;
	struct outcome o = RUN(f->dir, "shutdown");

	expect(&o, 0, "sandemd has ended\n", "");
	assert_int_equal(fake_daemon_wait(f), 0);
	o = RUN(f->dir, "status");
	expect(&o, 3, "", "can't be reached");
}

/* Killed: the socket is still there, nobody behind it. */
static void test_dead(void **state)
{
	struct fake_daemon *f = *state;
	struct outcome o;

	kill(f->pid, SIGKILL);
	fake_daemon_wait(f);
	o = RUN(f->dir, "status");
	expect(&o, 3, "", "control.sock: sandemd can't be reached: Connection refused");
	assert_non_null(strstr(o.err, "--run-dir"));
}

/* Stopped (SIGSTOP): the kernel takes the connection, nobody answers. */
static void test_frozen(void **state)
{
	struct fake_daemon *f = *state;
	struct outcome o;

	kill(f->pid, SIGSTOP);
	o = RUN(f->dir, "--timeout", "1", "status");
	expect(&o, 4, "", "within 1 s");
}

static void test_usage(void **state)
{
	static const struct {
		char *word[4];
		const char *says;
	} wrong[] = {
		{ { "frob" }, "\"frob\" is not a verb" },
		{ { "group" }, "\"group\" is not a verb" },
		{ { "group", "frob" }, "\"group frob\" is not a verb" },
		{ { "group", "promote" }, "name of the group is missing" },
		{ { "pr", "show" }, "name of the LUN is missing" },
		{ { "pr", "show", "a", "b" }, "\"b\" is too much" },
		{ { "status", "now" }, "\"now\" is too much" },
		{ { "--frob" }, "--frob: not an option" },
		{ { "--timeout" }, "value is missing" },
		{ { "--timeout", "0", "status" }, "1 to 86400" },
		{ { "--timeout", "5s", "status" }, "1 to 86400" },
		{ { "group", "promote", "\xff" }, "UTF-8" },
	};
	char *none[] = { NULL }, deep[200];
	struct outcome o = run("/nonexistent", none);
	(void)state;

	expect(&o, 2, "", "the verb is missing");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		o = run("/nonexistent", (char **)wrong[i].word);
		expect(&o, 2, "", wrong[i].says);
	}
	memset(deep, 'x', sizeof(deep));
	deep[sizeof(deep) - 1] = 0;
	o = RUN(deep, "status");
	expect(&o, 2, "", "too long");
	o = RUN("/nonexistent", "status");
	expect(&o, 3, "", "/nonexistent/control.sock");
	o = RUN("/nonexistent", "--help");
	expect(&o, 0, "Exit code: 0 done", "");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		T(test_tables), T(test_json), T(test_promote), T(test_timeout),
		T(test_shutdown), T(test_dead), T(test_frozen), cmocka_unit_test(test_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket: one server process (fake_daemon.h), this program as its clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/control.h"
#include "fake_daemon.h"

static int dial(const struct fake_daemon *f)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/control.sock", f->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next line within 5 s; NULL at the end of the connection. To be freed. */
static char *hear(int fd)
{
	size_t len = 0, cap = 1 << 16;
	char *line = malloc(cap);

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, 5000) != 1)
			fail_msg("no answer within 5 s");
		if (recv(fd, line + len, 1, 0) != 1) {
			free(line);
			return NULL;
		}
		if (line[len++] == '\n')
			break;
		if (len == cap)
			line = realloc(line, cap *= 2);
	}
	line[len - 1] = 0;
	return line;
}

static void expect(int fd, const char *part)
{
	char *line = hear(fd);

	if (!line)
		fail_msg("\"%s\" expected, the connection ended", part);
	if (!strstr(line, part))
		fail_msg("\"%s\" expected in: %s", part, line);
	free(line);
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

static void test_request_and_answer(void **state)
{
	int fd = dial(*state);

	say(fd, "{\"verb\":\"echo\",\"args\":{\"a\":[1,2]}}\n");
	expect(fd, "{\"ok\":true,\"result\":{\"a\":[1,2]}}");
	say(fd, "{\"verb\":\"echo\"}\n");
	expect(fd, "{\"ok\":true,\"result\":{}}");
	say(fd, "{\"verb\":\"refuse\"}\n");
	expect(fd, "\"code\":\"refused\",\"message\":\"group g9: ? is owned by node-b");
	close(fd);
}

static void test_malformed(void **state)
{
	static const char *const wrong[][2] = {
		{ "\n", "not JSON" },
		{ "hello\n", "not JSON" },
		{ "{\"verb\":\"echo\"\n", "not JSON" },
		{ "{\"verb\":\"echo\",\"verb\":\"status\"}\n", "not JSON" },
		{ "[]\n", "no \\\"verb\\\"" },
		{ "{}\n", "no \\\"verb\\\"" },
		{ "{\"verb\":7}\n", "no \\\"verb\\\"" },
		{ "{\"verb\":\"frob\"}\n", "no verb \\\"frob\\\"" },
		{ "{\"verb\":\"echo\",\"args\":[]}\n", "not an object" },
		{ "{\"verb\":\"pr show\"}\n", "\\\"lun\\\" is missing" },
		{ "{\"verb\":\"pr show\",\"args\":{\"lun\":5}}\n", "\\\"lun\\\" is missing" },
		{ "{\"verb\":\"pr show\",\"args\":{\"lun\":\"\"}}\n", "\\\"lun\\\" is missing" },
		{ "\xff\xfe{\n", "not JSON" },
	};
	int fd = dial(*state);

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char *line;

		say(fd, wrong[i][0]);
		line = hear(fd);
		assert_non_null(line);
		if (!strstr(line, "\"code\":\"usage\"") || !strstr(line, wrong[i][1]))
			fail_msg("usage error with \"%s\" expected for %s: %s", wrong[i][1], wrong[i][0], line);
		free(line);
	}
	say(fd, "{\"verb\":\"echo\"}\n"); /* the connection is as good as before */
	expect(fd, "\"ok\":true");
	close(fd);
}

static void test_line_bounds(void **state)
{
	char *line = malloc(CONTROL_LINE_MAX + 2);
	int fd = dial(*state);

	/* The longest line that is allowed, then one byte more. */
	memset(line, ' ', CONTROL_LINE_MAX);
	memcpy(line, "{\"verb\":\"echo\"}", 15);
	strcpy(line + CONTROL_LINE_MAX, "\n");
	say(fd, line);
	expect(fd, "\"ok\":true");
	line[CONTROL_LINE_MAX] = ' ';
	line[CONTROL_LINE_MAX + 1] = 0;
	say(fd, line);
	expect(fd, "longer than 524288 bytes");
	assert_null(hear(fd));
	close(fd);
	free(line);
}

static void test_bytewise(void **state)
{
	static const char text[] = "{\"verb\":\"echo\",\"args\":{\"x\":1}}\n";
	int fd = dial(*state);

	for (const char *p = text; *p; p++)
		assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
	expect(fd, "{\"x\":1}");
	close(fd);
}

/* A later answer holds back the next request of the same client, not that of others. */
static void test_order(void **state)
{
	int a = dial(*state), b = dial(*state);

	say(a, "{\"verb\":\"later\"}\n{\"verb\":\"later\"}\n{\"verb\":\"echo\",\"args\":{\"last\":1}}\n");
	say(b, "{\"verb\":\"echo\",\"args\":{\"b\":1}}\n");
	expect(b, "{\"b\":1}");
	expect(a, "\"n\":0");
	expect(a, "\"n\":1");
	expect(a, "\"last\":1");
	close(a);
	close(b);
}

static void test_half_closed_client(void **state)
{
	int fd = dial(*state);

	say(fd, "{\"verb\":\"later\"}\n{\"verb\":\"echo\",\"args\":{\"z\":1}}\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	expect(fd, "\"n\":0");
	expect(fd, "\"z\":1");
	assert_null(hear(fd));
	close(fd);
}

/* A client that goes while its answer is due: the answer is dropped, the daemon lives on. */
static void test_vanished_client(void **state)
{
	int fd, after;

	for (int i = 0; i < 20; i++) {
		fd = dial(*state);
		say(fd, "{\"verb\":\"later\"}\n");
		close(fd);
	}
	after = dial(*state);
	say(after, "{\"verb\":\"later\"}\n");
	expect(after, "\"n\":20");
	close(after);
}

static void test_big_answer_to_slow_reader(void **state)
{
	int fd = dial(*state), other = dial(*state);
	size_t x = 0;
	char *line;

	say(fd, "{\"verb\":\"big\"}\n{\"verb\":\"echo\",\"args\":{\"y\":1}}\n");
	say(other, "{\"verb\":\"echo\",\"args\":{\"o\":1}}\n"); /* is answered although fd isn't read */
	expect(other, "\"o\":1");
	line = hear(fd);
	assert_non_null(line);
	for (const char *p = line; *p; p++)
		x += *p == 'x';
	assert_int_equal(x, (4 << 20) + 1); /* and that of "text" */
	free(line);
	expect(fd, "\"y\":1");
	close(fd);
	close(other);
}

static void test_too_many_clients(void **state)
{
	int fd[CONTROL_CLIENTS_MAX], more;

	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fd[i] = dial(*state);
		say(fd[i], "{\"verb\":\"echo\"}\n");
		expect(fd[i], "\"ok\":true");
	}
	more = dial(*state);
	expect(more, "too many");
	assert_null(hear(more));
	close(more);
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close(fd[i]);
}

static void test_shutdown(void **state)
{
	struct fake_daemon *f = *state;
	int waiting = dial(f), idle = dial(f), fd = dial(f);
	char path[128];

	say(idle, "{\"verb\":\"echo\"}\n");
	expect(idle, "\"ok\":true");
	say(waiting, "{\"verb\":\"forget\"}\n");
	say(fd, "{\"verb\":\"shutdown\"}\n");
	expect(fd, "\"ok\":true");
	assert_null(hear(fd));
	assert_null(hear(idle));
	close(waiting);
	snprintf(path, sizeof(path), "%s/control.sock", f->dir);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "%s/sandemd.pid", f->dir);
	assert_int_equal(access(path, F_OK), -1);
	close(fd);
	close(idle);
}

/* ---- the run directory ---- */

static const struct control_verb none[] = { { NULL, NULL } };

static void test_files(void **state)
{
	struct fake_daemon *f = *state;
	char path[128], pid[16] = "", err[512];
	struct control *c;
	struct stat st;
	FILE *file;

	snprintf(path, sizeof(path), "%s/control.sock", f->dir);
	assert_int_equal(stat(path, &st), 0);
	/* pacemaker's own group, where there is one, for its alert agents; nobody else */
	assert_int_equal(st.st_mode & 0777, getgrnam("haclient") ? 0660 : 0600);
	if (getgrnam("haclient"))
		assert_int_equal(st.st_gid, getgrnam("haclient")->gr_gid);
	snprintf(path, sizeof(path), "%s/sandemd.pid", f->dir);
	file = fopen(path, "r");
	assert_non_null(fgets(pid, sizeof(pid), file));
	fclose(file);
	assert_int_equal(atoi(pid), f->pid);

	/* A live one is refused, and named. */
	pid[strcspn(pid, "\n")] = 0;
	assert_int_equal(control_start(&c, NULL, f->dir, none, NULL, err, sizeof(err)), -EBUSY);
	assert_non_null(strstr(err, pid));
	assert_non_null(strstr(err, "--run-dir"));
}

/* What a killed daemon leaves behind is in nobody's way. */
static void test_stale(void **state)
{
	struct fake_daemon *f = *state;
	qb_loop_t *loop = qb_loop_create();
	char path[128], err[512];
	struct control *c;

	assert_int_equal(kill(f->pid, SIGKILL), 0);
	assert_int_equal(fake_daemon_wait(f), -SIGKILL);
	snprintf(path, sizeof(path), "%s/control.sock", f->dir);
	assert_int_equal(access(path, F_OK), 0);
	if (control_start(&c, loop, f->dir, none, NULL, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	control_stop(c);
	qb_loop_destroy(loop);
}

static void test_bad_directories(void **state)
{
	char path[300], err[512];
	struct control *c;
	FILE *file;
	struct fake_daemon *f = *state;

	assert_int_equal(control_start(&c, NULL, "/nonexistent/run", none, NULL, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "/nonexistent/run"));
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = 0;
	assert_int_equal(control_start(&c, NULL, path, none, NULL, err, sizeof(err)), -ENAMETOOLONG);

	/* Something that is not a socket is not removed. */
	kill(f->pid, SIGKILL);
	fake_daemon_wait(f);
	snprintf(path, sizeof(path), "%s/control.sock", f->dir);
	unlink(path);
	file = fopen(path, "w");
	fclose(file);
	assert_int_equal(control_start(&c, NULL, f->dir, none, NULL, err, sizeof(err)), -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		T(test_request_and_answer), T(test_malformed),	      T(test_line_bounds),
		T(test_bytewise),	    T(test_order),	      T(test_half_closed_client),
		T(test_vanished_client),    T(test_big_answer_to_slow_reader), T(test_too_many_clients),
		T(test_shutdown),	    T(test_files),	      T(test_stale),
		T(test_bad_directories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_daemon.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <qb/qbutil.h>

#include "daemon/control.h"

struct fake {
	qb_loop_t *loop;
	struct control *control;
	int answered;
};

struct later {
	struct fake *fake;
	struct control_reply *reply;
};

static void echo(void *arg, const json_t *args, struct control_reply *r)
{
	(void)arg;
	control_ok(r, json_deep_copy(args));
}

static void fire(void *data)
{
	struct later *l = data;

	control_ok(l->reply, json_pack("{s:i}", "n", l->fake->answered++));
	free(l);
}

static void later(void *arg, const json_t *args, struct control_reply *r)
{
	struct fake *f = arg;
	struct later *l = malloc(sizeof(*l));
	qb_loop_timer_handle h;

	(void)args;
	*l = (struct later){ f, r };
	qb_loop_timer_add(f->loop, QB_LOOP_MED, 30 * QB_TIME_NS_IN_MSEC, l, fire, &h);
}

static void refuse(void *arg, const json_t *args, struct control_reply *r)
{
	(void)arg, (void)args;
	control_error(r, CONTROL_REFUSED, "group g9: \xff is owned by node-b; demote it there first");
}

static void forget(void *arg, const json_t *args, struct control_reply *r)
{
	(void)arg, (void)args, (void)r;
}

static void big(void *arg, const json_t *args, struct control_reply *r)
{
	char *text = malloc(4 << 20);

	(void)arg, (void)args;
	memset(text, 'x', 4 << 20);
	control_ok(r, json_pack("{s:o}", "text", json_stringn(text, 4 << 20)));
	free(text);
}

#define GROUP "{\"name\":\"g0\",\"owner\":\"node-a\",\"epoch\":3,\"state\":\"active\",\"luns\":[\"disk0\",\"disk1\"]," \
	      "\"ports\":[{\"node\":\"node-a\",\"state\":\"active\"},{\"node\":\"node-b\",\"state\":\"standby\"}]}"
#define STATE "\"node\":\"node-a\",\"state\":\"serving\",\"quorate\":true,\"position\":123,\"protocol\":2,\"version\":\"0.1.0\"," \
	      "\"uptime_s\":200,\"unfenced\":[\"node-c\"],\"groups\":[" GROUP "]"

static void canned(struct control_reply *r, const char *text)
{
	control_ok(r, json_loads(text, 0, NULL));
}

static void status(void *arg, const json_t *args, struct control_reply *r)
{
	(void)arg, (void)args;
	canned(r, "{" STATE ",\"members\":[\"node-a\",\"node-b\"]}");
}

static void cluster_status(void *arg, const json_t *args, struct control_reply *r)
{
	(void)arg, (void)args;
	canned(r, "{" STATE ",\"members\":[{\"node\":\"node-a\",\"id\":1,\"synced\":true,\"acknowledged\":122,\"protocol_max\":2}]}");
}

static void group_list(void *arg, const json_t *args, struct control_reply *r)
{
	(void)arg, (void)args;
	canned(r, "{\"groups\":[" GROUP ",{\"name\":\"g1\",\"owner\":null,\"epoch\":0,\"state\":\"standby\",\"luns\":[]}]}");
}

static void lun_list(void *arg, const json_t *args, struct control_reply *r)
{
	(void)arg, (void)args;
	canned(r, "{\"luns\":[{\"name\":\"disk0\",\"group\":\"g0\",\"size\":10737418240,\"block_size\":512,"
		  "\"handler\":\"file\",\"path\":\"/srv/disk0.img\",\"serial\":\"s\",\"naa\":\"3d09000000000000\","
		  "\"read_only\":false,\"open\":true,\"targets\":[{\"target\":\"iqn.t\",\"lun\":0}],\"reads\":1,"
		  "\"writes\":2,\"read_bytes\":1536,\"write_bytes\":0}]}");
}

static void session_list(void *arg, const json_t *args, struct control_reply *r)
{
	(void)arg, (void)args;
	canned(r, "{\"sessions\":[]}");
}

static void pr_show(void *arg, const json_t *args, struct control_reply *r)
{
	const char *lun = control_arg_string(args, "lun", r);

	(void)arg;
	if (lun)
		control_ok(r, json_pack("{s:s,s:i,s:b,s:s,s:{s:s,s:i,s:s},s:[{s:s,s:i,s:s}]}", "lun", lun, "generation", 7,
					"aptpl", 1, "type", "write exclusive, registrants only", "holder", "port",
					"iqn.i,i,0x1", "rtpi", 1, "key", "0xabc", "registrants", "port", "iqn.i,i,0x1",
					"rtpi", 1, "key", "0xabc"));
}

static void promote(void *arg, const json_t *args, struct control_reply *r)
{
	const char *name = control_arg_string(args, "name", r);

	if (!name)
		return;
	if (!strcmp(name, "g0"))
		canned(r, GROUP);
	else
		refuse(arg, args, r);
}

static void shut_down(void *arg, const json_t *args, struct control_reply *r)
{
	struct fake *f = arg;

	(void)args;
	control_ok(r, NULL);
	control_stop(f->control);
	qb_loop_stop(f->loop);
}

static void serve(const char *dir, int ready)
{
	static const struct control_verb verbs[] = {
		{ "echo", echo }, { "later", later }, { "refuse", refuse }, { "forget", forget }, { "big", big },
		{ "status", status }, { "cluster status", cluster_status }, { "group list", group_list },
		{ "lun list", lun_list }, { "session list", session_list }, { "pr show", pr_show },
		{ "group promote", promote }, { "group demote", forget }, { "shutdown", shut_down }, { NULL, NULL },
	};
	struct fake f = { .loop = qb_loop_create() };
	char err[512];

	if (control_start(&f.control, f.loop, dir, verbs, &f, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		_exit(1);
	}
	if (write(ready, "", 1) != 1)
		_exit(1);
	qb_loop_run(f.loop);
	qb_loop_destroy(f.loop);
	exit(0); /* leak checks run */
}

void fake_daemon_start(struct fake_daemon *f)
{
	int ready[2];
	char c;

	strcpy(f->dir, "/tmp/sandem-control-XXXXXX");
	if (!mkdtemp(f->dir) || pipe(ready) < 0 || (f->pid = fork()) < 0)
		abort();
	if (f->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
		close(ready[0]);
		serve(f->dir, ready[1]);
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		abort();
	close(ready[0]);
}

int fake_daemon_wait(struct fake_daemon *f)
{
	int status;

	if (waitpid(f->pid, &status, 0) < 0)
		return -1;
	f->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void fake_daemon_stop(struct fake_daemon *f)
{
	char path[128];

	if (f->pid > 0) {
		kill(f->pid, SIGKILL);
		fake_daemon_wait(f);
	}
	snprintf(path, sizeof(path), "%s/control.sock", f->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/sandemd.pid", f->dir);
	unlink(path);
	rmdir(f->dir);
}

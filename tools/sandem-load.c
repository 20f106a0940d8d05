/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sandem-load: a multipath, ALUA-aware iSCSI initiator that writes and verifies self-describing
 * blocks. One thread, one poll(2) loop:
 *
 *   load_opts → paths (load_path: sessions, checks) ← load_engine (I/O, retries) → load_model
 *                                                          ↓ load_report
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "load_engine.h"
#include "load_opts.h"
#include "load_path.h"
#include "load_report.h"

#define LOGOUT_NS 1000000000

struct load {
	struct load_opts opts;
	struct load_report report;
	struct load_lu lu;
	struct load_path_hooks hooks;
	struct load_path *path;
	unsigned paths;
	struct load_engine engine;
	struct pollfd *fds; /* paths, then the signals */
	int signals;
	uint64_t progress;
};

static void path_changed(void *arg, struct load_path *p, const char *from, const char *to)
{
	struct load *l = arg;

	load_report_change(&l->report, p, from, to);
}

/* The end of a session that is meant to end is no news. */
static void path_ignored(void *arg, struct load_path *p, const char *from, const char *to)
{
	(void)arg;
	(void)p;
	(void)from;
	(void)to;
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void take_signals(struct load *l)
{
	struct signalfd_siginfo s;

	while (read(l->signals, &s, sizeof(s)) == sizeof(s)) {
		if (s.ssi_signo == SIGUSR1)
			load_report_json(&l->report, l->path, l->paths, true);
		else if (l->engine.phase == LOAD_START || l->engine.phase == LOAD_RUN)
			load_engine_stop(&l->engine);
		else
			load_engine_abandon(&l->engine, "a second signal ended the run at once");
	}
}

/* Every run is told apart on the medium, even with the same --seed. */
static uint64_t run_id(uint64_t seed)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return seed ^ ((uint64_t)t.tv_sec << 34 ^ (uint64_t)t.tv_nsec << 4 ^
		       (uint64_t)getpid() << 20);
}

static int load_init(struct load *l)
{
	const struct load_opts *o = &l->opts;
	uint64_t run = run_id(o->seed);

	l->paths = o->portals * o->sessions;
	l->hooks = (struct load_path_hooks){ path_changed, l };
	l->signals = open_signals();
	l->path = calloc(l->paths, sizeof(*l->path));
	l->fds = calloc(l->paths + 1, sizeof(*l->fds));
	if (l->signals < 0 || !l->path || !l->fds ||
	    load_engine_init(&l->engine, o, &l->report, l->path, l->paths, &l->lu, run) != 0) {
		fprintf(stderr, "sandem-load: out of memory or descriptors; give a smaller --qd\n");
		return -ENOMEM;
	}
	for (unsigned i = 0; i < l->paths; i++)
		load_path_init(&l->path[i], o, i / o->sessions, i % o->sessions, &l->lu,
			       &l->hooks);
	return load_report_init(&l->report, o, run);
}

static void load_fini(struct load *l)
{
	load_report_fini(&l->report);
	load_engine_fini(&l->engine);
	free(l->path);
	free(l->fds);
	if (l->signals >= 0)
		close(l->signals);
}

static void wait_events(struct load *l, uint64_t until)
{
	uint64_t now = load_now(), ns = until > now ? until - now : 0;
	struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	for (unsigned i = 0; i < l->paths; i++) {
		l->fds[i].revents = 0;
		l->fds[i].fd = load_path_fd(&l->path[i], &l->fds[i].events);
	}
	l->fds[l->paths] = (struct pollfd){ .fd = l->signals, .events = POLLIN };
	if (ppoll(l->fds, l->paths + 1, &t, NULL) < 0)
		return; /* EINTR: the next round looks again */
	now = load_now();
	for (unsigned i = 0; i < l->paths; i++)
		load_path_service(&l->path[i], l->fds[i].revents, now);
	if (l->fds[l->paths].revents)
		take_signals(l);
}

static void progress(struct load *l, uint64_t now)
{
	if (!l->opts.progress_ns || now < l->progress)
		return;
	if (l->progress)
		load_report_progress(&l->report, l->path, l->paths);
	l->progress = now + l->opts.progress_ns;
}

static void run(struct load *l)
{
	while (!load_engine_done(&l->engine)) {
		uint64_t now = load_now();

		for (unsigned i = 0; i < l->paths; i++) {
			load_path_tick(&l->path[i], now);
			load_path_reap(&l->path[i], now);
		}
		load_engine_pump(&l->engine, now);
		for (unsigned i = 0; i < l->paths; i++)
			load_path_flush(&l->path[i]);
		progress(l, now);
		wait_events(l, load_engine_due(&l->engine, now));
	}
}

static void log_out(struct load *l)
{
	uint64_t now = load_now(), until = now + LOGOUT_NS;
	bool idle = false;

	l->hooks.changed = path_ignored;
	for (unsigned i = 0; i < l->paths; i++)
		load_path_logout(&l->path[i]);
	while (!idle && now < until) {
		idle = true;
		for (unsigned i = 0; i < l->paths; i++)
			idle = idle && load_path_idle(&l->path[i]);
		if (!idle)
			wait_events(l, until);
		now = load_now();
	}
	for (unsigned i = 0; i < l->paths; i++)
		load_path_fini(&l->path[i]);
}

int main(int argc, char **argv)
{
	static struct load l;
	char err[300] = "";
	bool clean;

	switch (load_opts_parse(argc, argv, &l.opts, err, sizeof(err))) {
	case LOAD_OPTS_HELP:
		fputs(load_opts_usage, stdout);
		return 0;
	case LOAD_OPTS_WRONG:
		fprintf(stderr, "sandem-load: %s\n", err);
		return 2;
	case LOAD_OPTS_RUN:
		break;
	}
	if (load_init(&l) != 0)
		return 2;
	run(&l);
	clean = load_report_clean(&l.report);
	if (l.opts.json)
		load_report_json(&l.report, l.path, l.paths, false);
	else
		load_report_text(&l.report, l.path, l.paths);
	log_out(&l);
	load_fini(&l);
	return clean ? 0 : 1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * iscsi_bench - how many commands a second, how late, and at what cost to the target?
 *
 *   options → log in (blocking) → one epoll loop: receive → complete → issue → one send per session → report
 *
 * Raw sockets, one thread, no allocation per command: the generator must cost less than the target, or it is itself
 * what is measured. It keeps every session at its queue depth, takes one latency sample per command (queued → status), and
 * reads the target's CPU time from /proc. Payload is neither made nor compared here; sandem-load does that.
 */
#include <getopt.h>
#include <limits.h>

#include "login.h"

#define DRAIN_NS 5000000000ull

/* ---- the run ------------------------------------------------------------------------------- */

static void turn(struct bench *b)
{
	struct epoll_event event[SESSIONS_MAX];
	int n = epoll_wait(b->epoll, event, SESSIONS_MAX, b->set.spin ? 0 : 100);

	b->syscalls++;
	for (int i = 0; i < n; i++) {
		struct session *s = event[i].data.ptr;

		if (event[i].events & ~EPOLLOUT)
			session_receive(s);
		if (b->phase != PHASE_DRAIN)
			session_fill(s);
		out_flush(s);
	}
}

static void measure_begin(struct bench *b)
{
	b->target = b->set.pid ? cpu_use_of(b->set.pid) : (struct cpu_use){ 0 };
	b->generator = cpu_use_of(getpid());
	b->stolen = cpu_use_stolen_ticks();
	b->syscalls = 0;
	b->started = now_ns();
	b->phase = PHASE_MEASURE;
}

static void measure_end(struct bench *b)
{
	struct cpu_use target = b->set.pid ? cpu_use_of(b->set.pid) : (struct cpu_use){ 0 };
	struct cpu_use generator = cpu_use_of(getpid());

	b->ended = now_ns();
	b->target = cpu_use_between(&b->target, &target);
	b->generator = cpu_use_between(&b->generator, &generator);
	b->stolen = cpu_use_stolen_ticks() - b->stolen;
	b->phase = PHASE_DRAIN;
}

static void run_until(struct bench *b, uint64_t end)
{
	while (now_ns() < end)
		turn(b);
}

static unsigned inflight(const struct bench *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->set.sessions; i++)
		n += b->session[i].inflight;
	return n;
}

static void run(struct bench *b)
{
	uint64_t begin = now_ns(), measure = begin + b->set.warmup * 1e9, syscalls;

	for (unsigned i = 0; i < b->set.sessions; i++) {
		session_fill(&b->session[i]);
		out_flush(&b->session[i]);
	}
	run_until(b, measure);
	measure_begin(b);
	run_until(b, now_ns() + b->set.seconds * 1e9);
	syscalls = b->syscalls;
	measure_end(b);
	while (inflight(b) && now_ns() < b->ended + DRAIN_NS)
		turn(b);
	b->syscalls = syscalls;
	if (inflight(b))
		fail("%u commands have no answer after %llu s; the target hangs", inflight(b), DRAIN_NS / 1000000000);
	if (!b->latency.count)
		fail("no command was answered in %g s; the target hangs, or --seconds is too short", b->set.seconds);
}

/* ---- the report ---------------------------------------------------------------------------- */

struct figure {
	const char *name;
	double value;
};

#define FIGURES 20

/* Names with their units: they are the keys of --json too. */
static void figures(const struct bench *b, struct figure f[FIGURES])
{
	const struct histogram *l = &b->latency;
	double n = l->count, ns = b->ended - b->started, ticks = sysconf(_SC_CLK_TCK);
	double user = b->target.user_ticks, system = b->target.system_ticks;
	const struct figure all[FIGURES] = {
		{ "iops", n / ns * 1e9 },
		{ "mb_per_s", n * b->set.block / ns * 1e3 },
		{ "latency_mean_us", histogram_mean(l) / 1e3 },
		{ "latency_p50_us", histogram_percentile(l, 0.5) / 1e3 },
		{ "latency_p99_us", histogram_percentile(l, 0.99) / 1e3 },
		{ "latency_p999_us", histogram_percentile(l, 0.999) / 1e3 },
		{ "latency_max_us", l->max / 1e3 },
		{ "target_cpu_us_per_io", b->target.run_ns / n / 1e3 },
		{ "target_cpu_percent", b->target.run_ns / ns * 100 },
		{ "target_user_percent", user + system > 0 ? user / (user + system) * 100 : 0 },
		{ "target_wait_percent", b->target.wait_ns / ns * 100 },
		{ "target_sleeps_per_io", b->target.voluntary / n },
		{ "target_preempted_per_io", b->target.involuntary / n },
		{ "generator_cpu_us_per_io", b->generator.run_ns / n / 1e3 },
		{ "generator_cpu_percent", b->generator.run_ns / ns * 100 },
		{ "generator_wait_percent", b->generator.wait_ns / ns * 100 },
		{ "generator_syscalls_per_io", b->syscalls / n },
		{ "stolen_percent", b->stolen / ticks / ns * 1e11 },
		{ "seconds", ns / 1e9 },
		{ "errors", b->errors },
	};

	memcpy(f, all, sizeof(all));
}

static void report_json(const struct bench *b, const struct figure f[FIGURES])
{
	printf("{\"access\": \"%s %s\", \"block\": %u, \"sessions\": %u, \"queue_depth\": %u",
	       b->set.random ? "random" : "sequential", b->set.write ? "write" : "read", b->set.block, b->set.sessions,
	       b->set.queue_depth);
	for (int i = 0; i < FIGURES; i++)
		printf(", \"%s\": %.4f", f[i].name, f[i].value);
	printf("}\n");
}

static void report_text(const struct bench *b, const struct figure f[FIGURES])
{
	printf("%s %s, %u bytes, %u sessions x queue depth %u\n", b->set.random ? "random" : "sequential",
	       b->set.write ? "write" : "read", b->set.block, b->set.sessions, b->set.queue_depth);
	for (int i = 0; i < FIGURES; i++)
		printf("  %-26s %14.3f\n", f[i].name, f[i].value);
}

/* ---- options ------------------------------------------------------------------------------- */

static const char usage_text[] =
	"usage: iscsi_bench --target NAME [options]\n"
	"  --portal ADDR:PORT     default 127.0.0.1:3260; [ADDR]:PORT for IPv6\n"
	"  --target NAME          iSCSI name of the target\n"
	"  --lun N                default 0\n"
	"  --sessions N           default 4, at most 256; each with its own initiator name\n"
	"  --queue-depth N        commands in flight on each session; default 32, at most 1024\n"
	"  --block BYTES          of one command; default 4096, at most 16 MiB\n"
	"  --read | --write       default --read. --write destroys what is on the LUN\n"
	"  --random | --sequential  default --random\n"
	"  --seconds S            measured time, default 3\n"
	"  --warmup S             before it, default 0.5\n"
	"  --pid PID              of the target, for its CPU time (all its threads)\n"
	"  --isid N               of the sessions, so that their nexuses can be registered before; default: the pid\n"
	"  --spin                 never sleep: for latency at queue depth 1\n"
	"  --header-digest, --data-digest   CRC32C\n"
	"  --congestion NAME      TCP congestion control of our side, e.g. cubic\n"
	"  --json                 one object on one line\n";

enum option_id {
	OPT_PORTAL = 256, OPT_TARGET, OPT_LUN, OPT_SESSIONS, OPT_QUEUE_DEPTH, OPT_BLOCK, OPT_READ, OPT_WRITE, OPT_RANDOM,
	OPT_SEQUENTIAL, OPT_SECONDS, OPT_WARMUP, OPT_PID, OPT_SPIN, OPT_HEADER_DIGEST, OPT_DATA_DIGEST, OPT_CONGESTION,
	OPT_JSON, OPT_ISID, OPT_HELP,
};

static const struct option option_table[] = {
	{ "portal", required_argument, NULL, OPT_PORTAL },
	{ "target", required_argument, NULL, OPT_TARGET },
	{ "lun", required_argument, NULL, OPT_LUN },
	{ "sessions", required_argument, NULL, OPT_SESSIONS },
	{ "queue-depth", required_argument, NULL, OPT_QUEUE_DEPTH },
	{ "block", required_argument, NULL, OPT_BLOCK },
	{ "read", no_argument, NULL, OPT_READ },
	{ "write", no_argument, NULL, OPT_WRITE },
	{ "random", no_argument, NULL, OPT_RANDOM },
	{ "sequential", no_argument, NULL, OPT_SEQUENTIAL },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "warmup", required_argument, NULL, OPT_WARMUP },
	{ "pid", required_argument, NULL, OPT_PID },
	{ "spin", no_argument, NULL, OPT_SPIN },
	{ "header-digest", no_argument, NULL, OPT_HEADER_DIGEST },
	{ "data-digest", no_argument, NULL, OPT_DATA_DIGEST },
	{ "congestion", required_argument, NULL, OPT_CONGESTION },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "isid", required_argument, NULL, OPT_ISID },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static double number(const char *option, const char *text, double low, double high)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= low && v <= high))
		fail("--%s %s: give a number from %g to %g", option, text, low, high);
	return v;
}

static void portal_set(struct settings *set, const char *text)
{
	const char *colon = strrchr(text, ':');
	bool bracketed = *text == '[' && colon && colon > text + 1 && colon[-1] == ']';

	if (!colon || colon == text || !colon[1] || strlen(colon + 1) >= sizeof(set->port) ||
	    strlen(text) >= sizeof(set->host))
		fail("--portal %s: give ADDR:PORT, for IPv6 [ADDR]:PORT", text);
	snprintf(set->host, sizeof(set->host), "%.*s", (int)(colon - text) - (bracketed ? 2 : 0), text + bracketed);
	snprintf(set->port, sizeof(set->port), "%s", colon + 1);
}

static void option_set(struct settings *set, enum option_id id, const char *name)
{
	switch (id) {
	case OPT_PORTAL: portal_set(set, optarg); break;
	case OPT_TARGET: set->target = optarg; break;
	case OPT_LUN: set->lun = number(name, optarg, 0, 16383); break;
	case OPT_SESSIONS: set->sessions = number(name, optarg, 1, SESSIONS_MAX); break;
	case OPT_QUEUE_DEPTH: set->queue_depth = number(name, optarg, 1, QUEUE_DEPTH_MAX); break;
	case OPT_BLOCK: set->block = number(name, optarg, 512, BLOCK_MAX); break;
	case OPT_READ: set->write = false; break;
	case OPT_WRITE: set->write = true; break;
	case OPT_RANDOM: set->random = true; break;
	case OPT_SEQUENTIAL: set->random = false; break;
	case OPT_SECONDS: set->seconds = number(name, optarg, 0.1, 3600); break;
	case OPT_WARMUP: set->warmup = number(name, optarg, 0, 3600); break;
	case OPT_PID: set->pid = number(name, optarg, 1, INT_MAX); break;
	case OPT_SPIN: set->spin = true; break;
	case OPT_HEADER_DIGEST: set->header_digest = true; break;
	case OPT_DATA_DIGEST: set->data_digest = true; break;
	case OPT_CONGESTION: set->congestion = optarg; break;
	case OPT_JSON: set->json = true; break;
	case OPT_ISID: set->isid = number(name, optarg, 1, UINT16_MAX); break;
	case OPT_HELP: fputs(usage_text, stdout); exit(0);
	}
}

static void options_read(struct settings *set, int argc, char **argv)
{
	int id, index;

	while ((id = getopt_long(argc, argv, "", option_table, &index)) != -1) {
		if (id == '?')
			exit(2); /* getopt has told */
		option_set(set, id, option_table[index].name);
	}
	if (optind < argc || !set->target) {
		fputs(usage_text, stderr);
		exit(2);
	}
	if (set->pid && access("/proc/self/schedstat", R_OK))
		fail("--pid: this kernel has no /proc/PID/schedstat (CONFIG_SCHED_INFO); leave the option out");
	if (set->pid && !cpu_use_of(set->pid).run_ns)
		fail("--pid %d: no such process", set->pid);
}

int main(int argc, char **argv)
{
	struct figure f[FIGURES];
	struct bench *b = need_zeroed(1, sizeof(*b));

	b->set = (struct settings){
		.host = "127.0.0.1", .port = "3260", .sessions = 4, .queue_depth = 32, .block = 4096, .random = true,
		.seconds = 3, .warmup = 0.5,
	};
	options_read(&b->set, argc, argv);
	b->random = 88172645463325252ull;
	b->payload = need_zeroed(1, b->set.block + sizeof(uint64_t));
	for (uint32_t i = 0; i < b->set.block; i += sizeof(uint64_t))
		memcpy(b->payload + i, &(uint64_t){ random_next(b) }, sizeof(uint64_t));
	b->session = need_zeroed(b->set.sessions, sizeof(*b->session));
	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < b->set.sessions; i++)
		session_open(&b->session[i], b, i);
	run(b);
	figures(b, f);
	if (b->set.json)
		report_json(b, f);
	else
		report_text(b, f);
	return b->errors != 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "load_opts.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

const char load_opts_usage[] =
"Usage: sandem-load --portal ADDR:PORT[,TPGT] [--portal ...] --target IQN --lun N [OPTION]...\n"
"Writes self-describing blocks to a logical unit over all given paths, reads them back, and\n"
"reports errors, lost writes, stale reads and corruption. OVERWRITES the blocks of its range.\n"
"\n"
"Paths\n"
"  --portal ADDR:PORT[,TPGT]  a path; repeat for more ([V6ADDR]:PORT for IPv6)\n"
"  --target IQN               target name\n"
"  --lun N                    logical unit number, 0..16383\n"
"  --initiator IQN            initiator name (default: made from the process id)\n"
"  --sessions-per-path N      sessions per portal, 1..16 (1)\n"
"  --path-policy P            alua (default), roundrobin, or one ADDR:PORT given by --portal\n"
"Work\n"
"  --qd N                     I/O outstanding, over all paths, 1..4096 (16)\n"
"  --block BYTES              size of a block and of every I/O (4096)\n"
"  --mix PERCENT              part of reads (70)\n"
"  --fua PERCENT              part of writes with FUA (0)\n"
"  --range FIRST:COUNT        blocks to use\n"
"  --span SIZE                or: the first SIZE bytes, with K, M, G, T (256M, or all if smaller)\n"
"  --random | --seq           order (random)\n"
"  --duration SECS | --ops N  when to stop (default: at SIGTERM or SIGINT)\n"
"  --rate OPS                 at most so many I/O per second\n"
"  --verify-at-end            read everything that was written once more\n"
"  --seed N                   repeat the same sequence of I/O\n"
"  --writer N                 number put into every block (0)\n"
"  --expect-conflict          RESERVATION CONFLICT is counted, and is not an error\n"
"Times in seconds, fractions allowed\n"
"  --nop-interval S (1)  --nop-timeout S (3)  --reconnect-delay S (0.5)  --login-timeout S (5)\n"
"  --check-interval S (0.5)  --io-timeout S (30)  --no-path-timeout S (60)\n"
"Output\n"
"  --progress SECS            a line on stderr so often\n"
"  --events FILE              a JSON line per event (running, path, gap, error, ...)\n"
"  --json                     the report as one JSON line (SIGUSR1 prints an interim one)\n"
"Exit status: 0 no error and nothing lost, stale or corrupt; 1 otherwise; 2 wrong usage.\n";

struct parse {
	struct load_opts *o;
	char *err;
	size_t errlen;
	const char *policy;
};

static bool wrong(struct parse *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static bool wrong(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->err, p->errlen, fmt, ap);
	va_end(ap);
	return false;
}

static bool number(struct parse *p, const char *opt, const char *arg, uint64_t min, uint64_t max,
		   uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(arg, &end, 10);
	if (errno || end == arg || *end || *arg == '-' || *out < min || *out > max)
		return wrong(p, "--%s %s: a whole number from %llu to %llu is needed", opt, arg,
			     (unsigned long long)min, (unsigned long long)max);
	return true;
}

static bool seconds(struct parse *p, const char *opt, const char *arg, uint64_t *ns)
{
	char *end;
	double s = strtod(arg, &end);

	if (end == arg || *end || !(s > 0) || s > 1e8)
		return wrong(p, "--%s %s: a number of seconds above 0 is needed", opt, arg);
	*ns = (uint64_t)(s * 1e9);
	return true;
}

static bool size(struct parse *p, const char *opt, const char *arg, uint64_t *out)
{
	static const char units[] = "KMGT";
	char *end;
	const char *u;

	errno = 0;
	*out = strtoull(arg, &end, 10);
	u = *end ? strchr(units, *end) : NULL;
	if (errno || end == arg || *arg == '-' || *out == 0 || *out >> 24 ||
	    (*end && (!u || end[1])))
		return wrong(p, "--%s %s: a size is needed, such as 512M or 4G", opt, arg);
	if (u)
		*out <<= 10 * (u - units + 1);
	return true;
}

static bool range(struct parse *p, const char *arg)
{
	char first[32];
	const char *colon = strchr(arg, ':');

	if (!colon || (size_t)(colon - arg) >= sizeof(first))
		return wrong(p, "--range %s: FIRST:COUNT is needed, both in blocks", arg);
	snprintf(first, sizeof(first), "%.*s", (int)(colon - arg), arg);
	p->o->range_given = true;
	return number(p, "range", first, 0, 1ULL << 52, &p->o->first) &&
	       number(p, "range", colon + 1, 1, LOAD_BLOCKS_MAX, &p->o->count);
}

static bool name_copy(struct parse *p, const char *opt, const char *arg, char *out, size_t len)
{
	if (!*arg || strlen(arg) >= len)
		return wrong(p, "--%s: a name of 1 to 223 bytes is needed (RFC 7143 4.2.7)", opt);
	memcpy(out, arg, strlen(arg) + 1);
	return true;
}

static bool resolve(struct parse *p, struct load_portal *t, const char *host, const char *port)
{
	struct addrinfo hint = { .ai_socktype = SOCK_STREAM }, *ai;
	char h[INET6_ADDRSTRLEN + 32], s[8];
	int e = getaddrinfo(host, port, &hint, &ai);

	if (e)
		return wrong(p, "--portal %s: %s", t->name, gai_strerror(e));
	e = getnameinfo(ai->ai_addr, ai->ai_addrlen, h, sizeof(h), s, sizeof(s),
			NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(t->address, sizeof(t->address), ai->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
		 h, s);
	freeaddrinfo(ai);
	return e == 0 || wrong(p, "--portal %s: %s", t->name, gai_strerror(e));
}

/* ADDR:PORT[,TPGT], where ADDR may be in brackets (RFC 7143 13.8, TargetAddress). */
static bool portal(struct parse *p, const char *arg)
{
	struct load_portal *t = &p->o->portal[p->o->portals];
	char text[sizeof(t->name)], *comma, *colon, *host;
	uint64_t v = 0;

	if (p->o->portals == LOAD_PORTALS_MAX)
		return wrong(p, "--portal %s: at most %d portals", arg, LOAD_PORTALS_MAX);
	if ((size_t)snprintf(text, sizeof(text), "%s", arg) >= sizeof(text))
		return wrong(p, "--portal %s: too long", arg);
	t->tag = -1;
	comma = strchr(text, ',');
	if (comma) {
		*comma = '\0';
		if (!number(p, "portal (portal group tag)", comma + 1, 0, 65535, &v))
			return false;
		t->tag = (int)v;
	}
	memcpy(t->name, text, strlen(text) + 1);
	colon = strrchr(text, ':');
	if (!colon || colon == text)
		return wrong(p, "--portal %s: ADDR:PORT[,TPGT] is needed", arg);
	*colon = '\0';
	if (!number(p, "portal (port)", colon + 1, 1, 65535, &v))
		return false;
	host = text;
	if (*host == '[' && colon[-1] == ']') {
		host++;
		colon[-1] = '\0';
	}
	p->o->portals++;
	return resolve(p, t, host, colon + 1);
}

enum opt {
	O_PORTAL = 256, O_TARGET, O_LUN, O_INITIATOR, O_SESSIONS, O_QD, O_BLOCK, O_MIX, O_RANGE,
	O_SPAN, O_RANDOM, O_SEQ, O_DURATION, O_OPS, O_RATE, O_VERIFY, O_POLICY, O_FUA, O_PROGRESS,
	O_EVENTS, O_JSON, O_SEED, O_WRITER, O_CONFLICT, O_NOP_INTERVAL, O_NOP_TIMEOUT,
	O_RECONNECT, O_LOGIN, O_CHECK, O_IO_TIMEOUT, O_NO_PATH, O_HELP,
};

static const struct option options[] = {
	{ "portal", 1, NULL, O_PORTAL },
	{ "target", 1, NULL, O_TARGET },
	{ "lun", 1, NULL, O_LUN },
	{ "initiator", 1, NULL, O_INITIATOR },
	{ "sessions-per-path", 1, NULL, O_SESSIONS },
	{ "qd", 1, NULL, O_QD },
	{ "block", 1, NULL, O_BLOCK },
	{ "mix", 1, NULL, O_MIX },
	{ "range", 1, NULL, O_RANGE },
	{ "span", 1, NULL, O_SPAN },
	{ "random", 0, NULL, O_RANDOM },
	{ "seq", 0, NULL, O_SEQ },
	{ "duration", 1, NULL, O_DURATION },
	{ "ops", 1, NULL, O_OPS },
	{ "rate", 1, NULL, O_RATE },
	{ "verify-at-end", 0, NULL, O_VERIFY },
	{ "path-policy", 1, NULL, O_POLICY },
	{ "fua", 1, NULL, O_FUA },
	{ "progress", 1, NULL, O_PROGRESS },
	{ "events", 1, NULL, O_EVENTS },
	{ "json", 0, NULL, O_JSON },
	{ "seed", 1, NULL, O_SEED },
	{ "writer", 1, NULL, O_WRITER },
	{ "expect-conflict", 0, NULL, O_CONFLICT },
	{ "nop-interval", 1, NULL, O_NOP_INTERVAL },
	{ "nop-timeout", 1, NULL, O_NOP_TIMEOUT },
	{ "reconnect-delay", 1, NULL, O_RECONNECT },
	{ "login-timeout", 1, NULL, O_LOGIN },
	{ "check-interval", 1, NULL, O_CHECK },
	{ "io-timeout", 1, NULL, O_IO_TIMEOUT },
	{ "no-path-timeout", 1, NULL, O_NO_PATH },
	{ "help", 0, NULL, O_HELP },
	{ 0 },
};

static const char *option_name(int c)
{
	size_t i = 0;

	while (options[i].val != c)
		i++;
	return options[i].name;
}

static bool number32(struct parse *p, int c, const char *arg, uint64_t min, uint64_t max,
		     unsigned *out)
{
	uint64_t v;

	if (!number(p, option_name(c), arg, min, max, &v))
		return false;
	*out = (unsigned)v;
	return true;
}

static bool take_time(struct parse *p, int c, const char *arg)
{
	struct load_opts *o = p->o;
	uint64_t *const where[] = {
		&o->nop_interval_ns, &o->nop_timeout_ns, &o->reconnect_ns, &o->login_timeout_ns,
		&o->check_interval_ns, &o->io_timeout_ns, &o->no_path_ns,
	};

	return seconds(p, option_name(c), arg, where[c - O_NOP_INTERVAL]);
}

static bool take_rate(struct parse *p, const char *arg)
{
	char *end;

	p->o->rate = strtod(arg, &end);
	if (end == arg || *end || !(p->o->rate > 0) || p->o->rate > 1e9)
		return wrong(p, "--rate %s: a number of I/O per second above 0 is needed", arg);
	return true;
}

static bool take(struct parse *p, enum opt c, const char *arg)
{
	struct load_opts *o = p->o;

	switch (c) {
	case O_PORTAL: return portal(p, arg);
	case O_TARGET: return name_copy(p, "target", arg, o->target, sizeof(o->target));
	case O_INITIATOR:
		return name_copy(p, "initiator", arg, o->initiator, sizeof(o->initiator));
	case O_LUN: return number32(p, c, arg, 0, 16383, &o->lun);
	case O_SESSIONS: return number32(p, c, arg, 1, LOAD_SESSIONS_MAX, &o->sessions);
	case O_QD: return number32(p, c, arg, 1, LOAD_QD_MAX, &o->qd);
	case O_BLOCK: return number32(p, c, arg, 512, LOAD_BLOCK_MAX, &o->block);
	case O_MIX: return number32(p, c, arg, 0, 100, &o->read_percent);
	case O_FUA: return number32(p, c, arg, 0, 100, &o->fua_percent);
	case O_RANGE: return range(p, arg);
	case O_SPAN: return size(p, "span", arg, &o->span);
	case O_RANDOM: o->sequential = false; return true;
	case O_SEQ: o->sequential = true; return true;
	case O_DURATION: return seconds(p, "duration", arg, &o->duration_ns);
	case O_OPS: return number(p, "ops", arg, 1, UINT64_MAX, &o->ops);
	case O_RATE: return take_rate(p, arg);
	case O_VERIFY: o->verify_at_end = true; return true;
	case O_POLICY: p->policy = arg; return true;
	case O_PROGRESS: return seconds(p, "progress", arg, &o->progress_ns);
	case O_EVENTS: o->events = arg; return true;
	case O_JSON: o->json = true; return true;
	case O_SEED: return number(p, "seed", arg, 0, INT64_MAX, &o->seed);
	case O_WRITER: return number32(p, c, arg, 0, UINT32_MAX, &o->writer);
	case O_CONFLICT: o->expect_conflict = true; return true;
	case O_NOP_INTERVAL:
	case O_NOP_TIMEOUT:
	case O_RECONNECT:
	case O_LOGIN:
	case O_CHECK:
	case O_IO_TIMEOUT:
	case O_NO_PATH: return take_time(p, c, arg);
	case O_HELP: return true;
	}
	return false;
}

static bool policy(struct parse *p)
{
	struct load_opts *o = p->o;

	if (!p->policy || strcmp(p->policy, "alua") == 0) {
		o->policy = LOAD_POLICY_ALUA;
		return true;
	}
	if (strcmp(p->policy, "roundrobin") == 0) {
		o->policy = LOAD_POLICY_ROUNDROBIN;
		return true;
	}
	o->policy = LOAD_POLICY_PORTAL;
	for (o->policy_portal = 0; o->policy_portal < o->portals; o->policy_portal++)
		if (strcmp(o->portal[o->policy_portal].name, p->policy) == 0)
			return true;
	return wrong(p, "--path-policy %s: alua, roundrobin, or the ADDR:PORT of a --portal",
		     p->policy);
}

static bool verify(struct parse *p)
{
	struct load_opts *o = p->o;

	if (o->portals == 0)
		return wrong(p, "--portal is missing: ADDR:PORT of at least one path is needed");
	if (!*o->target)
		return wrong(p, "--target is missing: the iSCSI name of the target is needed");
	if (o->lun == UINT32_MAX)
		return wrong(p, "--lun is missing: the logical unit number is needed");
	if (o->block % 512)
		return wrong(p, "--block %u: a multiple of 512 is needed", o->block);
	if (o->duration_ns && o->ops)
		return wrong(p, "--duration and --ops: give one of them");
	if (o->range_given && o->span)
		return wrong(p, "--range and --span: give one of them");
	if (o->span && o->span < o->block)
		return wrong(p, "--span: less than one block of %u bytes", o->block);
	return policy(p);
}

static void defaults(struct load_opts *o)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	*o = (struct load_opts){
		.lun = UINT32_MAX,
		.sessions = 1,
		.qd = 16,
		.block = 4096,
		.read_percent = 70,
		.seed = ((uint64_t)t.tv_sec << 24) + (uint64_t)t.tv_nsec * 31 +
			(uint64_t)getpid(),
		.nop_interval_ns = 1000000000,
		.nop_timeout_ns = 3000000000,
		.reconnect_ns = 500000000,
		.login_timeout_ns = 5000000000,
		.check_interval_ns = 500000000,
		.io_timeout_ns = 30000000000,
		.no_path_ns = 60000000000,
	};
	snprintf(o->initiator, sizeof(o->initiator), "iqn.2026-11.io.sandem:load.%d",
		 (int)getpid());
}

enum load_opts_result load_opts_parse(int argc, char **argv, struct load_opts *o, char *err,
				      size_t errlen)
{
	struct parse p = { .o = o, .err = err, .errlen = errlen };
	int c;

	defaults(o);
	optind = 0; /* glibc: forget an earlier command line altogether */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (c == O_HELP || c == 'h')
			return LOAD_OPTS_HELP;
		if (c == ':' || c == '?') {
			wrong(&p, "%s: %s; --help lists the options", argv[optind - 1],
			      c == ':' ? "needs an argument" : "is not an option");
			return LOAD_OPTS_WRONG;
		}
		if (!take(&p, (enum opt)c, optarg))
			return LOAD_OPTS_WRONG;
	}
	if (optind < argc) {
		wrong(&p, "%s: not an option; --help lists them", argv[optind]);
		return LOAD_OPTS_WRONG;
	}
	return verify(&p) ? LOAD_OPTS_RUN : LOAD_OPTS_WRONG;
}

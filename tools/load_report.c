/* SPDX-License-Identifier: BSD-2-Clause */
#include "load_report.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t load_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t load_wall_ms(uint64_t mono)
{
	return (clock_ns(CLOCK_REALTIME) - (load_now() - mono)) / 1000000;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int load_report_init(struct load_report *r, const struct load_opts *o, uint64_t run)
{
	*r = (struct load_report){ .o = o, .run = run };
	if (!o->events)
		return 0;
	r->events = fopen(o->events, "we");
	if (r->events)
		return 0;
	fprintf(stderr, "sandem-load: --events %s: %s; give a file that can be written\n",
		o->events, strerror(errno));
	return -errno;
}

void load_report_fini(struct load_report *r)
{
	if (r->events)
		fclose(r->events);
	r->events = NULL;
}

/* Events. Takes over `e`. */
static void emit(struct load_report *r, json_t *e)
{
	if (r->events) {
		json_dumpf(e, r->events, JSON_COMPACT | JSON_REAL_PRECISION(9));
		fputc('\n', r->events);
		fflush(r->events);
	}
	json_decref(e);
}

void load_report_running(struct load_report *r, uint64_t now)
{
	r->cpu_begun = cpu_seconds();
	emit(r, json_pack("{s:s, s:I}", "event", "running", "ms", (json_int_t)load_wall_ms(now)));
}

void load_report_phase(struct load_report *r, const char *phase)
{
	emit(r, json_pack("{s:s, s:I, s:s}", "event", "phase", "ms",
			  (json_int_t)load_wall_ms(load_now()), "phase", phase));
}

static json_t *change_json(const struct load_change *c)
{
	return json_pack("{s:I, s:s, s:s, s:s, s:s}", "ms", (json_int_t)c->wall_ms, "path",
			 c->path, "from", c->from, "to", c->to, "reason", c->reason);
}

void load_report_change(struct load_report *r, const struct load_path *p, const char *from,
			const char *to)
{
	struct load_change c = { .wall_ms = load_wall_ms(load_now()), .from = from, .to = to };
	json_t *e;

	snprintf(c.path, sizeof(c.path), "%s", p->name);
	snprintf(c.reason, sizeof(c.reason), "%s", p->reason);
	if (r->changes < LOAD_CHANGES_MAX)
		r->change[r->changes] = c;
	r->changes++;
	e = change_json(&c);
	json_object_set_new(e, "event", json_string("path"));
	emit(r, e);
	if (strcmp(to, "probing") != 0)
		fprintf(stderr, "sandem-load: path %s: %s -> %s%s%s\n", c.path, from, to,
			*c.reason ? ": " : "", c.reason);
}

void load_report_gap(struct load_report *r, uint64_t since, uint64_t ns)
{
	uint64_t wall = load_wall_ms(since);

	if (r->gaps < LOAD_GAPS_MAX) {
		r->gap_list[r->gaps].wall_ms = wall;
		r->gap_list[r->gaps].ns = ns;
	}
	r->gaps++;
	emit(r, json_pack("{s:s, s:I, s:I, s:f}", "event", "gap", "ms",
			  (json_int_t)load_wall_ms(load_now()), "start_ms", (json_int_t)wall,
			  "length_ms", (double)ns / 1e6));
}

void load_report_error(struct load_report *r, const char *event, const char *what,
		       const char *path, bool write, uint64_t lba)
{
	if (r->told++ >= LOAD_EVENTS_MAX)
		return; /* a target that fails everything must not fill the disk */
	emit(r, json_pack("{s:s, s:I, s:s, s:s, s:s, s:I}", "event", event, "ms",
			  (json_int_t)load_wall_ms(load_now()), "error", what, "path", path,
			  "io", write ? "write" : "read", "lba", (json_int_t)lba));
}

static json_t *finding_json(const struct load_finding *f)
{
	char run[20];

	snprintf(run, sizeof(run), "%016llx", (unsigned long long)f->found_run);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:s}",
			 "kind", load_verdict_str(f->verdict), "ms", (json_int_t)f->wall_ms,
			 "block", (json_int_t)f->block, "lba", (json_int_t)f->lba,
			 "acknowledged", (json_int_t)f->promised.acked,
			 "expected_at_least", (json_int_t)f->promised.floor,
			 "issued", (json_int_t)f->promised.issued,
			 "found_generation", (json_int_t)f->found_generation,
			 "found_lba", (json_int_t)f->found_lba, "found_run", run,
			 "found_writer", (json_int_t)f->found_writer,
			 "seam", (json_int_t)f->seam, "path", f->path);
}

static uint64_t *counter_of(struct load_report *r, enum load_verdict v)
{
	switch (v) {
	case LOAD_LOST: return &r->lost;
	case LOAD_STALE: return &r->stale;
	case LOAD_CORRUPT: return &r->corrupt;
	case LOAD_REFUSED_SEEN: return &r->refused_seen;
	case LOAD_TORN: return &r->torn;
	case LOAD_UNWRITTEN: return &r->unverified;
	case LOAD_OK:
	case LOAD_BEHIND: return NULL;
	}
	return NULL;
}

void load_report_finding(struct load_report *r, const struct load_finding *f)
{
	uint64_t *n = counter_of(r, f->verdict);
	json_t *e;

	if (n)
		++*n;
	if (!n || f->verdict == LOAD_UNWRITTEN || f->verdict == LOAD_TORN)
		return;
	if (r->findings < LOAD_FINDINGS_MAX)
		r->finding[r->findings] = *f;
	r->findings++;
	e = finding_json(f);
	json_object_set_new(e, "event", json_string("finding"));
	emit(r, e);
}

bool load_report_clean(const struct load_report *r)
{
	return !r->errors.total && !r->lost && !r->stale && !r->corrupt && !r->refused_seen &&
	       !*r->fatal && (!r->o->verify_at_end || r->verify_complete);
}

/* Reports */

static double seconds_of(const struct load_report *r)
{
	return r->begun ? (double)((r->ended ? r->ended : load_now()) - r->begun) / 1e9 : 0;
}

static double per_second(const struct load_report *r, double n)
{
	double s = seconds_of(r);

	return s > 0 ? n / s : 0;
}

static double longest_gap_ms(const struct load_report *r)
{
	uint64_t open = load_gap_open(&r->gap, load_now());

	return (double)(open > r->gap.longest ? open : r->gap.longest) / 1e6;
}

static double cpu_us_per_io(const struct load_report *r)
{
	uint64_t n = r->reads + r->writes;

	return n ? (cpu_seconds() - r->cpu_begun) * 1e6 / (double)n : 0;
}

static const struct {
	const char *name;
	double fraction;
} quantiles[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 } };

static json_t *latency_json(const struct load_hist *h)
{
	json_t *o = json_object();

	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		json_object_set_new(o, quantiles[i].name,
			json_real((double)load_hist_quantile(h, quantiles[i].fraction) / 1e3));
	json_object_set_new(o, "max", json_real((double)h->max / 1e3));
	return o;
}

static json_t *tally_json(const struct load_tally *t)
{
	json_t *o = json_object();

	for (size_t i = 0; i < t->used; i++)
		json_object_set_new(o, t->row[i].name, json_integer((json_int_t)t->row[i].count));
	return o;
}

static json_t *gaps_json(const struct load_report *r)
{
	json_t *a = json_array();

	for (size_t i = 0; i < r->gaps && i < LOAD_GAPS_MAX; i++)
		json_array_append_new(a, json_pack("{s:I, s:f}", "start_ms",
			(json_int_t)r->gap_list[i].wall_ms, "length_ms",
			(double)r->gap_list[i].ns / 1e6));
	return a;
}

static json_t *findings_json(const struct load_report *r)
{
	json_t *a = json_array();

	for (size_t i = 0; i < r->findings && i < LOAD_FINDINGS_MAX; i++)
		json_array_append_new(a, finding_json(&r->finding[i]));
	return a;
}

static json_t *changes_json(const struct load_report *r)
{
	json_t *a = json_array();

	for (size_t i = 0; i < r->changes && i < LOAD_CHANGES_MAX; i++)
		json_array_append_new(a, change_json(&r->change[i]));
	return a;
}

static uint64_t reconnects_of(const struct load_path *p)
{
	return p->logins ? p->logins - 1 : 0;
}

static json_t *paths_json(const struct load_path *path, unsigned paths)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < paths; i++)
		json_array_append_new(a, json_pack(
			"{s:s, s:s, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:s}",
			"path", path[i].name, "state", load_path_state(&path[i]),
			"portal_group_tag", path[i].portal->tag,
			"target_port_group", path[i].port_group,
			"relative_target_port", path[i].relative_port,
			"ios", (json_int_t)path[i].ios,
			"reconnects", (json_int_t)reconnects_of(&path[i]),
			"connections_lost", (json_int_t)path[i].losses,
			"failures", (json_int_t)path[i].failures,
			"reason", path[i].reason));
	return a;
}

static void set_int(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

static void set_counters(json_t *o, const struct load_report *r)
{
	set_int(o, "reads", r->reads);
	set_int(o, "writes", r->writes);
	set_int(o, "reads_unwritten", r->unverified);
	set_int(o, "errors", r->errors.total);
	set_int(o, "conflicts", r->conflicts);
	set_int(o, "lost", r->lost);
	set_int(o, "stale", r->stale);
	set_int(o, "corrupt", r->corrupt);
	set_int(o, "refused_seen", r->refused_seen);
	set_int(o, "torn_under_write", r->torn);
	set_int(o, "retries", r->retries.total);
	set_int(o, "gaps", r->gaps);
	set_int(o, "path_changes", r->changes);
}

json_t *load_report_object(const struct load_report *r, const struct load_path *path,
			   unsigned paths, bool interim)
{
	struct load_hist all = r->read_latency;
	char run[20];
	json_t *o;

	load_hist_merge(&all, &r->write_latency);
	snprintf(run, sizeof(run), "%016llx", (unsigned long long)r->run);
	o = json_pack("{s:b, s:b, s:s, s:s, s:s, s:i, s:I, s:f, s:f, s:f, s:f, s:f}",
		      "interim", interim, "clean", load_report_clean(r), "fatal", r->fatal,
		      "run", run, "target", r->o->target, "lun", (int)r->o->lun,
		      "seed", (json_int_t)r->o->seed, "seconds", seconds_of(r),
		      "iops", per_second(r, (double)(r->reads + r->writes)),
		      "mb_per_s", per_second(r, (double)r->bytes / 1e6),
		      "longest_gap_ms", longest_gap_ms(r), "cpu_us_per_io", cpu_us_per_io(r));
	set_counters(o, r);
	json_object_set_new(o, "latency_us", json_pack("{s:o, s:o, s:o}",
		"all", latency_json(&all), "read", latency_json(&r->read_latency),
		"write", latency_json(&r->write_latency)));
	json_object_set_new(o, "gap_list", gaps_json(r));
	json_object_set_new(o, "retries_by_cause", tally_json(&r->retries));
	json_object_set_new(o, "errors_by_cause", tally_json(&r->errors));
	json_object_set_new(o, "findings", findings_json(r));
	json_object_set_new(o, "paths", paths_json(path, paths));
	json_object_set_new(o, "path_change_list", changes_json(r));
	if (r->o->verify_at_end)
		json_object_set_new(o, "verify", json_pack("{s:b, s:I, s:I}", "complete",
			r->verify_complete, "blocks", (json_int_t)r->verify_total, "read",
			(json_int_t)r->verify_read));
	return o;
}

void load_report_json(const struct load_report *r, const struct load_path *path, unsigned paths,
		      bool interim)
{
	json_t *o = load_report_object(r, path, paths, interim);

	json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	putchar('\n');
	fflush(stdout);
	json_decref(o);
}

static void text_latency(const char *name, const struct load_hist *h)
{
	printf("%-6s latency us", name);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		printf("  %s %.0f", quantiles[i].name,
		       (double)load_hist_quantile(h, quantiles[i].fraction) / 1e3);
	printf("  max %.0f\n", (double)h->max / 1e3);
}

static void text_tally(const char *name, const struct load_tally *t)
{
	printf("%-8s %llu\n", name, (unsigned long long)t->total);
	for (size_t i = 0; i < t->used; i++)
		printf("  %8llu  %s\n", (unsigned long long)t->row[i].count, t->row[i].name);
}

static void text_findings(const struct load_report *r)
{
	for (size_t i = 0; i < r->findings && i < LOAD_FINDINGS_MAX; i++) {
		char *s = NULL;
		json_t *f = finding_json(&r->finding[i]);

		s = json_dumps(f, JSON_COMPACT);
		printf("  %s\n", s ? s : "?");
		free(s);
		json_decref(f);
	}
}

static void text_paths(const struct load_path *path, unsigned paths)
{
	for (unsigned i = 0; i < paths; i++)
		printf("path %s: %s, group %d, %llu I/O, %llu reconnects, %llu failures%s%s\n",
		       path[i].name, load_path_state(&path[i]), path[i].port_group,
		       (unsigned long long)path[i].ios,
		       (unsigned long long)reconnects_of(&path[i]),
		       (unsigned long long)path[i].failures, *path[i].reason ? ": " : "",
		       path[i].reason);
}

void load_report_text(const struct load_report *r, const struct load_path *path, unsigned paths)
{
	printf("%llu reads, %llu writes in %.1f s: %.0f IOPS, %.1f MB/s, %.1f us CPU per I/O\n",
	       (unsigned long long)r->reads, (unsigned long long)r->writes, seconds_of(r),
	       per_second(r, (double)(r->reads + r->writes)), per_second(r, (double)r->bytes / 1e6),
	       cpu_us_per_io(r));
	text_latency("read", &r->read_latency);
	text_latency("write", &r->write_latency);
	printf("longest gap %.1f ms; %llu above %llu ms\n", longest_gap_ms(r),
	       (unsigned long long)r->gaps, LOAD_GAP_LISTED_NS / 1000000);
	for (size_t i = 0; i < r->gaps && i < LOAD_GAPS_MAX; i++)
		printf("  at %llu: %.1f ms\n", (unsigned long long)r->gap_list[i].wall_ms,
		       (double)r->gap_list[i].ns / 1e6);
	text_paths(path, paths);
	text_tally("retries", &r->retries);
	text_tally("errors", &r->errors);
	printf("conflicts %llu, torn under an open write %llu\n",
	       (unsigned long long)r->conflicts, (unsigned long long)r->torn);
	if (r->o->verify_at_end)
		printf("verified at the end: %llu of %llu blocks\n",
		       (unsigned long long)r->verify_read, (unsigned long long)r->verify_total);
	printf("lost %llu, stale %llu, corrupt %llu, refused writes seen %llu\n",
	       (unsigned long long)r->lost, (unsigned long long)r->stale,
	       (unsigned long long)r->corrupt, (unsigned long long)r->refused_seen);
	text_findings(r);
	if (*r->fatal)
		printf("ended early: %s\n", r->fatal);
	printf("%s\n", load_report_clean(r) ? "OK" : "FAILED");
	fflush(stdout);
}

void load_report_progress(const struct load_report *r, const struct load_path *path,
			  unsigned paths)
{
	unsigned usable = 0;

	for (unsigned i = 0; i < paths; i++)
		usable += load_path_usable(&path[i]);
	fprintf(stderr, "sandem-load: %.0f s: %llu reads, %llu writes, %u of %u paths, errors %llu,"
		" lost %llu, stale %llu, corrupt %llu, longest gap %.0f ms\n", seconds_of(r),
		(unsigned long long)r->reads, (unsigned long long)r->writes, usable, paths,
		(unsigned long long)r->errors.total, (unsigned long long)r->lost,
		(unsigned long long)r->stale, (unsigned long long)r->corrupt, longest_gap_ms(r));
}

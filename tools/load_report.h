/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a run found out: counters, findings, gaps, and how they are told: JSON lines of
 * --events as things happen, the interim and the final report.
 *
 * Owner: main; filled by the engine on its one thread.
 */
#ifndef TOOLS_LOAD_REPORT_H
#define TOOLS_LOAD_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "load_model.h"
#include "load_opts.h"
#include "load_path.h"
#include "load_stats.h"

#define LOAD_GAP_LISTED_NS 100000000ULL
#define LOAD_GAPS_MAX 256
#define LOAD_FINDINGS_MAX 20
#define LOAD_CHANGES_MAX 512
#define LOAD_EVENTS_MAX 1000

struct load_finding {
	enum load_verdict verdict;
	uint64_t wall_ms, block, lba;
	struct load_read promised;
	uint64_t found_generation, found_lba, found_run;
	uint32_t found_writer;
	uint32_t seam; /* bytes; the block length when the fill is consistent */
	char path[160];
};

struct load_change {
	uint64_t wall_ms;
	char path[160];
	const char *from, *to;
	char reason[200];
};

struct load_report {
	const struct load_opts *o;
	FILE *events;		/* or NULL */
	uint64_t run;
	/* time, ns of CLOCK_MONOTONIC; 0: not yet */
	uint64_t begun, ended;
	double cpu_begun;
	/* main phase */
	uint64_t reads, writes, bytes, unverified;
	struct load_hist read_latency, write_latency;
	struct load_gap gap;
	uint64_t gaps;
	struct { uint64_t wall_ms, ns; } gap_list[LOAD_GAPS_MAX];
	/* both phases */
	struct load_tally retries, errors;
	uint64_t told;		/* events of load_report_error() */
	uint64_t conflicts, lost, stale, corrupt, refused_seen, torn;
	struct load_finding finding[LOAD_FINDINGS_MAX];
	uint64_t findings;
	struct load_change change[LOAD_CHANGES_MAX];
	uint64_t changes;
	/* --verify-at-end */
	uint64_t verify_total, verify_read;
	bool verify_complete;
	/* why the run ended before its time, or "" */
	char fatal[640];
};

/* Opens --events. 0, or -errno with a message on stderr. */
int load_report_init(struct load_report *r, const struct load_opts *o, uint64_t run);
void load_report_fini(struct load_report *r);

/* CLOCK_REALTIME in ms at the time `mono` (ns of CLOCK_MONOTONIC). */
uint64_t load_wall_ms(uint64_t mono);
uint64_t load_now(void);

/* Each writes its event line. */
void load_report_running(struct load_report *r, uint64_t now);
void load_report_change(struct load_report *r, const struct load_path *p, const char *from,
			const char *to);
void load_report_gap(struct load_report *r, uint64_t since, uint64_t ns);
/* `event`: "error", or "conflict" when that was expected; the first LOAD_EVENTS_MAX are told. */
void load_report_error(struct load_report *r, const char *event, const char *what,
		       const char *path, bool write, uint64_t lba);
void load_report_finding(struct load_report *r, const struct load_finding *f);
void load_report_phase(struct load_report *r, const char *phase);

/* True when nothing was wrong. */
bool load_report_clean(const struct load_report *r);

/* The report as a new JSON object; its keys are an interface for scripts. */
json_t *load_report_object(const struct load_report *r, const struct load_path *path,
			   unsigned paths, bool interim);
/* The report on stdout: one JSON line, or text. `interim` marks the JSON. */
void load_report_json(const struct load_report *r, const struct load_path *path, unsigned paths,
		      bool interim);
void load_report_text(const struct load_report *r, const struct load_path *path, unsigned paths);
/* A line on stderr. */
void load_report_progress(const struct load_report *r, const struct load_path *path,
			  unsigned paths);

#endif

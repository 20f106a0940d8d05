/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a path is probed after login (TEST UNIT READY, INQUIRY, VPD page 83h, READ CAPACITY, RTPG)
 * and checked ever after (TEST UNIT READY, RTPG). Here for load_path.c alone, together with
 * what load_check.c needs of it. One command of this kind is in flight on a path at a time.
 */
#ifndef TOOLS_LOAD_CHECK_H
#define TOOLS_LOAD_CHECK_H

#include "load_path.h"

enum load_step {
	LOAD_STEP_TUR,
	LOAD_STEP_INQUIRY,
	LOAD_STEP_VPD83,
	LOAD_STEP_CAPACITY,
	LOAD_STEP_RTPG,
	LOAD_STEP_IDLE,
};

/* Forgets what an earlier login said; the next tick starts the probe. */
void load_check_reset(struct load_path *p);
/* Starts a check when one is due. For paths that are logged in. */
void load_check_tick(struct load_path *p, uint64_t now);

/* Of load_path.c: tells hooks->changed when the state has another name than last time; */
void load_path_tell(struct load_path *p);
/* notes why the path is not usable; */
void load_path_reason(struct load_path *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* and marks the connection for load_path_reap(), the first cause counts. */
void load_path_drop(struct load_path *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif

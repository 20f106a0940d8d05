/* SPDX-License-Identifier: BSD-2-Clause */
#include "load_check.h"

#include <string.h>

#define STEP_RETRIES 32			/* unit attentions in a row that a probe swallows */
#define TRANSITION_POLL_NS 200000000	/* how often a transitioning port is asked */
#define RTPG_EXTENDED 0x20		/* PARAMETER DATA FORMAT 001b, SPC-4 table 297 */

static void step_done(struct load_io *io, const struct load_answer *a);

static const struct {
	const char *what;
	uint8_t cdb[16];
	uint8_t cdb_len;
	uint16_t len;
} steps[] = {
	[LOAD_STEP_TUR] = { "TEST UNIT READY", { 0x00 }, 6, 0 },
	[LOAD_STEP_INQUIRY] = { "INQUIRY", { 0x12, 0, 0, 0, 96 }, 6, 96 },
	[LOAD_STEP_VPD83] = { "INQUIRY, VPD page 83h", { 0x12, 1, 0x83, 0x04, 0x00 }, 6, 1024 },
	[LOAD_STEP_CAPACITY] = { "READ CAPACITY (16)",
		{ 0x9e, 0x10, [13] = 32 }, 16, 32 },
	[LOAD_STEP_RTPG] = { "REPORT TARGET PORT GROUPS",
		{ 0xa3, 0x0a | RTPG_EXTENDED, [8] = LOAD_PATH_BUF >> 8 }, 12, LOAD_PATH_BUF },
};

static void step_start(struct load_path *p, enum load_step step)
{
	uint64_t now = p->check_begun;

	p->step = step;
	if (step == LOAD_STEP_IDLE)
		return;
	memcpy(p->ctl.cdb, steps[step].cdb, sizeof(p->ctl.cdb));
	p->ctl.cdb_len = steps[step].cdb_len;
	p->ctl.len = steps[step].len;
	p->ctl.buf = p->buf;
	p->ctl.done = step_done;
	memset(p->buf, 0, sizeof(p->buf));
	load_path_submit(p, &p->ctl, now);
}

static void foreign(struct load_path *p, const char *what)
{
	p->foreign = true;
	load_path_reason(p, "leads to another logical unit than the first path: %s differs; check"
			 " --portal, --target and --lun", what);
}

static void check_name(struct load_path *p, const struct load_vpd83 *v)
{
	if (p->lu->known && strcmp(p->lu->name, v->lu_name) != 0)
		foreign(p, v->lu_name);
	else if (!p->lu->known)
		memcpy(p->lu->name, v->lu_name, sizeof(v->lu_name));
}

static void take_vpd83(struct load_path *p, const struct load_answer *a)
{
	struct load_vpd83 v;

	if (load_vpd83_parse(p->buf, a->length, &v) != 0) {
		load_path_drop(p, "VPD page 83h is malformed");
		return;
	}
	p->port_group = v.port_group;
	p->relative_port = v.relative_port;
	check_name(p, &v);
}

static void take_capacity(struct load_path *p, const struct load_answer *a)
{
	uint64_t blocks;
	uint32_t size;

	if (load_capacity_parse(p->buf, a->length, &blocks, &size) != 0) {
		load_path_drop(p, "READ CAPACITY (16) data is malformed");
		return;
	}
	if (p->lu->known && p->lu->block_size != size) {
		foreign(p, "the logical block length");
		return;
	}
	p->lu->known = true;
	p->lu->blocks = blocks;
	p->lu->block_size = size;
}

static void take_rtpg(struct load_path *p, const struct load_answer *a)
{
	enum load_tpg_state s;
	bool extended = p->ctl.cdb[1] & RTPG_EXTENDED;

	if (load_rtpg_parse(p->buf, a->length, extended, p->port_group, &s) != 0) {
		load_path_reason(p, "REPORT TARGET PORT GROUPS does not list target port group %d",
		       p->port_group);
		s = LOAD_TPG_UNKNOWN;
	}
	/* A port that just said by a sense code that it takes no I/O isn't believed otherwise. */
	if (load_tpg_rank(s) > 0 && p->tur_state != LOAD_TPG_UNKNOWN &&
	    load_tpg_rank(p->tur_state) == 0)
		s = p->tur_state;
	p->state = s;
}

static void take_inquiry(struct load_path *p, const struct load_answer *a)
{
	if (a->length < 6 || (p->buf[0] & 0xe0)) {
		load_path_reason(p, "no logical unit %u there (peripheral qualifier %u)", p->o->lun,
		       p->buf[0] >> 5);
		p->foreign = true;
		return;
	}
	p->foreign = false;
	p->alua = p->buf[5] & 0x30; /* TPGS, SPC-4 table 142 */
}

/* What TEST UNIT READY's answer means for a path; used as it is when there is no ALUA. */
static enum load_tpg_state state_from_tur(const struct load_answer *a)
{
	switch (load_act_for(a->status, &a->sense)) {
	case LOAD_ACT_DONE:
	case LOAD_ACT_RETRY:
	case LOAD_ACT_RTPG:
	case LOAD_ACT_WAIT:
	case LOAD_ACT_CONFLICT:
		return LOAD_TPG_OPTIMIZED;
	case LOAD_ACT_TRANSITION:
		return LOAD_TPG_TRANSITIONING;
	case LOAD_ACT_FAIL_PATH:
		return a->sense.ascq == 0x0b ? LOAD_TPG_STANDBY : LOAD_TPG_UNAVAILABLE;
	case LOAD_ACT_ABORTED:
	case LOAD_ACT_REFUSE:
	case LOAD_ACT_ERROR:
		return LOAD_TPG_UNAVAILABLE;
	}
	return LOAD_TPG_UNAVAILABLE;
}

static void check_over(struct load_path *p)
{
	bool full = p->tur_state != LOAD_TPG_UNKNOWN; /* not only RTPG on demand */

	p->step = LOAD_STEP_IDLE;
	p->probed = p->lu->known && !p->foreign;
	if (!p->alua && full)
		p->state = p->tur_state;
	if (full && p->check_begun > p->failed_at)
		p->failed = false;
	if (load_path_usable(p))
		p->reason[0] = '\0';
	else if (p->tur_state != LOAD_TPG_UNKNOWN && !p->foreign)
		load_path_reason(p, "the port is %s", load_tpg_state_str(p->state));
	load_path_tell(p);
}

static enum load_step step_after(const struct load_path *p)
{
	switch ((enum load_step)p->step) {
	case LOAD_STEP_TUR:
		return !p->probed ? LOAD_STEP_INQUIRY : p->alua ? LOAD_STEP_RTPG : LOAD_STEP_IDLE;
	case LOAD_STEP_INQUIRY: return p->foreign ? LOAD_STEP_IDLE : LOAD_STEP_VPD83;
	case LOAD_STEP_VPD83: return p->foreign ? LOAD_STEP_IDLE : LOAD_STEP_CAPACITY;
	case LOAD_STEP_CAPACITY:
		return p->foreign || !p->alua ? LOAD_STEP_IDLE : LOAD_STEP_RTPG;
	case LOAD_STEP_RTPG:
	case LOAD_STEP_IDLE: return LOAD_STEP_IDLE;
	}
	return LOAD_STEP_IDLE;
}

static void step_take(struct load_path *p, const struct load_answer *a)
{
	switch ((enum load_step)p->step) {
	case LOAD_STEP_TUR: p->tur_state = state_from_tur(a); break;
	case LOAD_STEP_INQUIRY: take_inquiry(p, a); break;
	case LOAD_STEP_VPD83: take_vpd83(p, a); break;
	case LOAD_STEP_CAPACITY: take_capacity(p, a); break;
	case LOAD_STEP_RTPG: take_rtpg(p, a); break;
	case LOAD_STEP_IDLE: break;
	}
}

/* An old target knows no extended header: ask again without, as scsi_dh_alua does. */
static bool step_fallback(struct load_path *p, const struct load_answer *a)
{
	if (p->step != LOAD_STEP_RTPG || a->status != 2 || a->sense.key != 5 ||
	    !(p->ctl.cdb[1] & RTPG_EXTENDED))
		return false;
	p->ctl.cdb[1] &= (uint8_t)~RTPG_EXTENDED;
	load_path_submit(p, &p->ctl, p->check_begun);
	return true;
}

static void step_failed(struct load_path *p, const struct load_answer *a)
{
	load_path_reason(p, "%s failed: status %02xh, sense %02X/%02X/%02X", steps[p->step].what,
			 a->status, a->sense.key, a->sense.asc, a->sense.ascq);
	p->state = p->step == LOAD_STEP_RTPG ? LOAD_TPG_UNKNOWN : p->state;
	p->step = LOAD_STEP_IDLE;
	load_path_tell(p);
}

static void step_done(struct load_io *io, const struct load_answer *a)
{
	struct load_path *p = io->path;
	bool again = false;

	if (a->lost) {
		p->step = LOAD_STEP_IDLE;
		return;
	}
	switch (load_act_for(a->status, &a->sense)) {
	case LOAD_ACT_RETRY:
	case LOAD_ACT_RTPG:
	case LOAD_ACT_ABORTED:
		again = p->step_retries++ < STEP_RETRIES;
		break;
	case LOAD_ACT_DONE:
	case LOAD_ACT_WAIT:
	case LOAD_ACT_TRANSITION:
	case LOAD_ACT_FAIL_PATH:
	case LOAD_ACT_CONFLICT:
	case LOAD_ACT_REFUSE:
	case LOAD_ACT_ERROR:
		break;
	}
	if (again) {
		load_path_submit(p, &p->ctl, p->check_begun);
	} else if (a->status != 0 && p->step != LOAD_STEP_TUR) {
		if (!step_fallback(p, a))
			step_failed(p, a);
	} else {
		step_take(p, a);
		if (step_after(p) == LOAD_STEP_IDLE)
			check_over(p);
		else
			step_start(p, step_after(p));
	}
}

static void check_start(struct load_path *p, enum load_step step, uint64_t now)
{
	p->check_begun = now;
	p->step_retries = 0;
	p->ask = false;
	p->tur_state = step == LOAD_STEP_TUR ? LOAD_TPG_OPTIMIZED : LOAD_TPG_UNKNOWN;
	step_start(p, step);
}

void load_check_tick(struct load_path *p, uint64_t now)
{
	uint64_t due = p->check_next;

	if (p->step != LOAD_STEP_IDLE)
		return;
	if (p->state == LOAD_TPG_TRANSITIONING && p->check_begun + TRANSITION_POLL_NS < due)
		due = p->check_begun + TRANSITION_POLL_NS;
	if (now >= due) {
		p->check_next = now + p->o->check_interval_ns;
		check_start(p, LOAD_STEP_TUR, now);
	} else if (p->ask && p->alua && p->probed) {
		check_start(p, LOAD_STEP_RTPG, now);
	}
}

void load_check_reset(struct load_path *p)
{
	p->probed = p->failed = p->foreign = false;
	p->state = LOAD_TPG_UNKNOWN;
	p->check_begun = p->check_next = 0;
}

void load_path_fail(struct load_path *p, uint64_t now, const char *why)
{
	if (!p->failed) {
		p->failures++;
		load_path_reason(p, "%s", why);
	}
	p->failed = true;
	p->failed_at = now;
	p->check_next = now + p->o->check_interval_ns; /* the pace of failing and reinstating */
	p->ask = true;
	load_path_tell(p);
}

void load_path_transition(struct load_path *p)
{
	p->state = LOAD_TPG_TRANSITIONING;
	p->ask = true;
	load_path_reason(p, "the port is transitioning");
	load_path_tell(p);
}

void load_path_ask(struct load_path *p)
{
	p->ask = true;
}

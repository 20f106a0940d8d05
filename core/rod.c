/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/rod.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/core.h"
#include "core/extended_copy.h"
#include "core/lu.h"
#include "core/reactor.h"
#include "core/wire.h"

#define TOMBSTONES 1024 /* of tokens that have ended: for telling why */
#define SWEEP_NS 5000000000ull
#define NS_PER_S 1000000000ull

/* Places in a token (SPC-4 table 112). */
enum { AT_LENGTH = 6, AT_ID = 8, AT_CREATOR = 16, AT_BYTES = 48, AT_DEVICE = 96, AT_RANDOM = 256 };

struct rods { /* core->rods; control thread, but for the timer */
	struct core *core;
	struct rod *rod[ROD_TOKENS_MAX];
	struct { /* a ring */
		uint64_t id;
		sense_t why;
	} tomb[TOMBSTONES];
	uint32_t ntombs;
	uint32_t boot, count; /* identifiers: random per start, then counted */
	struct msg msg;	      /* between the control thread and reactor 0 */
	struct reactor_timer timer;
	uint64_t now; /* ns, when the timer fired */
	bool sweeping;
};

/* ---- the end of a token ---------------------------------------------------------------------- */

/* Nobody uses it. */
static void bury(struct rods *rods, struct rod **place, sense_t why)
{
	struct rod *rod = *place;

	rods->tomb[rods->ntombs % TOMBSTONES].id = get_be64(rod->token + AT_ID);
	rods->tomb[rods->ntombs++ % TOMBSTONES].why = why;
	*place = NULL;
	range_watch_end(rod->watch);
	free(rod);
}

/* A closed gate is not the end: the token may be good again when the same owner goes on. */
static sense_t why_ended(const struct rod *rod, uint64_t now)
{
	if (range_watch_hit(rod->watch) || lu_read(rod->lu, gate)->epoch != rod->epoch)
		return SENSE_TOKEN_CANCELLED;
	if (!rod->users && now > rod->last_use + rod->timeout_s * NS_PER_S)
		return SENSE_TOKEN_EXPIRED;
	return SENSE_NONE;
}

static uint32_t bury_ended(struct rods *rods, uint64_t now)
{
	uint32_t left = 0;

	for (int i = 0; i < ROD_TOKENS_MAX; i++) {
		sense_t why;

		if (!rods->rod[i])
			continue;
		why = rods->rod[i]->users ? SENSE_NONE : why_ended(rods->rod[i], now);
		if (why != SENSE_NONE)
			bury(rods, &rods->rod[i], why);
		else
			left++;
	}
	return left;
}

bool rod_is_valid(const struct rod *rod)
{
	return !range_watch_hit(rod->watch) && lu_read(rod->lu, gate)->epoch == rod->epoch;
}

/* ---- from time to time, so that nothing is watched in vain --------------------------------- */

static void sweep_arm(struct msg *m);

static void sweep(struct msg *m)
{
	struct rods *rods = caa_container_of(m, struct rods, msg);

	if (!bury_ended(rods, rods->now)) {
		rods->sweeping = false;
		return;
	}
	rods->msg.fn = sweep_arm;
	reactor_post(&rods->core->reactor[0], &rods->msg);
}

static void sweep_due(struct reactor_timer *t)
{
	struct rods *rods = caa_container_of(t, struct rods, timer);

	rods->now = rods->core->reactor[0].now;
	rods->msg.fn = sweep;
	core_post_control(rods->core, &rods->msg);
}

static void sweep_arm(struct msg *m)
{
	struct rods *rods = caa_container_of(m, struct rods, msg);

	rods->timer.fn = sweep_due;
	reactor_timer_arm(&rods->core->reactor[0], &rods->timer, SWEEP_NS);
}

static void sweep_start(struct rods *rods)
{
	if (rods->sweeping)
		return;
	rods->sweeping = true;
	rods->msg.fn = sweep_arm;
	reactor_post(&rods->core->reactor[0], &rods->msg);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void home(struct msg *m)
{
	struct rod_query *q = caa_container_of(m, struct rod_query, msg);

	q->done(q);
}

static void answer(struct rod_query *q, struct rod *rod, sense_t error)
{
	q->rod = rod;
	q->error = error;
	q->msg.fn = home;
	reactor_post(q->reactor, &q->msg);
}

static void ask(struct rod_query *q, void (*fn)(struct msg *m))
{
	q->now = q->reactor->now;
	q->msg.fn = fn;
	core_post_control(q->core, &q->msg);
}

/* ---- making one ------------------------------------------------------------------------------ */

/* NULL: no memory, or no randomness. */
static struct rods *rods_of(struct core *core)
{
	struct rods *rods = core->rods;

	if (rods)
		return rods;
	rods = calloc(1, sizeof(*rods));
	if (rods && getrandom(&rods->boot, sizeof(rods->boot), 0) != sizeof(rods->boot)) {
		free(rods);
		return NULL;
	}
	if (rods)
		rods->core = core;
	return core->rods = rods;
}

/* A subset of READ CAPACITY (16) data, from its byte 8. */
static void put_device_data(uint8_t *p, const struct lu *lu)
{
	put_be32(p, lu->block_size);
	p[5] = lu->lb_per_pb_exp;
	p[6] = lu->thin ? 0xc0 : 0; /* LBPME, LBPRZ */
}

/* False: no randomness. The second half is nothing but that (SPC-4 5.17.6.5.1). */
static bool make_token(struct rods *rods, struct rod *rod)
{
	const struct lu *lu = rod->lu;
	uint8_t *t = rod->token;

	memset(t, 0, ROD_TOKEN_LEN);
	put_be32(t, rod->type);
	put_be16(t + AT_LENGTH, ROD_TOKEN_LENGTH);
	put_be32(t + AT_ID, rods->boot);
	put_be32(t + AT_ID + 4, ++rods->count);
	t[AT_CREATOR] = COPY_TARGET_IDENTIFICATION;
	t[AT_CREATOR + 4] = 1; /* binary */
	t[AT_CREATOR + 5] = 3; /* NAA */
	t[AT_CREATOR + 7] = lu->id.naa_len;
	memcpy(t + AT_CREATOR + 8, lu->id.naa, lu->id.naa_len);
	put_be24(t + AT_CREATOR + 29, lu->block_size);
	put_be64(t + AT_BYTES + 8, rod->bytes);
	put_device_data(t + AT_DEVICE, lu);
	return getrandom(t + AT_RANDOM, ROD_TOKEN_LEN - AT_RANDOM, 0) == ROD_TOKEN_LEN - AT_RANDOM;
}

static struct rod **free_place(struct rods *rods)
{
	for (int i = 0; i < ROD_TOKENS_MAX; i++)
		if (!rods->rod[i])
			return &rods->rod[i];
	return NULL;
}

static void armed(void *arg)
{
	struct rod_query *q = arg;

	sweep_start(q->rod->rods);
	answer(q, q->rod, SENSE_NONE);
}

static void created(struct msg *m)
{
	struct rod_query *q = caa_container_of(m, struct rod_query, msg);
	struct rods *rods = rods_of(q->core);
	struct rod *rod = q->rod, **place;

	if (rods)
		bury_ended(rods, q->now);
	place = rods ? free_place(rods) : NULL;
	rod->rods = rods;
	if (place && make_token(rods, rod))
		rod->watch = range_watch_start(rod->lu, rod->range, rod->nranges, armed, q);
	if (!rod->watch) {
		free(rod);
		answer(q, NULL, SENSE_ROD_RESOURCES);
		return;
	}
	rod->users = 1;
	rod->last_use = q->now;
	*place = rod;
}

void rod_create(struct rod_query *q)
{
	q->rod->watch = NULL;
	q->rod->deleted = false;
	ask(q, created);
}

/* ---- using one ------------------------------------------------------------------------------- */

static sense_t tombstone(const struct rods *rods, uint64_t id)
{
	for (uint32_t i = 0; i < TOMBSTONES && i < rods->ntombs; i++)
		if (rods->tomb[i].id == id)
			return rods->tomb[i].why;
	return SENSE_TOKEN_UNKNOWN;
}

static struct rod **find(struct rods *rods, uint64_t id)
{
	for (int i = 0; i < ROD_TOKENS_MAX; i++)
		if (rods->rod[i] && get_be64(rods->rod[i]->token + AT_ID) == id)
			return &rods->rod[i];
	return NULL;
}

static void looked_up(struct msg *m)
{
	struct rod_query *q = caa_container_of(m, struct rod_query, msg);
	struct rods *rods = q->core->rods;
	uint64_t id = get_be64(q->token + AT_ID);
	struct rod **place = rods ? find(rods, id) : NULL;
	sense_t why;

	if (!place) {
		answer(q, NULL, rods ? tombstone(rods, id) : SENSE_TOKEN_UNKNOWN);
		return;
	}
	if (memcmp((*place)->token, q->token, ROD_TOKEN_LEN)) {
		answer(q, NULL, SENSE_TOKEN_CORRUPT);
		return;
	}
	why = why_ended(*place, q->now);
	if (why != SENSE_NONE) {
		if (!(*place)->users)
			bury(rods, place, why);
		answer(q, NULL, why);
		return;
	}
	(*place)->users++;
	answer(q, *place, SENSE_NONE);
}

void rod_get(struct rod_query *q)
{
	ask(q, looked_up);
}

static void put(struct msg *m)
{
	struct rod_query *q = caa_container_of(m, struct rod_query, msg);
	struct rod *rod = q->rod;
	struct rods *rods = rod->rods;

	rod->users--;
	rod->last_use = q->now;
	if (q->deletes)
		rod->deleted = true;
	if (rod->deleted && !rod->users)
		bury(rods, find(rods, get_be64(rod->token + AT_ID)), SENSE_TOKEN_DELETED);
	answer(q, NULL, SENSE_NONE);
}

void rod_put(struct rod_query *q)
{
	ask(q, put);
}

void rods_free(struct core *core)
{
	for (int i = 0; core->rods && i < ROD_TOKENS_MAX; i++) {
		if (!core->rods->rod[i])
			continue;
		range_watch_free(core->rods->rod[i]->watch);
		free(core->rods->rod[i]);
	}
	free(core->rods);
	core->rods = NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/model.h"

#include <string.h>

#include "core/sense.h"

static uint16_t everybody(const struct lu_model *m)
{
	return (1u << m->pr.nexuses) - 1;
}

static uint16_t others(const struct lu_model *m, unsigned from)
{
	return everybody(m) & ~(1u << from);
}

static uint16_t bits(const struct lu_model *m, const bool *of)
{
	uint16_t b = 0;

	for (unsigned i = 0; i < m->pr.nexuses; i++)
		b |= (unsigned)of[i] << i;
	return b;
}

static uint8_t pr_out(struct lu_model *m, const struct model_op *c)
{
	uint8_t status = pr_model_apply(&m->pr, &c->pr);

	if (status == STATUS_GOOD) {
		m->told[TELL_PREEMPTED] = bits(m, m->pr.told_preempted);
		m->told[TELL_RELEASED] = bits(m, m->pr.told_released);
	}
	return status;
}

/* SPC-4 6.11: all other nexuses hear of it when a parameter has become another one; SP saves all that are current. */
static void mode_select(struct lu_model *m, const struct model_op *c)
{
	for (unsigned f = 0; f < MODE_FIELDS; f++) {
		if (!(c->mode.mask & 1u << f))
			continue;
		if (m->mode[f] != c->mode.value[f])
			m->told[TELL_MODE] = others(m, c->from);
		m->mode[f] = c->mode.value[f];
	}
	if (c->save)
		memcpy(m->saved, m->mode, sizeof(m->saved));
}

static void capacity(struct lu_model *m, const struct model_op *c)
{
	if (m->blocks && m->blocks != c->blocks)
		m->told[TELL_CAPACITY] = everybody(m);
	m->blocks = c->blocks;
}

static void log_reset(struct lu_model *m, const struct model_op *c)
{
	for (unsigned i = 0; i < LOG_RESETS; i++)
		m->log_resets[i] += c->log_pages >> i & 1;
	m->told[TELL_LOG] = others(m, c->from);
}

void lu_model_init(struct lu_model *m, unsigned initiators, unsigned ports)
{
	*m = (struct lu_model){ .pr = { .nexuses = initiators * ports, .ports = ports, .holder = PR_MODEL_NOBODY } };
	m->mode[MODE_WCE] = m->saved[MODE_WCE] = 1;
}

uint8_t lu_model_apply(struct lu_model *m, const struct model_op *c)
{
	memset(m->told, 0, sizeof(m->told));
	switch (c->kind) {
	case MODEL_PR_OUT:
		return pr_out(m, c);
	case MODEL_RESERVE:
		return pr_model_spc2_reserve(&m->pr, c->from);
	case MODEL_RELEASE:
		return pr_model_spc2_release(&m->pr, c->from);
	case MODEL_UNRESERVE:
		m->pr.reserved_by = 0;
		break;
	case MODEL_NEXUS_LOST:
		if (m->pr.reserved_by == c->from + 1)
			m->pr.reserved_by = 0;
		break;
	case MODEL_MODE_SELECT:
		mode_select(m, c);
		break;
	case MODEL_MODE_RESET:
		memcpy(m->mode, m->saved, sizeof(m->mode));
		break;
	case MODEL_CLOCK:
		m->clock_set = true;
		m->clock = c->clock;
		m->told[TELL_CLOCK] = others(m, c->from);
		break;
	case MODEL_LOG:
		log_reset(m, c);
		break;
	case MODEL_CAPACITY:
		capacity(m, c);
		break;
	case MODEL_LUN_RESET:
		m->told[TELL_RESET] = everybody(m);
		break;
	case MODEL_CLEAR_TASK_SET: /* who hears of it depends on whose commands there were: load_tmf.c */
		break;
	}
	return STATUS_GOOD;
}

bool lu_model_may(const struct lu_model *m, unsigned i, bool write)
{
	return pr_model_may(&m->pr, i, write) && !(write && m->mode[MODE_SWP]);
}

void lu_model_power_loss(struct lu_model *m)
{
	pr_model_power_loss(&m->pr);
	memcpy(m->mode, m->saved, sizeof(m->mode));
	m->clock_set = false;
	m->clock = 0;
	memset(m->log_resets, 0, sizeof(m->log_resets));
}

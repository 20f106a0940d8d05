/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_pr_model.h"

#include <string.h>

#include "core/sense.h"
#include "pr-sync/pr.h"

static bool all_registrants(unsigned type)
{
	return type == 7 || type == 8;
}

static bool valid_type(unsigned t)
{
	return t == 1 || t == 3 || t == 5 || t == 6 || t == 7 || t == 8;
}

bool pr_model_holds(const struct pr_model *m, unsigned i)
{
	return m->type && m->key[i] && (all_registrants(m->type) || m->holder == (int)i);
}

static bool anybody(const struct pr_model *m)
{
	for (unsigned i = 0; i < m->nexuses; i++)
		if (m->key[i])
			return true;
	return false;
}

static void model_drop(struct pr_model *m, unsigned i)
{
	m->key[i] = 0;
	if (m->holder == (int)i || !anybody(m)) {
		m->type = 0;
		m->holder = PR_MODEL_NOBODY;
	}
}

static bool concerns(const struct pr_model *m, const struct pr_model_op *c, unsigned i, unsigned initiator)
{
	return i / m->ports == initiator && (c->all_tg_pt || i % m->ports == c->from % m->ports);
}

/* SPEC_I_PT: those that are not registered yet. */
static void model_register_named(struct pr_model *m, const struct pr_model_op *c)
{
	for (unsigned i = 0; i < m->nexuses; i++)
		for (unsigned p = 0; p < m->nexuses / m->ports; p++)
			if ((c->ports & 1u << p) && concerns(m, c, i, p) && !m->key[i])
				m->key[i] = c->sa_key;
}

static uint8_t model_register(struct pr_model *m, const struct pr_model_op *c)
{
	uint64_t mine = m->key[c->from];
	unsigned type = m->type;
	bool ignore = c->action == PR_REGISTER_AND_IGNORE;

	if (!ignore && c->key != mine)
		return STATUS_RESERVATION_CONFLICT;
	if (mine && c->ports && !ignore)
		return STATUS_CHECK_CONDITION;
	if (!mine && !c->sa_key)
		return STATUS_GOOD;
	for (unsigned i = 0; i < m->nexuses; i++) {
		if (!concerns(m, c, i, c->from / m->ports))
			continue;
		if (c->sa_key)
			m->key[i] = c->sa_key;
		else if (ignore || m->key[i] == mine)
			model_drop(m, i);
	}
	if (type && !m->type && (type == 5 || type == 6))
		for (unsigned i = 0; i < m->nexuses; i++)
			m->told_released[i] = m->key[i];
	if (c->sa_key)
		model_register_named(m, c);
	m->generation++;
	return STATUS_GOOD;
}

static uint8_t model_reserve(struct pr_model *m, const struct pr_model_op *c)
{
	if (!valid_type(c->type))
		return STATUS_CHECK_CONDITION;
	if (m->type)
		return pr_model_holds(m, c->from) && m->type == c->type ? STATUS_GOOD : STATUS_RESERVATION_CONFLICT;
	m->type = c->type;
	m->holder = all_registrants(c->type) ? PR_MODEL_NOBODY : (int)c->from;
	return STATUS_GOOD;
}

static uint8_t model_release(struct pr_model *m, const struct pr_model_op *c)
{
	if (!pr_model_holds(m, c->from))
		return STATUS_GOOD;
	if (c->type != m->type)
		return STATUS_CHECK_CONDITION;
	for (unsigned i = 0; i < m->nexuses; i++)
		m->told_released[i] = m->key[i] && i != c->from && m->type >= 5;
	m->type = 0;
	m->holder = PR_MODEL_NOBODY;
	return STATUS_GOOD;
}

static uint8_t model_clear(struct pr_model *m, const struct pr_model_op *c)
{
	for (unsigned i = 0; i < m->nexuses; i++) {
		m->told_preempted[i] = m->key[i] && i != c->from;
		m->key[i] = 0;
	}
	m->type = 0;
	m->holder = PR_MODEL_NOBODY;
	m->generation++;
	return STATUS_GOOD;
}

static uint8_t model_preempt(struct pr_model *m, const struct pr_model_op *c)
{
	bool reservation = m->type && (all_registrants(m->type) ? c->sa_key == 0 :
								  m->key[m->holder] == c->sa_key);
	unsigned old = m->type;
	bool found = false;

	if (c->sa_key == 0 && !reservation)
		return STATUS_CHECK_CONDITION;
	if (reservation && !valid_type(c->type))
		return STATUS_CHECK_CONDITION;
	for (unsigned i = 0; i < m->nexuses; i++)
		found |= m->key[i] == c->sa_key;
	if (!reservation && !found)
		return STATUS_RESERVATION_CONFLICT;
	for (unsigned i = 0; i < m->nexuses; i++) {
		if (!m->key[i] || (c->sa_key && m->key[i] != c->sa_key) || (reservation && i == c->from))
			continue;
		m->told_preempted[i] = i != c->from;
		model_drop(m, i);
	}
	if (reservation) {
		m->type = c->type;
		m->holder = all_registrants(c->type) ? PR_MODEL_NOBODY : (int)c->from;
		for (unsigned i = 0; i < m->nexuses; i++)
			m->told_released[i] = old != c->type && m->key[i] && i != c->from;
	}
	m->generation++;
	return STATUS_GOOD;
}

static uint8_t model_move(struct pr_model *m, const struct pr_model_op *c)
{
	if (!m->type)
		return STATUS_CHECK_CONDITION;
	if (all_registrants(m->type) || m->holder != (int)c->from)
		return STATUS_RESERVATION_CONFLICT;
	if (!c->sa_key || c->move_to / m->ports == c->from / m->ports)
		return STATUS_CHECK_CONDITION;
	m->key[c->move_to] = c->sa_key;
	m->holder = c->move_to;
	if (c->unreg)
		m->key[c->from] = 0;
	m->generation++;
	return STATUS_GOOD;
}

static uint8_t apply(struct pr_model *m, const struct pr_model_op *c)
{
	if (c->action == PR_REGISTER || c->action == PR_REGISTER_AND_IGNORE)
		return model_register(m, c);
	if (!m->key[c->from] || m->key[c->from] != c->key)
		return STATUS_RESERVATION_CONFLICT;
	if (c->action == PR_RESERVE)
		return model_reserve(m, c);
	if (c->action == PR_RELEASE)
		return model_release(m, c);
	if (c->action == PR_CLEAR)
		return model_clear(m, c);
	if (c->action == PR_REGISTER_AND_MOVE)
		return model_move(m, c);
	return model_preempt(m, c);
}

static bool is_done_already(const struct pr_model *m, const struct pr_model_op *c)
{
	switch (c->action) {
	case PR_REGISTER:
	case PR_REGISTER_AND_IGNORE:
		return m->key[c->from] == c->sa_key;
	case PR_CLEAR:
		return !anybody(m);
	case PR_PREEMPT:
	case PR_PREEMPT_AND_ABORT:
		for (unsigned i = 0; i < m->nexuses; i++)
			if (m->key[i] == c->sa_key)
				return false;
		return m->key[c->from] ? m->key[c->from] == c->key : c->key == c->sa_key;
	case PR_REGISTER_AND_MOVE:
		return m->type && m->holder == (int)c->move_to && m->key[c->move_to] == c->sa_key;
	}
	return false;
}

uint8_t pr_model_apply(struct pr_model *m, const struct pr_model_op *c)
{
	bool registers = c->action == PR_REGISTER_AND_MOVE ||
			 ((c->action == PR_REGISTER || c->action == PR_REGISTER_AND_IGNORE) && (m->key[c->from] || c->sa_key));
	uint8_t status;

	memset(m->told_preempted, 0, sizeof(m->told_preempted));
	memset(m->told_released, 0, sizeof(m->told_released));
	if (m->reserved_by) /* SPC-2 5.5.1: whoever it comes from */
		return STATUS_RESERVATION_CONFLICT;
	status = apply(m, c);

	if (status == STATUS_GOOD && registers)
		m->aptpl = c->aptpl;
	if (status == STATUS_RESERVATION_CONFLICT && c->repeated && is_done_already(m, c))
		return STATUS_GOOD;
	return status;
}

/* SPC-4 5.13.3: with registrants there is no other kind of reservation. */
static uint8_t under_registrants(const struct pr_model *m, unsigned i)
{
	return m->type && m->key[i] && (m->type >= 5 || m->holder == (int)i) ? STATUS_GOOD : STATUS_RESERVATION_CONFLICT;
}

uint8_t pr_model_spc2_reserve(struct pr_model *m, unsigned i)
{
	if (anybody(m))
		return under_registrants(m, i);
	if (m->reserved_by && m->reserved_by != i + 1)
		return STATUS_RESERVATION_CONFLICT;
	m->reserved_by = i + 1;
	return STATUS_GOOD;
}

uint8_t pr_model_spc2_release(struct pr_model *m, unsigned i)
{
	if (anybody(m))
		return under_registrants(m, i);
	if (m->reserved_by == i + 1)
		m->reserved_by = 0;
	return STATUS_GOOD;
}

bool pr_model_may(const struct pr_model *m, unsigned i, bool write)
{
	if (m->reserved_by && m->reserved_by != i + 1)
		return false;
	switch (m->type) {
	case 1:
		return !write || pr_model_holds(m, i);
	case 3:
		return pr_model_holds(m, i);
	case 5:
	case 7:
		return !write || m->key[i];
	case 6:
	case 8:
		return m->key[i];
	}
	return true;
}

void pr_model_power_loss(struct pr_model *m)
{
	struct pr_model kept = { .nexuses = m->nexuses, .ports = m->ports, .holder = PR_MODEL_NOBODY };

	if (m->aptpl) {
		kept = *m;
		kept.generation = 0;
		kept.reserved_by = 0;
	}
	*m = kept;
}

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

static uint8_t model_register(struct pr_model *m, const struct pr_model_op *c)
{
	uint64_t mine = m->key[c->from];
	unsigned type = m->type;
	bool ignore = c->action == PR_REGISTER_AND_IGNORE;

	if (!ignore && c->key != mine)
		return STATUS_RESERVATION_CONFLICT;
	if (!mine && !c->sa_key)
		return STATUS_GOOD;
	for (unsigned i = 0; i < m->nexuses; i++) {
		bool concerned = i == c->from || (c->all_tg_pt && i / m->ports == c->from / m->ports);

		if (!concerned)
			continue;
		if (c->sa_key)
			m->key[i] = c->sa_key;
		else if (ignore || m->key[i] == mine)
			model_drop(m, i);
	}
	if (type && !m->type && (type == 5 || type == 6))
		for (unsigned i = 0; i < m->nexuses; i++)
			m->told_released[i] = m->key[i];
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

static uint8_t apply(struct pr_model *m, const struct pr_model_op *c)
{
	memset(m->told_preempted, 0, sizeof(m->told_preempted));
	memset(m->told_released, 0, sizeof(m->told_released));
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
	}
	return false;
}

uint8_t pr_model_apply(struct pr_model *m, const struct pr_model_op *c)
{
	bool registers = (c->action == PR_REGISTER || c->action == PR_REGISTER_AND_IGNORE) && (m->key[c->from] || c->sa_key);
	uint8_t status = apply(m, c);

	if (status == STATUS_GOOD && registers)
		m->aptpl = c->aptpl;
	if (status == STATUS_RESERVATION_CONFLICT && c->repeated && is_done_already(m, c))
		return STATUS_GOOD;
	return status;
}

bool pr_model_may(const struct pr_model *m, unsigned i, bool write)
{
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
	}
	*m = kept;
}

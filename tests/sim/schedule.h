/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens around the nodes: schedule.c, finish.c, crm.c, upgrade.c, admin.c, scale.c. */
#ifndef SANDEM_TESTS_SIM_SCHEDULE_H
#define SANDEM_TESTS_SIM_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster/replog.h"
#include "core/service.h"
#include "tests/sim/limits.h"

struct sim;
struct node;

/* schedule.c */
void schedule_act(struct sim *s); /* one thing happens, by chance */
bool schedule_may_fault(const struct sim *s);
void schedule_stop(struct sim *s, struct node *n); /* as a cluster manager does it, where nothing speaks against it */
void schedule_start(struct sim *s, struct node *n);
void schedule_crash(struct sim *s, struct node *n, enum replog_gone_reason reason);
void schedule_fence_somebody(struct sim *s);
void schedule_end_partition(struct sim *s);
unsigned schedule_serving(const struct sim *s); /* how many nodes do */

/* finish.c */
void finish(struct sim *s);

/* crm.c */
void crm_act(struct sim *s);
void crm_settle(struct sim *s);
void crm_monitor(struct sim *s);
void crm_fence(struct sim *s, uint32_t node);
void crm_flush_news(struct sim *s, uint32_t about);
void crm_node_gone(struct sim *s, uint32_t node);
bool crm_settled(struct sim *s);

/* upgrade.c */
void upgrade_init(struct sim *s);
/* Before n starts: with which program? */
void upgrade_choose(struct node *n);
void upgrade_act(struct sim *s, struct node *n);
/* n's daemon did not start: true where that is what it has to do. */
bool upgrade_refused(struct node *n, const char *why);
void upgrade_started(struct node *n);
bool upgrade_undecided(const struct sim *s); /* nothing is acknowledged in the newer version yet: it may be gone back on */
/* A start from the stores waits only for who is in the group. */
bool upgrade_old_rules(const struct sim *s);
bool upgrade_shut_out(const struct node *n); /* for its program, n is not taken in */
void upgrade_together(struct sim *s); /* nodes have come into one group */
void upgrade_acknowledged(const struct node *n);
void upgrade_check(struct sim *s);
void upgrade_check_end(struct sim *s);
/* A node that is to be stopped, so that a newer program is started on it; 0: none. */
uint32_t upgrade_due(struct sim *s, bool patience);

/* admin.c */
void admin_act(struct sim *s);
bool admin_step(struct node *n);
bool admin_settled(const struct node *n);
void admin_run(struct node *n, struct effects_run *run);
void admin_start(struct node *n); /* its store has been loaded */
void admin_publish(struct node *n);
bool admin_settle(struct node *n); /* what is waited for of it is answered */
void admin_check(struct sim *s);

/* scale.c */
bool scale(struct sim *s, unsigned registrants);

#endif

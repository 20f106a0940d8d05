/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/explicit.h"

#include <errno.h>
#include <poll.h>
#include <qb/qbutil.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alua/stpg.h"
#include "core/abort.h"
#include "core/cmd.h"
#include "core/log.h"
#include "core/nexus.h"
#include "daemon/config/config.h"
#include "daemon/daemon.h"

struct asker { /* a command that waits for the outcome */
	struct cds_list_head link;
	struct scsi_cmd *cmd;
};

struct explicit_move {
	struct ownership *o;
	uint32_t node; /* that is to own the group */
	struct cds_list_head askers; /* none: they have been answered, the program is still at it */
	pid_t pid; /* of the program; 0: it has ended */
	int pidfd;
	qb_loop_timer_handle timer;
	bool timer_armed;
	bool confirming; /* the node is active; do all members know? */
};

extern char **environ;

/* ---- predicates ----------------------------------------------------------------------------------------- */

static const struct group *group_of(const struct ownership *o)
{
	return alua_service_group(o->d->alua, o->group);
}

static bool arrived(const struct explicit_move *m)
{
	const struct group *g = group_of(m->o);

	return g->phase == GROUP_ACTIVE && g->owner == m->node && !g->lost;
}

static bool can_arrive(const struct explicit_move *m)
{
	return !m->o->d->stopping && cluster_state(m->o->d->cluster) == CLUSTER_SERVING;
}

/* ---- the end -------------------------------------------------------------------------------------------- */

static void free_if_done(struct explicit_move *m)
{
	if (m->pid || m->confirming || !cds_list_empty(&m->askers))
		return;
	if (m->timer_armed)
		qb_loop_timer_del(m->o->d->loop, m->timer);
	m->o->move = NULL;
	free(m);
}

static void answer(struct explicit_move *m, bool ok)
{
	struct asker *a, *next;

	cds_list_for_each_entry_safe(a, next, &m->askers, link) {
		cds_list_del(&a->link);
		if (ok)
			cmd_good(a->cmd, 0);
		else
			cmd_sense(a->cmd, SENSE_STPG_FAILED);
		free(a);
	}
}

static void let_go(struct explicit_move *m)
{
	struct asker *a, *next;

	cds_list_for_each_entry_safe(a, next, &m->askers, link) {
		if (!abort_asked(a->cmd))
			continue;
		cds_list_del(&a->link);
		cmd_good(a->cmd, 0); /* which it does not hear */
		free(a);
	}
	free_if_done(m);
}

/* What was asked for goes on; who does not wait any more hears of it as all others do (2A/06). */
static void on_aborted(void *arg)
{
	const struct daemon *d = arg;

	for (uint32_t i = 0; i < d->ngroups; i++)
		if (d->ownership[i]->move)
			let_go(d->ownership[i]->move);
}

static void confirmed(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct explicit_move *m = cookie;

	(void)result;
	(void)len;
	m->confirming = false;
	answer(m, status == PROPOSE_OK);
	free_if_done(m);
}

/* A proposal that changes nothing (nobody gives up what is not in HANDOVER): when it has been acknowledged, every
 * member has carried out what came before it (P1). */
static void confirm(struct explicit_move *m)
{
	struct proposer *p = cluster_proposer(m->o->d->cluster);
	struct wbuf msg = { 0 };

	m->confirming = true;
	alua_service_pack(&msg, GROUP_GIVE_UP, m->o->group, m->o->d->node, group_of(m->o)->epoch);
	p->propose(p, ALUA_SERVICE_ID, msg.data, msg.len, confirmed, m);
	wbuf_fini(&msg);
}

void explicit_look(struct ownership *o)
{
	struct explicit_move *m = o->move;

	if (!m || m->confirming || cds_list_empty(&m->askers))
		return;
	if (!can_arrive(m)) {
		answer(m, false);
		free_if_done(m);
	} else if (arrived(m)) {
		confirm(m);
	}
}

/* ---- the program ------------------------------------------------------------------------------------------ */

static void end_program(struct explicit_move *m)
{
	qb_loop_poll_del(m->o->d->loop, m->pidfd);
	close(m->pidfd);
	m->pid = 0;
}

static int32_t ended(int32_t fd, int32_t revents, void *arg)
{
	struct explicit_move *m = arg;
	siginfo_t si = { .si_pid = 0 };
	bool good;

	(void)fd;
	(void)revents;
	if (waitid(P_PID, m->pid, &si, WEXITED | WNOHANG) == 0 && !si.si_pid)
		return 0;
	end_program(m);
	good = si.si_code == CLD_EXITED && si.si_status == 0;
	if (!good) {
		log_error("group %s: %s did not get it moved to %s (exit status %d); see what it says before this line",
			  m->o->group, m->o->d->config->move_program, daemon_node_name(m->o->d, m->node), si.si_status);
		if (!m->confirming)
			answer(m, false);
	}
	free_if_done(m);
	return 0;
}

static void too_late(void *arg)
{
	struct explicit_move *m = arg;

	m->timer_armed = false;
	log_error("group %s: not on %s after %d s, as SET TARGET PORT GROUPS asked%s", m->o->group,
		  daemon_node_name(m->o->d, m->node), EXPLICIT_LIMIT_MS / 1000,
		  cds_list_empty(&m->askers) ? "" : "; the initiator is told so");
	if (m->pid)
		kill(m->pid, SIGTERM);
	if (!m->confirming)
		answer(m, false);
	free_if_done(m);
}

/* Without this daemon's descriptors and signal settings. 0 or negative errno. */
static int spawn(struct explicit_move *m)
{
	const struct daemon *d = m->o->d;
	char *argv[] = { d->config->move_program, (char *)m->o->group, (char *)daemon_node_name(d, m->node), NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int rc;

	sigfillset(&all);
	sigemptyset(&none);
	if (posix_spawn_file_actions_init(&files) || posix_spawnattr_init(&attr))
		return -ENOMEM;
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", 0, 0);
	if (!rc)
		rc = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	if (!rc)
		rc = posix_spawn(&m->pid, argv[0], &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	if (rc)
		m->pid = 0;
	return -rc;
}

static int start_program(struct explicit_move *m)
{
	qb_loop_t *loop = m->o->d->loop;
	int rc = spawn(m);

	if (rc < 0)
		return rc;
	m->pidfd = pidfd_open(m->pid, 0);
	if (m->pidfd >= 0 && qb_loop_poll_add(loop, QB_LOOP_MED, m->pidfd, POLLIN, m, ended) == 0) {
		m->timer_armed = qb_loop_timer_add(loop, QB_LOOP_MED, EXPLICIT_LIMIT_MS * QB_TIME_NS_IN_MSEC, m,
						   too_late, &m->timer) == 0;
		if (m->timer_armed)
			return 0;
		qb_loop_poll_del(loop, m->pidfd);
	}
	/* nobody would hear of its end */
	kill(m->pid, SIGKILL);
	waitpid(m->pid, NULL, 0);
	if (m->pidfd >= 0)
		close(m->pidfd);
	m->pid = 0;
	return -ENOMEM;
}

/* ---- the command -------------------------------------------------------------------------------------------- */

static bool ask(struct explicit_move *m, struct scsi_cmd *cmd)
{
	struct asker *a = malloc(sizeof(*a));

	if (!a)
		return false;
	a->cmd = cmd;
	cds_list_add_tail(&a->link, &m->askers);
	return true;
}

static void begin(struct ownership *o, uint32_t node, struct scsi_cmd *cmd)
{
	struct explicit_move *m = calloc(1, sizeof(*m));
	int rc;

	if (!m) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	*m = (struct explicit_move){ .o = o, .node = node };
	CDS_INIT_LIST_HEAD(&m->askers);
	if (!ask(m, cmd)) {
		free(m);
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	log_notice("group %s: %s asks by SET TARGET PORT GROUPS that it be active on %s", o->group, cmd->nexus->id.port,
		   daemon_node_name(o->d, node));
	o->move = m;
	rc = start_program(m);
	if (rc == 0)
		return;
	log_error("group %s: %s can't be run: %s; name a program with move_program: in sandem.yaml", o->group,
		  o->d->config->move_program, strerror(-rc));
	answer(m, false);
	free_if_done(m);
}

static void move(struct ownership *o, uint32_t node, struct scsi_cmd *cmd)
{
	struct explicit_move *m = o->move;

	if (cluster_state(o->d->cluster) != CLUSTER_SERVING)
		cmd_sense(cmd, SENSE_STPG_FAILED);
	else if (!m)
		begin(o, node, cmd);
	else if (m->node != node || cds_list_empty(&m->askers)) /* the cluster manager is at another one */
		cmd_sense(cmd, SENSE_LU_NOT_READY_TRANSITION);
	else if (!ask(m, cmd))
		cmd_status(cmd, STATUS_BUSY);
}

static void set_groups(void *arg, struct scsi_cmd *cmd)
{
	struct stpg s;

	(void)arg;
	if (abort_asked(cmd)) { /* on its way here */
		cmd_good(cmd, 0);
		return;
	}
	if (cmd->data_out_got < cmd->alloc_len) {
		cmd_sense(cmd, SENSE_PARAMETER_LIST_LENGTH);
		return;
	}
	s = stpg_decide(lu_read(cmd->lu, gate), cmd->buf, cmd->alloc_len);
	switch (s.verdict) {
	case STPG_UNCHANGED:
		cmd_good(cmd, 0);
		break;
	case STPG_MOVE:
		move(cmd->lu->control_data, s.node, cmd);
		break;
	case STPG_BAD_LENGTH:
		cmd_bad_field(cmd, 6, -1);
		break;
	case STPG_BAD_FIELD:
		cmd_bad_param(cmd, s.byte, -1);
		break;
	case STPG_TRANSITION:
		cmd_sense(cmd, SENSE_LU_NOT_READY_TRANSITION);
		break;
	case STPG_FAILED:
		cmd_sense(cmd, SENSE_STPG_FAILED);
		break;
	}
}

bool explicit_askers(const struct lu *lu, struct nexus_id **ids, uint32_t *n)
{
	const struct ownership *o = lu->control_data;
	const struct asker *a;

	*ids = NULL;
	*n = 0;
	if (!o->move || !arrived(o->move))
		return true;
	cds_list_for_each_entry(a, &o->move->askers, link) {
		struct nexus_id *more;

		if (a->cmd->lu != lu)
			continue;
		more = reallocarray(*ids, *n + 1, sizeof(*more));
		if (!more) {
			free(*ids);
			return false;
		}
		*ids = more;
		more[(*n)++] = a->cmd->nexus->id;
	}
	return true;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

void explicit_wire(struct daemon *d)
{
	if (!d->config->explicit_alua)
		return;
	signal(SIGCHLD, SIG_DFL); /* whoever started this daemon may have ignored it: nothing would be left to await */
	d->core.hook[HOOK_STPG].fn = set_groups;
	d->core.control_aborted.fn = on_aborted;
	d->core.control_aborted.arg = d;
}

void explicit_fini(struct ownership *o)
{
	struct explicit_move *m = o->move;
	struct asker *a, *next;

	if (!m)
		return;
	if (m->pid)
		end_program(m);
	m->confirming = false;
	cds_list_for_each_entry_safe(a, next, &m->askers, link) {
		cds_list_del(&a->link);
		free(a);
	}
	free_if_done(m);
}

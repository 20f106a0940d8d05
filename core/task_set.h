/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order of commands in a task set (SAM-5 clause 8): what a new command waits for before it is executed.
 *
 *                 older:  SIMPLE   ORDERED   HEAD OF QUEUE   ACA
 *   new SIMPLE            -        waits     waits, for any  -
 *       ORDERED           waits    waits     waits, for any  -
 *       HEAD OF QUEUE     -        -         -               -
 *       ACA               -        -         -               -
 *
 * Two steps keep it. Where a command enters, on its reactor, it waits (dormant) by this matrix for the commands that came
 * before it; that is the order which an initiator gave to its own commands. Then, at the medium, an ORDERED command has the
 * logical unit for itself (core/range_lock.h): commands of other reactors and nodes end before it or begin after it. They
 * have no other order to each other, for nobody can tell which of two that are under way was there first.
 *
 *  - TST=000b: the commands of all I_T nexuses of a reactor are one task set; 001b: those of each nexus.
 *  - Commands that need no medium and change nothing (INQUIRY, TEST UNIT READY, REPORT TARGET PORT GROUPS …) with SIMPLE
 *    attribute don't wait, so that a path can be judged whatever stands in the queue.
 *  - Commands that came from another node (core/remote.h) have waited there; here only the medium is kept.
 *  - SIMPLE commands may overtake each other: QUEUE ALGORITHM MODIFIER 1h (SPC-4 7.5.8).
 *  - lu->queue_limit bounds the task set of one node: every command that entered there counts, from decode to its end,
 *    whatever it waits for; refused are those for the medium, for they are what a queue is made of, and what is needed
 *    to judge a path or to end a reservation is not.
 *
 * The fast path looks at one word, lu_shard.special. All on the command's reactor.
 */
#ifndef SANDEM_CORE_TASK_SET_H
#define SANDEM_CORE_TASK_SET_H

#include <stdbool.h>

#include "core/cmd.h"
#include "core/lu.h"

/* It, or what is there already, is not the usual. */
void task_set_enter_tagged(struct lu_shard *s, struct scsi_cmd *cmd);

static inline void task_set_enter(struct lu_shard *s, struct scsi_cmd *cmd)
{
	cds_list_add_tail(&cmd->task_link, &s->tasks);
	if (__builtin_expect(cmd->attr | s->special, 0))
		task_set_enter_tagged(s, cmd);
}

/* For lu.c, when s->special: cmd has left the task set. */
void task_set_leave(struct lu_shard *s, struct scsi_cmd *cmd);

/* For the gate, when s->special. True: it waits for its turn (CMD_HELD). */
bool task_set_wait(struct lu_shard *s, struct scsi_cmd *cmd);

/* The status for a command that there is no memory for (SAM-5 5.3.1): TASK SET FULL where its nexus has others in the task
 * set, whose end it can wait for; BUSY where it has none. */
enum scsi_status task_set_full(const struct scsi_cmd *cmd);

/* For the gate, when s->special: a new command for the medium, beyond lu->queue_limit. True: answered, as above. */
bool task_set_refuses(struct scsi_cmd *cmd);

/* Something else than the end of a command may have made it somebody's turn. */
void task_set_wake(struct lu_shard *s, struct reactor *r);

/* Whether an ORDERED command has to be alone at the medium. */
bool task_set_wants_alone(const struct scsi_cmd *cmd);

/* Such a command, admitted: its handler runs when it is alone at the medium. */
void task_set_alone(struct scsi_cmd *cmd);

/* The end of a command. True: it was alone; ended(cmd) runs when others may go on. */
bool task_set_release(struct scsi_cmd *cmd, void (*ended)(struct scsi_cmd *cmd));

#endif

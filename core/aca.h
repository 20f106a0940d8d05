/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What follows a CHECK CONDITION: auto contingent allegiance (SAM-5 5.9) and queue error management (SPC-4 7.5.8, QERR).
 *
 * ACA is in effect for the I_T nexus whose command, with NACA=1 in its CONTROL byte, ended with CHECK CONDITION (the faulted
 * nexus), until CLEAR ACA, a logical unit reset, the nexus's loss, or its preemption with abort. Meanwhile
 *
 *   command of              new                                        not begun yet
 *   the faulted nexus       ACA attribute: executed, one at a time;    waits
 *                           others: ACA ACTIVE
 *   others, TST=000b        NACA=1: ACA ACTIVE; NACA=0: BUSY           waits
 *   others, TST=001b        executed                                   executed
 *
 * and PREEMPT AND ABORT is always executed. The faulted nexus's own reactor knows at once; other reactors of this node hear of
 * it by message; the nexuses of other nodes don't: nobody there can tell whether their commands came before.
 *
 * The state is itl->aca; lu_shard.special is not 0 while any concerns the shard. On the command's reactor.
 */
#ifndef SANDEM_CORE_ACA_H
#define SANDEM_CORE_ACA_H

#include <stdbool.h>

struct itl;
struct lu_shard;
struct reactor;
struct scsi_cmd;
struct ua_scope;

/* For the gate, when lu_shard.special: a new command. True: answered. */
bool aca_refuses(struct lu_shard *s, struct scsi_cmd *cmd);

/* For task_set.c: whether a command that has not begun waits for the end of an ACA condition. */
bool aca_blocks(const struct lu_shard *s, const struct scsi_cmd *cmd);

/* For cmd.c: cmd has ended, with a status other than GOOD, and left the task set. */
void aca_fault(struct scsi_cmd *cmd);

/* The oldest command with ACA attribute of an I_T_L nexus; NULL. */
struct scsi_cmd *aca_command(const struct itl *itl);

/* Ends the ACA condition of an I_T_L nexus, where there is one. */
void aca_clear(struct itl *itl);
/* … of those that the scope covers, on this reactor. */
void aca_clear_all(struct lu_shard *s, const struct reactor *r, const struct ua_scope *scope);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one list of gates between a command and its execution, in the order of SAM-5/SPC-4:
 *   ACA → decode → unit attention → ALUA → reservation → range and protection → order in the task set, other commands'
 *   locked ranges → execute
 * Each gate looks at columns of the command's row and at what the control thread published.
 */
#ifndef SANDEM_CORE_GATE_H
#define SANDEM_CORE_GATE_H

struct scsi_cmd;

enum { GATE_ACA, GATE_DECODE }; /* where a command begins: cmd->gate */

/* Reactor. Runs the gates from cmd->gate on, then the command. */
void gate_run(struct scsi_cmd *cmd);

/* Reactor. The same for a command that waited behind the gates (core/range_lock.h): what may
 * have changed meanwhile, asymmetric access and reservations, is looked at again. */
void gate_again(struct scsi_cmd *cmd);

/* Reactor, for core->forward. An admitted command that the owner has not executed, because it
 * turned it away or can't be reached: runs through the gates again, soon or at the next change
 * of the gate, and not later than the hold limit after it began to wait. */
void gate_retry(struct scsi_cmd *cmd);

#endif

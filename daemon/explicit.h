/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SET TARGET PORT GROUPS (SPC-4 6.45): explicit asymmetric logical unit access, where `explicit_alua` is set. Who owns
 * a LUN group is the cluster manager's to decide, so the command asks it, by a program:
 *
 *   command ── alua/stpg.h: what is asked? ── MOVE ──▶ move_program GROUP NODE ──▶ cluster manager ──▶ demote, promote
 *      ▲                                                     │ exit status ≠ 0, or too late: 67/0A          │
 *      └── GOOD ◀── every member knows it ◀── explicit_look(): NODE is active ◀──── the log ◀───────────────┘
 *
 * The program's exit status 0 says that the request was taken, not that it has been carried out. One move per group at
 * a time; others who want the same wait for it, too. A command that is aborted (ABORT TASK, LOGICAL UNIT RESET, the end of its
 * I_T nexus) ends at once, and the move goes on. All on the control thread.
 */
#ifndef SANDEM_DAEMON_EXPLICIT_H
#define SANDEM_DAEMON_EXPLICIT_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct lu;
struct nexus_id;
struct ownership;

/* Below the 60 s that Linux gives the command. */
#define EXPLICIT_LIMIT_MS 50000

/* HOOK_STPG is served from then on where the configuration says so: before the reactors start. */
void explicit_wire(struct daemon *d);

/* The state of the group, or this node's part in the cluster, may have changed. */
void explicit_look(struct ownership *o);

/* The I_T nexuses whose command to this logical unit has brought the group to its present owner: they hear no
 * ASYMMETRIC ACCESS STATE CHANGED (SPC-4 5.15.2.6). *ids is the caller's to free, NULL when there are none. False: no
 * memory. */
bool explicit_askers(const struct lu *lu, struct nexus_id **ids, uint32_t *n);

/* With the daemon: the reactors have ended. */
void explicit_fini(struct ownership *o);

#endif

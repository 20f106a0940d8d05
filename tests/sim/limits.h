/* SPDX-License-Identifier: BSD-2-Clause */
/* How big a simulated cluster can be. */
#ifndef SANDEM_TESTS_SIM_LIMITS_H
#define SANDEM_TESTS_SIM_LIMITS_H

#define NODES 5	     /* at most; ids 1 … nodes */
#define INITIATORS 3
#define LUS 2	     /* LU i is alone in group i */
#define LU_ALL LUS   /* of an operation: every LU is concerned */
#define BLOCKS 8     /* at the beginning */
#define BLOCKS_MAX 16
#define REACTORS 2
#define SLOTS 24     /* commands of a node */
#define TMFS 6	     /* task management functions of a node */
#define FOLLOWED 4   /* services with a history */
#define HISTORIES 1024
#define VALUES 4096   /* identities of a schedule */

#endif

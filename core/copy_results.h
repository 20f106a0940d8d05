/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is kept of third-party copy operations, by I_T nexus and list identifier (SPC-4 5.17.4.2),
 * and told by the RECEIVE COPY … commands. Identifiers of eight bits are the first 256 of those of
 * 32.
 *
 *   EXTENDED COPY, POPULATE TOKEN, ─▶ struct copy_result ◀─ RECEIVE …, COPY OPERATION ABORT
 *   WRITE USING TOKEN
 */
#ifndef SANDEM_CORE_COPY_RESULTS_H
#define SANDEM_CORE_COPY_RESULTS_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "core/sense.h"

struct nexus;
struct scsi_cmd;

#define COPY_CONCURRENT_MAX 16 /* with list identifiers, per I_T nexus */
#define ROD_TOKEN_LEN 512

enum copy_state {
	COPY_UNUSED,
	COPY_UNDER_WAY,
	COPY_DONE,
	COPY_DONE_IN_PART,
	COPY_FAILED,
	COPY_TERMINATED,
};

struct copy_result { /* of one list identifier */
	enum copy_state state;
	enum copy_state state_when_good; /* COPY_DONE, unless the operation says more */
	uint8_t sa;	   /* service action of the command that began it */
	bool background;
	bool abort;	   /* COPY OPERATION ABORT wants its end */
	uint32_t list_id;
	uint16_t segments; /* completed; 0 where there are none */
	uint16_t commands; /* sent to sources and destinations: wraps */
	uint64_t bytes;	   /* written */
	uint32_t block_size; /* of the destination, the unit of what is told; 0 = bytes */
	uint64_t age;	   /* the lowest one is given up first */
	uint8_t status;	   /* when it has ended */
	uint8_t sense_len;
	uint8_t sense[SENSE_MAX];
	bool has_token;
	uint8_t token[ROD_TOKEN_LEN];
	struct cds_list_head waiting; /* scsi_cmd.state_link: COPY OPERATION ABORTs */
};

/* All on the nexus's reactor. */

/* A place for the result of the copy that cmd begins. -EBUSY: a copy with this list identifier is
 * under way; -EAGAIN: too many are; -ENOMEM. */
int copy_results_begin(struct scsi_cmd *cmd, uint32_t list_id, struct copy_result **out);
/* The same, answering cmd where it can't be. */
bool copy_results_begun(struct scsi_cmd *cmd, uint32_t list_id, struct copy_result **out);

/* The operation that cmd stands for ends as cmd->status, sense and aborted say. */
void copy_results_end(struct copy_result *r, struct scsi_cmd *cmd);

/* The nexus ends. */
void copy_results_free(struct nexus *n);

#endif

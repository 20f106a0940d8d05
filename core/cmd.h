/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A SCSI command from its arrival to its status.
 *
 *   driver: cmd_init ─▶ cmd_decode ─▶ (collects cmd->data_out_len bytes into cmd->buf) ─▶ cmd_execute
 *   core:   gates (core/gate.c) ─▶ row->exec ─▶ … ─▶ cmd_complete ─▶ cmd->done (driver)
 *   driver: sends data-in and status, then cmd_fini
 *
 * All of it runs on cmd->reactor, except row->exec of rows with ROW_CONTROL, which runs on the
 * control thread; cmd_complete() brings such a command home.
 * The struct is embedded in the driver's task; core never allocates per command.
 */
#ifndef SANDEM_CORE_CMD_H
#define SANDEM_CORE_CMD_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "core/disk.h"
#include "core/mailbox.h"
#include "core/pi.h"
#include "core/sense.h"

struct nexus;
struct tmf;
struct itl;
struct lu;
struct cdb_row;
struct range_lock;

enum task_attr { ATTR_SIMPLE, ATTR_ORDERED, ATTR_HEAD_OF_QUEUE, ATTR_ACA };

enum cmd_state {
	CMD_RECEIVED, /* decoded; data-out may still be arriving; not past any gate */
	CMD_HELD,     /* waits at a gate (ALUA transition) */
	CMD_CONTROL,  /* on the control thread */
	CMD_ADMITTED, /* past the gates: may touch the medium, here or at the owner; drains wait for it */
	CMD_FORWARDED, /* sent to the owner, which can't be asked at present: may have been executed or not */
	CMD_DONE,
};

#define CDB_MAX 32

struct scsi_cmd {
	/* set by the driver before cmd_init() */
	struct nexus *nexus;
	uint8_t cdb[CDB_MAX]; /* zero padded */
	uint16_t cdb_got; /* bytes of it that came; looked at with CDBs of variable length only */
	uint8_t lun[8];	      /* as on the wire (SAM-5 4.7) */
	uint64_t tag;
	enum task_attr attr;
	bool read, write;      /* data direction the initiator announced */
	uint32_t expected_len; /* bytes the initiator announced */
	void (*done)(struct scsi_cmd *cmd);

	/* set by cmd_decode(), read by the driver */
	uint32_t data_out_len; /* bytes that the device server wants; the driver collects
				  min(data_out_len, expected_len) */
	/* data buffer: data-out filled by the driver, data-in filled by core */
	uint8_t *buf;
	uint32_t buf_len; /* size of buf */
	uint32_t data_out_got;

	/* the answer, valid in done() */
	uint8_t status;	      /* enum scsi_status */
	bool aborted;	      /* send no status (core/abort.h); still call cmd_fini */
	uint32_t data_in_len; /* bytes that the device server returns, before truncation to expected_len */
	uint8_t sense_len;
	uint8_t sense[SENSE_MAX];

	/* core's own */
	struct reactor *reactor;
	const struct cdb_row *row;
	struct lu *lu;	  /* NULL: no such logical unit */
	struct itl *itl;  /* NULL likewise */
	enum cmd_state state;
	sense_t decode_error; /* SENSE_NONE = decoded well; answered behind the gates that go first */
	struct sense_detail decode_detail;
	uint64_t lba;	  /* blocks */
	uint32_t blocks;
	uint32_t block_len; /* bytes of a block in the data buffer: with its protection information where that travels */
	uint32_t alloc_len; /* allocation length or parameter list length, bytes */
	uint64_t seq;	  /* order of admission in the LU's shard */
	uint64_t arrived; /* ns, reactor->now */
	struct disk *disk; /* taken at admission, good until cmd_complete */
	struct cds_list_head task_link;	 /* in the shard's task set, from decode to done */
	struct cds_list_head state_link; /* in the shard's held or admitted list */
	struct msg msg;	  /* travel to the control thread and back */
	struct disk_io io;
	struct pi_order pi; /* of io, where the logical unit is protected */
	uint8_t gate;	  /* where in the list of gates a held command goes on */
	bool maybe_done;  /* an owner that is gone may have executed it: not answered with what says that nobody has */
	uint64_t held_since; /* ns */
	uint64_t step;	  /* handler's own progress */
	void *handler_data;
	/* of all these cmd_init() makes false, with one store */
	bool well_known;  /* addressed to the REPORT LUNS well-known logical unit; lu and itl are NULL */
	bool forward;	  /* the ALUA gate found another node to be the one that executes it */
	bool remote;	  /* entered through another node's port (core/remote.h) */
	bool turned_away; /* remote: the ALUA gate of this node does not admit it; nothing was done */
	bool inner;	  /* part of another command: its place in the task set is that one's */
	bool dormant;	  /* held in lu_shard.dormant */
	bool ordered;	  /* ORDERED, alone at the medium: order_lock is or was its own (core/task_set.h) */
	bool tell_abort; /* aborted, and its initiator is told so at its end: TASK ABORTED */
	bool asked; /* its nexus has asked for its end by a task management function (core/abort.h) */
	bool aborted_by_nexus; /* counted by nexus_abort_tasks() */
	struct range_lock *order_lock; /* with ordered */
	bool counted, too_many; /* of lu->queue_limit, set where there is one */
	struct tmf *abort_tmf;	/* the ABORT TASKs that wait for this command's end */
};

/* Reactor. Clears core's part of the struct; nexus->reactor becomes cmd->reactor. */
void cmd_init(struct scsi_cmd *cmd);

/* Reactor. Finds logical unit and table row, computes data_out_len; enters the task set.
 * Never answers: an error found here is answered by cmd_execute() in the order of SAM/SPC. */
void cmd_decode(struct scsi_cmd *cmd);

/* Reactor. Gives buf at least len bytes (reactor_buf_get); false: no memory, answer BUSY. */
bool cmd_buf_alloc(struct scsi_cmd *cmd, uint32_t len);

/* Reactor. Runs the gates and the command; done is called now or later. */
void cmd_execute(struct scsi_cmd *cmd);

/* The driver gives up a command that has not been executed (connection lost while data-out is
 * missing): leaves the task set, done is not called. Follow with cmd_fini(). */
void cmd_abandon(struct scsi_cmd *cmd);

/* Reactor. Frees buf. The struct may be reused. */
void cmd_fini(struct scsi_cmd *cmd);

/* For handlers: end of the command. Thread: the one exec ran on. Exactly once per command. */
void cmd_complete(struct scsi_cmd *cmd);			  /* with cmd->status as set */
void cmd_good(struct scsi_cmd *cmd, uint32_t data_in_len);
void cmd_status(struct scsi_cmd *cmd, enum scsi_status status);   /* BUSY, RESERVATION CONFLICT … */
void cmd_sense(struct scsi_cmd *cmd, sense_t s);
void cmd_sense_detail(struct scsi_cmd *cmd, sense_t s, const struct sense_detail *d);
void cmd_bad_field(struct scsi_cmd *cmd, int byte, int bit);	  /* INVALID FIELD IN CDB; bit -1 = none */
void cmd_bad_param(struct scsi_cmd *cmd, int byte, int bit);	  /* INVALID FIELD IN PARAMETER LIST */

/* For handlers with data-in that is built, not read from the medium: copies min(len, alloc_len)
 * bytes of data to buf (allocating it) and completes with GOOD. Thread: as exec. */
void cmd_reply(struct scsi_cmd *cmd, const void *data, uint32_t len);

#endif

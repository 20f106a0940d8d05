/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two reactors in one thread, for tests of what commands do to each other:
 *
 *   reactor 0 ── nexus a, nexus b ──┐
 *   reactor 1 ── nexus c ───────────┴── one logical unit, whose I/O ends when the test says so
 */
#ifndef FAKE_RIG_H
#define FAKE_RIG_H

#include "core/core.h"
#include "core/disk.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/target.h"
#include "core/tmf.h"

#define BLOCK 512u
#define BLOCKS 1000u
#define SLOTS 24

enum { A, B, C, NEXUSES }; /* c lives on the other reactor */

struct slot { /* a command */
	struct scsi_cmd cmd;
	bool started, ended;
	unsigned nth; /* to end */
	struct disk_io *io; /* at the medium */
};

struct rig {
	struct core core;
	struct reactor reactor[2];
	struct disk disk;
	struct lu *lu, *lus[1];
	struct alua_gate gate;
	struct mode_state mode;
	struct target target, *targets[1];
	struct target_port port;
	struct initiator_acl acl;
	struct lun_entry lun;
	char *pattern[1];
	struct nexus nexus[NEXUSES];
	struct slot slot[SLOTS];
	unsigned used, nended;
};


/* For cmocka; the teardown wants every command to have ended, or ends its I/O. */
int rig_setup(void **state);
int rig_teardown(void **state);

void rig_mail(struct rig *r); /* messages only: what is at the medium stays there */
void rig_finish(struct rig *r, struct slot *s); /* its I/O ends well */
void rig_finish_with(struct rig *r, struct slot *s, int result);

/* In the task set; its data is still coming, until rig_go(). */
struct slot *rig_receive(struct rig *r, unsigned nexus, enum task_attr attr, const uint8_t *cdb, size_t len);
struct slot *rig_receive_write(struct rig *r, unsigned nexus, enum task_attr attr); /* no two of the same block */
void rig_go(struct rig *r, struct slot *s);
struct slot *rig_start_write(struct rig *r, unsigned nexus, enum task_attr attr);
struct slot *rig_start_tur(struct rig *r, unsigned nexus, enum task_attr attr);
bool rig_waits(const struct slot *s); /* neither at the medium nor ended */

/* A task management function of a nexus. */
extern struct tmf rig_tmf;
extern bool rig_tmf_answered;
void rig_manage(struct rig *r, unsigned nexus, enum tmf_function fn, uint64_t tag);
uint16_t rig_pop_ua(struct rig *r, unsigned nexus);

#endif

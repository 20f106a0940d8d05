/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages between threads: the only way in which one thread makes another do something.
 *
 *   sender ── mailbox_post() ──▶ wait-free queue (liburcu wfcqueue) ──▶ mailbox_run() on the owner
 *                                     └─ first into an empty queue: eventfd written, owner wakes
 *
 * A message is embedded in the object that it is about; the sender keeps it alive until fn has
 * run. fn runs on the thread that owns the mailbox and may free or re-post the message.
 * Messages of one sender arrive in the order in which they were posted.
 */
#ifndef SANDEM_CORE_MAILBOX_H
#define SANDEM_CORE_MAILBOX_H

#include <stdbool.h>
#include <urcu/wfcqueue.h>

struct msg {
	struct cds_wfcq_node node;
	void (*fn)(struct msg *m);
};

struct mailbox {
	struct cds_wfcq_head head;
	struct cds_wfcq_tail tail;
	int efd; /* readable while messages may wait; never block on it outside the owner's loop */
};

/* Any thread, before use. 0 or negative errno. */
int mailbox_init(struct mailbox *mb);
void mailbox_fini(struct mailbox *mb);

/* Any thread: hands m over; m->fn must be set. Never blocks, never fails. */
void mailbox_post(struct mailbox *mb, struct msg *m);

/* Owner: runs all messages that are there. True when any ran. Does not read efd. */
bool mailbox_run(struct mailbox *mb);

/* Owner: empties efd; call before mailbox_run() after efd was reported readable. */
void mailbox_drain_fd(struct mailbox *mb);

#endif

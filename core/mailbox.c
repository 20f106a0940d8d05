/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/mailbox.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* liburcu's queue is not instrumented: what a message carries with it has to be told to ThreadSanitizer. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define HANDS_OVER(m) __tsan_release(m)
#define TAKES_OVER(m) __tsan_acquire(m)
#else
#define HANDS_OVER(m) (void)(m)
#define TAKES_OVER(m) (void)(m)
#endif

int mailbox_init(struct mailbox *mb)
{
	cds_wfcq_init(&mb->head, &mb->tail);
	mb->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return mb->efd < 0 ? -errno : 0;
}

void mailbox_fini(struct mailbox *mb)
{
	if (mb->efd >= 0)
		close(mb->efd);
	mb->efd = -1;
	cds_wfcq_destroy(&mb->head, &mb->tail);
}

void mailbox_post(struct mailbox *mb, struct msg *m)
{
	uint64_t one = 1;

	cds_wfcq_node_init(&m->node);
	HANDS_OVER(m);
	/* Whoever finds the queue empty wakes the owner; the owner empties it whole. */
	if (!cds_wfcq_enqueue(&mb->head, &mb->tail, &m->node)) {
		ssize_t n = write(mb->efd, &one, sizeof(one));
		(void)n; /* EAGAIN: the counter is full, so the owner is awake */
	}
}

void mailbox_drain_fd(struct mailbox *mb)
{
	uint64_t v;
	ssize_t n = read(mb->efd, &v, sizeof(v));
	(void)n;
}

bool mailbox_run(struct mailbox *mb)
{
	struct cds_wfcq_head head;
	struct cds_wfcq_tail tail;
	struct cds_wfcq_node *node, *next;

	if (cds_wfcq_empty(&mb->head, &mb->tail))
		return false;
	/* Taken out whole first: a message posted by a message waits for the next turn. */
	cds_wfcq_init(&head, &tail);
	__cds_wfcq_splice_blocking(&head, &tail, &mb->head, &mb->tail);
	__cds_wfcq_for_each_blocking_safe(&head, &tail, node, next) {
		struct msg *m = caa_container_of(node, struct msg, node);
		TAKES_OVER(m);
		m->fn(m);
	}
	cds_wfcq_destroy(&head, &tail);
	return true;
}

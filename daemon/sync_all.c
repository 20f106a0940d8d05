/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/sync_all.h"

#include <pthread.h>

#include "core/disk.h"

#define DISKS_PER_THREAD 8 /* fewer are not worth one */

struct job {
	struct disk *const *disk;
	uint32_t n, next, failed;
	int err;
};

static void *sync_some(void *arg)
{
	struct job *j = arg;

	for (;;) {
		uint32_t i = __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED);
		int rc, none = 0;

		if (i >= j->n)
			return NULL;
		rc = j->disk[i] ? j->disk[i]->ops->sync(j->disk[i]) : 0;
		if (rc && __atomic_compare_exchange_n(&j->err, &none, rc, false, __ATOMIC_RELAXED,
						      __ATOMIC_RELAXED))
			j->failed = i;
	}
}

/* Without memory for a thread the caller's does more of it. */
int sync_all(struct disk *const *disk, uint32_t n, uint32_t *failed)
{
	struct job j = { .disk = disk, .n = n };
	pthread_t thread[SYNC_THREADS_MAX - 1];
	uint32_t wanted = n / DISKS_PER_THREAD, started = 0;

	while (started < wanted && started < SYNC_THREADS_MAX - 1 &&
	       !pthread_create(&thread[started], NULL, sync_some, &j))
		started++;
	sync_some(&j);
	for (uint32_t i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
	*failed = j.failed;
	return j.err;
}

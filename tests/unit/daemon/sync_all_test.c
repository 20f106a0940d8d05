/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "core/disk.h"
#include "daemon/sync_all.h"

struct fake {
	struct disk disk;
	unsigned syncs;
	int err;
	struct meeting *meeting;
};

/* Where flushes wait for each other. */
struct meeting {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned here, wanted;
	bool late;
};

static void meet(struct meeting *m)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 10;
	pthread_mutex_lock(&m->lock);
	m->here++;
	pthread_cond_broadcast(&m->cond);
	while (m->here < m->wanted && !m->late)
		m->late = pthread_cond_timedwait(&m->cond, &m->lock, &end) == ETIMEDOUT;
	pthread_mutex_unlock(&m->lock);
}

static int fake_sync(struct disk *d)
{
	struct fake *f = (struct fake *)((char *)d - offsetof(struct fake, disk));

	__atomic_add_fetch(&f->syncs, 1, __ATOMIC_RELAXED);
	if (f->meeting)
		meet(f->meeting);
	return f->err;
}

static const struct disk_ops ops = { .name = "fake", .sync = fake_sync };

struct array {
	struct fake *fake;
	struct disk **disk;
};

static struct array array_of(uint32_t n)
{
	struct array a = { calloc(n + 1, sizeof(*a.fake)), calloc(n + 1, sizeof(*a.disk)) };

	for (uint32_t i = 0; i < n; i++) {
		a.fake[i].disk.ops = &ops;
		a.disk[i] = &a.fake[i].disk;
	}
	return a;
}

static void array_free(struct array *a)
{
	free(a->fake);
	free(a->disk);
}

static void test_each_is_flushed_once(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 7, 8, 9, 100, 1000 };

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct array a = array_of(sizes[s]);
		uint32_t failed;

		if (sizes[s] > 2)
			a.disk[2] = NULL; /* not opened: ejected */
		assert_int_equal(sync_all(a.disk, sizes[s], &failed), 0);
		for (uint32_t i = 0; i < sizes[s]; i++)
			assert_int_equal(a.fake[i].syncs, a.disk[i] ? 1 : 0);
		array_free(&a);
	}
}

static void test_an_error_is_told_and_the_rest_is_flushed_all_the_same(void **state)
{
	static const uint32_t where[] = { 0, 57, 99 };

	(void)state;
	for (size_t w = 0; w < sizeof(where) / sizeof(where[0]); w++) {
		struct array a = array_of(100);
		uint32_t failed = 12345;

		a.fake[where[w]].err = -EIO;
		assert_int_equal(sync_all(a.disk, 100, &failed), -EIO);
		assert_int_equal(failed, where[w]);
		for (uint32_t i = 0; i < 100; i++)
			assert_int_equal(a.fake[i].syncs, 1);
		array_free(&a);
	}
}

static void test_of_two_errors_one_is_told_with_its_disk(void **state)
{
	struct array a = array_of(50);
	uint32_t failed;
	int rc;

	(void)state;
	a.fake[3].err = -EIO;
	a.fake[44].err = -ENOSPC;
	rc = sync_all(a.disk, 50, &failed);
	assert_true((rc == -EIO && failed == 3) || (rc == -ENOSPC && failed == 44));
	array_free(&a);
}

static void test_flushes_of_many_are_under_way_together(void **state)
{
	struct meeting m = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
			     .wanted = SYNC_THREADS_MAX };
	struct array a = array_of(1000);
	uint32_t failed;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		a.fake[i].meeting = &m;
	assert_int_equal(sync_all(a.disk, 1000, &failed), 0);
	assert_false(m.late);
	array_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_is_flushed_once),
		cmocka_unit_test(test_an_error_is_told_and_the_rest_is_flushed_all_the_same),
		cmocka_unit_test(test_of_two_errors_one_is_told_with_its_disk),
		cmocka_unit_test(test_flushes_of_many_are_under_way_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

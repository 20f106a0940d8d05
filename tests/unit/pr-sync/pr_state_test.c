/* SPDX-License-Identifier: BSD-2-Clause */
/* Registrants are written by hand (pr_state.c): as protobuf writes them, whatever their names, ports and keys. */
#include "pr_fixture.h"

#include <time.h>

#include "pr-sync/pr_msg.h"
#include "pr-sync/pr_service.h"

static int by_nexus(const void *a, const void *b)
{
	return nexus_id_cmp(a, b);
}

static struct nexus_id random_nexus(unsigned *seed)
{
	static const int most[] = { 1, 127, 128, 16383, 16384, 65535 };
	struct nexus_id id = { .rtpi = rand_r(seed) % 2 ? most[rand_r(seed) % 6] : 1 + rand_r(seed) % 65535 };
	unsigned len = rand_r(seed) % 4 ? 1 + rand_r(seed) % PORT_NAME_MAX : 110 + rand_r(seed) % 20;

	for (unsigned i = 0; i < len; i++)
		id.port[i] = 'a' + rand_r(seed) % 26;
	return id;
}

static void fill(struct pr_lu *lu, unsigned *seed, uint32_t n)
{
	struct nexus_id *id = calloc(n, sizeof(*id));

	for (uint32_t i = 0; i < n; i++)
		id[i] = random_nexus(seed);
	qsort(id, n, sizeof(*id), by_nexus);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t key = (uint64_t)rand_r(seed) << 33 | (uint64_t)rand_r(seed) << 1 | 1;

		if (!i || nexus_id_cmp(&id[i - 1], &id[i]))
			assert_non_null(pr_append(&lu->pr, &id[i], key));
	}
	free(id);
}

static void registrants_are_written_as_protobuf_writes_them(void **state)
{
	static const char *const name[] = { "disk0", "disk1", "disk2" };
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("SEED=%u\n", seed);
	for (int round = 0; round < 300; round++) {
		struct pr_service *svc = pr_service_new();
		struct wbuf ours = { 0 }, theirs = { 0 };
		Sandem__Pr__Snapshot *pb;

		for (int i = 0; i < 3; i++) {
			struct pr_lu *lu = pr_lus_get(&svc->lus, name[i]);

			fill(lu, &seed, 1 + rand_r(&seed) % 60);
			lu->pr.generation = rand_r(&seed);
			lu->pr.aptpl = rand_r(&seed) % 2;
			lu->pr.type = i ? PR_WRITE_EXCLUSIVE : PR_NONE;
			lu->pr.holder = i ? lu->pr.reg[0] : NULL;
		}
		pr_state_snapshot(svc, &ours);
		assert_int_equal(ours.err, 0);
		pb = sandem__pr__snapshot__unpack(NULL, ours.len, ours.data);
		assert_non_null(pb);
		assert_int_equal(pb->lu[2]->n_registrant, svc->lus.lu[2]->pr.n);
		assert_int_equal(pb->lu[2]->base.n_unknown_fields, 0);
		pr_msg_pack(&pb->base, &theirs);
		assert_int_equal(ours.len, theirs.len);
		assert_memory_equal(ours.data, theirs.data, ours.len);
		sandem__pr__snapshot__free_unpacked(pb, NULL);
		wbuf_fini(&ours);
		wbuf_fini(&theirs);
		pr_service_free(svc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registrants_are_written_as_protobuf_writes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

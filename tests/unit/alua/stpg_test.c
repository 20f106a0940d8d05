/* SPDX-License-Identifier: BSD-2-Clause */
/* What SET TARGET PORT GROUPS asks (SPC-4 6.45): one group, port groups 1, 2 and 3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "alua/alua.h"
#include "alua/stpg.h"
#include "core/wire.h"

enum { AO = ALUA_OPTIMIZED, AN = ALUA_NONOPTIMIZED, SB = ALUA_STANDBY, UN = ALUA_UNAVAILABLE, TR = ALUA_TRANSITIONING };

struct descriptor {
	uint8_t state;
	uint16_t id;
};

#define MAX 4

static struct stpg decide(const uint8_t states[3], const struct descriptor *d, size_t n)
{
	const struct alua_tpg tpg[3] = { { .id = 1, .state = states[0] }, { .id = 2, .state = states[1] },
					 { .id = 3, .state = states[2] } };
	const struct alua_gate gate = { .ntpg = 3, .tpg = tpg,
					.nonoptimized = states[0] == AN || states[1] == AN || states[2] == AN };
	uint8_t list[4 + 4 * MAX] = { 0 };

	for (size_t i = 0; i < n; i++) {
		list[4 + 4 * i] = d[i].state;
		put_be16(list + 4 + 4 * i + 2, d[i].id);
	}
	return stpg_decide(&gate, list, 4 + 4 * n);
}

static const struct {
	const char *what;
	uint8_t states[3];
	struct descriptor d[MAX];
	size_t n;
	enum stpg_verdict verdict;
	uint32_t node;
	int byte;
} cases[] = {
	{ "what Linux sends", { AO, SB, SB }, { { AO, 2 } }, 1, STPG_MOVE, 2, 0 },
	{ "to one that forwards", { AN, AO, AN }, { { AO, 3 } }, 1, STPG_MOVE, 3, 0 },
	{ "all states said, in any order", { AO, SB, SB }, { { SB, 3 }, { SB, 1 }, { AO, 2 } }, 3, STPG_MOVE, 2, 0 },
	{ "all states said, where ports forward", { AO, AN, AN }, { { AN, 1 }, { AO, 2 } }, 2, STPG_MOVE, 2, 0 },
	{ "others as they are without their node", { AO, SB, UN }, { { AO, 2 }, { UN, 3 } }, 2, STPG_MOVE, 2, 0 },
	{ "the owner stays", { AO, SB, SB }, { { AO, 1 } }, 1, STPG_UNCHANGED, 0, 0 },
	{ "everything as it is", { AO, SB, UN }, { { AO, 1 }, { SB, 2 }, { UN, 3 } }, 3, STPG_UNCHANGED, 0, 0 },
	{ "a standby port group stays standby", { AO, SB, SB }, { { SB, 2 } }, 1, STPG_UNCHANGED, 0, 0 },
	{ "no descriptor", { AO, SB, SB }, { { 0, 0 } }, 0, STPG_UNCHANGED, 0, 0 },
	{ "two active/optimized", { AO, SB, SB }, { { AO, 1 }, { AO, 2 } }, 2, STPG_BAD_FIELD, 0, 8 },
	{ "nobody active/optimized", { AO, SB, SB }, { { SB, 1 } }, 1, STPG_BAD_FIELD, 0, 4 },
	{ "the owner to unavailable", { AO, SB, SB }, { { UN, 1 } }, 1, STPG_BAD_FIELD, 0, 4 },
	{ "standby to unavailable", { AO, SB, SB }, { { UN, 2 } }, 1, STPG_BAD_FIELD, 0, 4 },
	{ "non-optimized where nobody forwards", { AO, SB, SB }, { { AO, 2 }, { AN, 1 } }, 2, STPG_BAD_FIELD, 0, 8 },
	{ "standby where ports forward", { AO, AN, AN }, { { SB, 2 } }, 1, STPG_BAD_FIELD, 0, 4 },
	{ "a node that is away to standby", { AO, SB, UN }, { { SB, 3 } }, 1, STPG_BAD_FIELD, 0, 4 },
	{ "logical block dependent", { AO, SB, SB }, { { 4, 2 } }, 1, STPG_BAD_FIELD, 0, 4 },
	{ "reserved", { AO, SB, SB }, { { 0xd, 2 } }, 1, STPG_BAD_FIELD, 0, 4 },
	{ "offline: of a port, not of a group", { AO, SB, SB }, { { 0xe, 2 } }, 1, STPG_BAD_FIELD, 0, 4 },
	{ "transitioning", { AO, SB, SB }, { { AO, 2 }, { TR, 1 } }, 2, STPG_BAD_FIELD, 0, 8 },
	{ "no such port group", { AO, SB, SB }, { { AO, 9 } }, 1, STPG_BAD_FIELD, 0, 6 },
	{ "one twice", { AO, SB, SB }, { { AO, 2 }, { SB, 3 }, { AO, 2 } }, 3, STPG_BAD_FIELD, 0, 14 },
	{ "during a move", { TR, TR, UN }, { { AO, 2 } }, 1, STPG_TRANSITION, 0, 0 },
	{ "nonsense during a move", { TR, TR, UN }, { { AO, 9 } }, 1, STPG_BAD_FIELD, 0, 6 },
	{ "nothing during a move", { TR, TR, UN }, { { 0, 0 } }, 0, STPG_UNCHANGED, 0, 0 },
	{ "a node that is away", { AO, SB, UN }, { { AO, 3 } }, 1, STPG_FAILED, 0, 0 },
	{ "nobody owns the group", { UN, UN, UN }, { { AO, 1 } }, 1, STPG_FAILED, 0, 0 },
};

static void every_case(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stpg s = decide(cases[i].states, cases[i].d, cases[i].n);

		if (s.verdict != cases[i].verdict || s.node != cases[i].node || s.byte != cases[i].byte)
			fail_msg("%s: verdict %d, node %u, byte %d", cases[i].what, s.verdict, s.node, s.byte);
	}
}

static void lengths(void **state)
{
	const struct alua_tpg tpg = { .id = 1, .state = ALUA_OPTIMIZED };
	const struct alua_gate gate = { .ntpg = 1, .tpg = &tpg };
	uint8_t list[9] = { [7] = 1 };

	(void)state;
	for (size_t len = 0; len <= sizeof(list); len++) {
		bool good = len == 0 || len == 4 || len == 8;

		assert_int_equal(stpg_decide(&gate, list, len).verdict, good ? STPG_UNCHANGED : STPG_BAD_LENGTH);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case),
		cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One well-formed command per row of the command table, with what the standards say of it. The columns are written
 * from SPC-4,
 * SBC-3 and MMC-6, not from core/cdb_table.c: the tests that walk the table compare the two, and a row without an
 * entry here fails them.
 */
#ifndef FAKE_CASES_H
#define FAKE_CASES_H

#include "core/cdb.h"
#include "tests/unit/core/fake_target.h"

#define CASE_BLOCKS 1024u /* the capacity they are made for */
#define CASE_ID 7	  /* of the copy operation that copy results are asked of */

/* Asymmetric access states (SPC-4, target port asymmetric access states): what a port in that state does with it. */
enum case_alua {
	ALWAYS,		  /* performed in every state */
	NOT_UNAVAILABLE,  /* refused in unavailable and offline */
	NOT_STANDBY,	  /* in standby and transitioning, too */
	MEDIUM,		  /* needs the medium: held in transitioning, carried to the owner where that is reported */
};

/* Under somebody else's reservation, of an I_T nexus that is not registered (SPC-4, commands that are allowed in the presence of
 * various reservations; SBC-3 likewise; SPC-2 5.5.1). */
enum case_resv {
	ALLOWED,      /* always */
	ALLOWED_PR,   /* under a persistent reservation; not under an SPC-2 reservation */
	NO_EXCLUSIVE, /* under write exclusive; not under exclusive access and SPC-2 */
	CONFLICT,     /* never */
	BY_ENGINE,    /* PERSISTENT RESERVE OUT: judged in the log's order, but for an SPC-2 reservation, which goes first */
	BY_ENGINE_SPC2, /* RESERVE, RELEASE: likewise, always */
	STARTS_ONLY,  /* START STOP UNIT: with START=1 allowed, else CONFLICT */
};

struct cdb_case {
	uint8_t cdb[32];
	enum case_alua alua;
	enum case_resv resv;
	bool writes;	 /* refused of a write-protected medium */
	bool ejected_ok; /* performed without a medium */
	uint32_t in;	 /* bytes of data-in, with allocation length enough */
	uint32_t out;	 /* bytes of data-out */
	const uint8_t *data; /* of them, NULL: zeroes */
	sense_t sense;	 /* what it ends with; SENSE_NONE: GOOD */
	uint8_t other[32]; /* a second one, in which other bits count */
	uint8_t after_sa; /* a third-party copy that has to be there: EXTENDED COPY's service action + 1 */
};

/* *n: how many there are. */
const struct cdb_case *cdb_cases(size_t *n);
/* NULL: there is none. */
const struct cdb_case *cdb_case_of(const struct cdb_row *row);

/* For cmocka: a target whose hooks answer, of CASE_BLOCKS blocks. */
int cases_setup(void **state);
int cases_teardown(void **state);
/* Makes the logical unit one that serves the row: a CD-ROM, one with protection … and runs what the case comes
 * after. */
void cases_suit(struct fake_target *f, const struct cdb_row *row);
/* Runs a CDB with the case's data. expected: bytes announced. */
void cases_run(struct fake_target *f, const struct cdb_case *c, const uint8_t *cdb, uint32_t expected);

/* Everything that can be seen of the command that was run last: status, sense, data, I/O, calls of hooks. */
uint64_t cases_seen(const struct fake_target *f);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the test initiators share: big-endian fields, PERSISTENT RESERVE OUT, sessions. */
#ifndef SANDEM_TESTS_CLUSTER_WIRE_H
#define SANDEM_TESTS_CLUSTER_WIRE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#define PR_OUT_CDB 10
#define PR_OUT_LIST 24

static inline uint64_t be(const uint8_t *p, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

static inline void put_be(uint8_t *p, uint64_t v, int n)
{
	while (n--) {
		p[n] = v & 0xff;
		v >>= 8;
	}
}

struct pr_out {
	uint8_t action, type;
	uint64_t key, sa_key;
	bool aptpl, all_tg_pt;
};

/* SPC-4 6.16: PERSISTENT RESERVE OUT with the basic parameter list of 6.16.3 */
static inline void pr_out_fill(const struct pr_out *o, uint8_t cdb[PR_OUT_CDB],
			       uint8_t list[PR_OUT_LIST])
{
	memset(cdb, 0, PR_OUT_CDB);
	memset(list, 0, PR_OUT_LIST);
	cdb[0] = 0x5f;
	cdb[1] = o->action;
	cdb[2] = o->type;
	cdb[8] = PR_OUT_LIST;
	put_be(list, o->key, 8);
	put_be(list + 8, o->sa_key, 8);
	list[20] = (o->all_tg_pt ? 1 << 2 : 0) | (o->aptpl ? 1 : 0);
}

static inline bool is_unit_attention(const struct scsi_task *task)
{
	return task->status == SCSI_STATUS_CHECK_CONDITION &&
	       task->sense.key == SCSI_SENSE_UNIT_ATTENTION;
}

/* The nexus is named by initiator, isid and the portal (RFC 7143 4.4.3.1). *iscsi is set, for its
 * error text, on -ECONNREFUSED, too. */
static inline int session_open(struct iscsi_context **iscsi, const char *initiator, uint32_t isid,
			       const char *target, const char *portal, int timeout)
{
	*iscsi = iscsi_create_context(initiator);
	if (!*iscsi)
		return -ENOMEM;
	iscsi_set_targetname(*iscsi, target);
	iscsi_set_session_type(*iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_header_digest(*iscsi, ISCSI_HEADER_DIGEST_NONE);
	iscsi_set_isid_random(*iscsi, isid, 0);
	iscsi_set_timeout(*iscsi, timeout);
	iscsi_set_noautoreconnect(*iscsi, 1);
	if (iscsi_connect_sync(*iscsi, portal) != 0 || iscsi_login_sync(*iscsi) != 0)
		return -ECONNREFUSED;
	return 0;
}

#endif

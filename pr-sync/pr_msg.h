/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations of the reservation service as messages of the log. Control thread. */
#ifndef SANDEM_PR_SYNC_PR_MSG_H
#define SANDEM_PR_SYNC_PR_MSG_H

#include <protobuf-c/protobuf-c.h>

#include "core/lu.h"
#include "core/service.h"
#include "pr-sync/pr.h"
#include "pr-sync/pr.pb-c.h"

#define PR_MSG_VERSION 1
#define PR_MSG_MAX (256u << 10) /* bytes: the longest SPEC_I_PT list fits */

enum pr_op_kind { /* on the wire: never reused */
	PR_OP_OUT = 1,		/* PERSISTENT RESERVE OUT */
	PR_OP_SPC2_RESERVE = 2, /* RESERVE (6), (10) */
	PR_OP_SPC2_RELEASE = 3,
	PR_OP_SPC2_RESET = 4,	/* LUN RESET, TARGET RESET: the SPC-2 reservation of lu ends */
	PR_OP_SPC2_NEXUS_LOST = 5, /* every SPC-2 reservation of nexus ends */
};

/* What a message says. In decoded form, pointers in out point into the message that owns it. */
struct pr_msg {
	enum pr_op_kind kind;
	char lu[LU_NAME_MAX + 1]; /* "" for PR_OP_SPC2_NEXUS_LOST */
	struct nexus_id nexus;	  /* all but PR_OP_SPC2_RESET */
	struct pr_op out;	  /* PR_OP_OUT; out.nexus is nexus */
};

/* Appends the bytes of m to b; b->err on lack of memory. */
void pr_msg_encode(const struct pr_msg *m, struct wbuf *b);

/* A decoded message with what it points to. */
struct pr_msg_decoded {
	struct pr_msg m;
	Sandem__Pr__Op *pb;
	const char **port;
};

/* 0; -EBADMSG: can't be parsed or a value is out of bounds; -ENOMEM. Always safe to fini. */
int pr_msg_decode(struct pr_msg_decoded *d, const uint8_t *p, size_t len);
void pr_msg_decoded_fini(struct pr_msg_decoded *d);

/* Pieces shared with the state's own format (pr_state.c). */
void pr_msg_put_nexus(Sandem__Pr__Nexus *pb, const struct nexus_id *id);
bool pr_msg_get_nexus(const Sandem__Pr__Nexus *pb, struct nexus_id *id);
/* Copies a name of 1 … max bytes without NUL, NUL-terminated and zero padded to max + 1. */
bool pr_msg_get_name(const ProtobufCBinaryData *b, char *name, size_t max);
void pr_msg_pack(const ProtobufCMessage *m, struct wbuf *b);

#endif

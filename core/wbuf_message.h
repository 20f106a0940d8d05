/* SPDX-License-Identifier: BSD-2-Clause */
/* For the rooms whose messages are protobuf's; core itself knows none. */
#ifndef SANDEM_CORE_WBUF_MESSAGE_H
#define SANDEM_CORE_WBUF_MESSAGE_H

#include <errno.h>
#include <protobuf-c/protobuf-c.h>
#include <stdlib.h>

#include "core/service.h"

/* Appends the packed message; out->err without memory. */
static inline void wbuf_put_message(struct wbuf *out, const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	uint8_t *p = malloc(len ? len : 1);

	if (!p) {
		out->err = -ENOMEM;
		return;
	}
	wbuf_put(out, p, protobuf_c_message_pack(m, p));
	free(p);
}

#endif

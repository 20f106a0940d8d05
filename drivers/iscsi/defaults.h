/* SPDX-License-Identifier: BSD-2-Clause */
/* Every setting of the driver: default, smallest and largest value, in one place. */
#ifndef SANDEM_ISCSI_DEFAULTS_H
#define SANDEM_ISCSI_DEFAULTS_H

#include <stdint.h>

/* name, default, min, max. Lengths in bytes, times in milliseconds. */
#define ISCSI_SETTINGS(X)                                                                       \
	X(max_recv_data_segment, 256 << 10, 512, (1 << 24) - 1)                                 \
	X(max_burst, (16 << 20) - 1024, 512, (1 << 24) - 1)                                              \
	X(first_burst, 256 << 10, 512, (1 << 24) - 1)                                           \
	X(queue_depth, 128, 1, 1024)                                                            \
	X(initial_r2t, 0, 0, 1)                                                                 \
	X(immediate_data, 1, 0, 1)                                                              \
	X(header_digest, 1, 0, 1) /* agreed to when the initiator prefers it */                 \
	X(data_digest, 1, 0, 1)                                                                 \
	X(nop_interval, 5000, 100, 3600000)                                                     \
	X(nop_timeout, 5000, 100, 3600000)                                                      \
	X(login_timeout, 15000, 100, 3600000)                                                   \
	X(logout_grace, 1000, 0, 60000) /* between the request to log out and the end, at shutdown */ \
	X(max_connections, 4096, 1, 65000)

struct iscsi_settings {
#define X(name, def, min, max) uint32_t name;
	ISCSI_SETTINGS(X)
#undef X
};

/* Fixed by the implementation. */
enum {
	LOGIN_SEGMENT_MAX = 8192,    /* data segment of a Login PDU, RFC 7143 6.1 */
	TEXT_REQUEST_MAX = 16 << 10, /* one negotiation request, continued over several PDUs */
	RECV_BUF_LEN = 128 << 10,
	DIRECT_RECV_MIN = 16 << 10, /* what is missing of a data segment from here on goes straight to its buffer */
	LARGE_SEGMENT = 256 << 10,
	BEHIND_LARGE = 4 << 10,
	BATCH_PDUS = 128,	    /* PDUs that leave in one sendmsg */
	BATCH_ARENA = BATCH_PDUS * 64,
	BATCH_COPY_MAX = 128, /* data segments up to here are copied behind their header */
	IMMEDIATE_TASKS = 32, /* immediate commands beyond the window */
	TASK_CHUNK = 32,
	MISC_PDUS_MAX = 64, /* answers other than SCSI ones that may wait; then the connection isn't read */
	TMFS_MAX = 16,
	ITT_BUCKETS = 256,
};

#endif

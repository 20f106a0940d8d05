/* SPDX-License-Identifier: BSD-2-Clause */
/* What a transport tells the facade; implemented by cpg.c (corosync) and local.c (--standalone). Control thread. */
#ifndef SANDEM_CLUSTER_TRANSPORT_H
#define SANDEM_CLUSTER_TRANSPORT_H

#include "cluster/replog.h"

struct transport_events {
	void *arg;
	void (*confchg)(void *arg, const uint32_t *members, size_t n, const struct replog_gone *gone, size_t ngone,
			const uint32_t *joined, size_t njoined);
	void (*deliver)(void *arg, uint32_t from, const void *msg, size_t len);
	/* The ring that confchgs up to here belong to (corosync: totem's sequence number and nodes). */
	void (*ring)(void *arg, uint64_t seq, const uint32_t *nodes, size_t n);
	void (*lost)(void *arg, const char *why); /* it goes on trying by itself */
};

#endif

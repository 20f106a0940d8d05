/* SPDX-License-Identifier: BSD-2-Clause */
/* What the replicated log hands to those who carry it out, and the states a member can be in. */
#ifndef SANDEM_CLUSTER_EFFECTS_H
#define SANDEM_CLUSTER_EFFECTS_H

#include "core/service.h"

enum cluster_state {
	CLUSTER_OFFLINE,   /* no transport (corosync is not there), or left */
	CLUSTER_JOINING,   /* in the group, without the state: hello, snapshot */
	CLUSTER_NO_QUORUM, /* has the state, but not the right to use it */
	CLUSTER_SERVING,   /* the only state in which media access is admitted (P4) */
	CLUSTER_DIVERGED,  /* its history and the cluster's both went on: the operator decides */
	CLUSTER_FAILED,	   /* own failure (memory, store, message not understood): close the media, leave, exit */
};

/* The effects of one service at one position. Lives until it is answered (…_effects_done). */
struct effects_run {
	const struct service *service;
	uint64_t position;
	uint32_t origin; /* node id of the proposer; 0 for a membership change */
	const struct effect *effect;
	uint32_t n;
	void *user; /* of whoever carries it out, NULL at first */
};

#endif

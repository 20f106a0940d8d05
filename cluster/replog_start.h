/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * May a state that nobody holds in memory go on? Pure: lineages in, the nodes that are missing out. Any thread.
 *
 * A stored state names the members of the newest VIEW that its node has on stable storage. It goes on when all of these
 * nodes are here, whatever quorum there is.
 *
 * Why no acknowledged state is missed. Call V0, V1, … the VIEWs of the line of history that was acknowledged in, M(V) the
 * members of V.
 *
 *   1. What is acknowledged in V is stored by all of M(V), with the name of V and the list M(V) (may_answer()).
 *   2. A member is *counted* when those that were counted before have stored a VIEW that names it. Before that its store
 *      is partial, it goes on only together with one that counts, and so an unbroken chain of counted members leads from
 *      each VIEW to the next one that is acknowledged in: somebody of M(Vi) has stored a later one (replog_view.c).
 *   3. So whoever has all of M(Vi) here has somebody here who has stored a later VIEW, if anything was acknowledged after
 *      Vi. That state is better than Vi's (better() prefers what knows the other's history), and asks for its own members.
 *      The argument repeats until no later VIEW was acknowledged in.
 *   4. A store may also know of a later VIEW than its state can vouch for: a partial copy, or etcd's word. It does not go on,
 *      but those whom it names are asked for all the same.
 *   5. A member that has given way to another state, or has lost its transport, has in memory what it has stored and
 *      something behind it. Of that nothing was acknowledged: for that its own store would have had to have the VIEW,
 *      by 1. So it goes on by the rule for stores, with the list that its store has; whatever VIEWs it was alone with
 *      afterwards count nothing, neither against a later one that somebody here knows of nor against a branch that is
 *      followed (better() in replog_join.c).
 *
 * Why there is always one to go on with, when all are here. A state becomes partial only where it is replaced by one
 * that counts (take_snapshot()), and that one's store names a VIEW that the replaced one's history leads to: it is not
 * given away before (snapshot_for()). So of the latest VIEW on any disk there is a copy that is not partial: its member,
 * also a running one, has not taken over anything else. Where that VIEW cannot be named, because somebody is not known
 * to be off, the source's store names an earlier one at least, and is the latest when the replaced one is gone; only a
 * third node's copy, partial and of the VIEW that nobody has any more, may then keep them waiting for the operator.
 *
 * And why no more is asked for: a node that has left, or was lost, is not in the next VIEW, and each VIEW is stored, whether
 * or not anything is acknowledged in it. The last one that was there starts alone.
 */
#ifndef SANDEM_CLUSTER_REPLOG_START_H
#define SANDEM_CLUSTER_REPLOG_START_H

#include "cluster/replog_msg.h"

/* Nothing that l's history has acknowledged is missing from w's. */
bool lineage_has(const struct lineage *w, const struct lineage *l);

/* What a node that is here says. */
struct start_present {
	uint32_t node;
	bool told; /* its state does not go on, but what it knows of later ones counts */
	const struct lineage *lineage;
};

struct start_missing {
	bool behind; /* somebody here knows of a later state than the one that would go on */
	uint32_t n, node[REPLOG_MEMBERS_MAX];
};

/* Whether state may go on among those who are here. false: *m says what is missing; with m->n 0 it is no node, but a state that those
 * who are here do not have any more. state NULL: nobody's can, and the later ones that are known of say who is missing. A
 * state without a list of members (protocol version 1) waits for nobody. */
bool start_allowed(const struct lineage *state, const struct start_present *here, uint32_t nhere, struct start_missing *m);

#endif

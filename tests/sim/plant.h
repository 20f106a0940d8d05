/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults that are planted in the glue between the real parts, to show that the simulator finds them. */
#ifndef SANDEM_TESTS_SIM_PLANT_H
#define SANDEM_TESTS_SIM_PLANT_H

/* name, seeds within which it must be found, what it is */
#define PLANTS(X) \
	X(NONE, 0, "") \
	X(EARLY_ANSWER, 200, "PR OUT is answered when this node has applied it, not on the last acknowledgement") \
	X(SKIP_DRAIN, 2000, "a DRAIN is carried out as a mere PUBLISH") \
	X(NO_BARRIER, 200, "barriers report without having reached the reactors") \
	X(NO_PUBLISH, 200, "the data path is not given the new reservation view") \
	X(FORGET_UA, 200, "unit attentions are dropped") \
	X(LOCAL_UA, 200, "unit attentions are raised on the proposer's node only") \
	X(NO_PERSIST, 2000, "APTPL state is not made durable") \
	X(STORE_LIES, 2000, "the store reports commits that a power loss takes back") \
	X(JOINER_COUNTS, 60000, "what a joiner has stored counts before anybody waits for it") \
	X(START_ALONE, 2000, "a start from the stores waits for nobody") \
	X(START_FROM_MEMORY, 2000, "a node that has quorum again goes on from memory, whoever was there before") \
	X(SERVE_JOINING, 4000, "a node answers while it is joining") \
	X(SERVE_WITHOUT_QUORUM, 2000, "a node that has lost quorum goes on") \
	X(SKIP_FENCING_WAIT, 2000, "a lost owner is taken for harmless") \
	X(PROMOTE_UNFENCED, 2000, "a group is promoted before its lost owner is fenced") \
	X(CLOSE_EARLY, 500, "devices are closed before the commands on them have ended") \
	X(SKIP_FLUSH, 200, "devices are closed without a flush") \
	X(SKIP_APPLY, 200, "one node leaves out an operation") \
	X(APPLY_TWICE, 200, "an operation is proposed twice") \
	X(TORN_SNAPSHOT, 2000, "a snapshot is restored only in part") \
	X(FALSE_FENCING, 2000, "nodes that are parted and alive are said to be fenced") \
	X(TORN_RECORD, 12000, "the store takes a torn record for whole") \
	X(CONFIG_UNHEARD, 2000, "who asks for a configuration votes for the others") \
	X(CONFIG_UNSTORED, 2000, "generations of the configuration are not kept on stable storage") \
	X(CONFIG_UNSWAPPED, 2000, "a generation is acknowledged before the node runs with it") \
	X(GROUPS_FORGOTTEN, 2000, "a node that starts from its store has no LUN group that came by a generation") \
	X(VERSION_EARLY, 500, "the protocol's version rises although not every configured node is there") \
	X(VERSION_FORGOTTEN, 4000, "the protocol's version in use is not kept on stable storage") \
	X(MODE_UA_LOST, 2000, "one node forgets the unit attentions of MODE SELECT") \
	X(MODE_NO_PERSIST, 60000, "MODE SELECT with SP=1 is answered without being durable") \
	X(NEXUS_KEEPS, 2000, "the end of an I_T nexus does not release what it has by RESERVE") \
	X(RESET_KEEPS, 2000, "a LOGICAL UNIT RESET releases no RESERVE and resets no mode parameter") \
	X(RESET_NO_DRAIN, 2000, "an abort does not wait for the commands under way") \
	X(OWN_UNTOLD, 500, "a function ends what its nexus has sent since, and nobody tells it") \
	X(RESET_LOCAL, 500, "a LOGICAL UNIT RESET concerns the commands of its own node only") \
	X(CAPACITY_NOT_TOLD, 500, "a new capacity is published by the owner only") \
	X(NO_RANGE_LOCK, 2000, "others get past the range that a COMPARE AND WRITE has locked") \
	X(RESET_FORGOTTEN, 4000, "a node that takes a snapshot does not tell its I_T nexuses of the logical unit resets it has missed") \
	X(MISSED_GOES_ON, 80000, "what a missed function was to end goes on when its node is back") \
	X(MISSED_UNTOLD, 4000, "a node that takes a snapshot tells its I_T nexuses nothing of what it has missed") \
	X(FORWARD_NEXUS, 500, "a forwarded command is judged as one of the owner's own port") \
	X(FORWARD_OLD_EPOCH, 40000, "the owner executes what comes over the link although its gate does not admit it any more") \
	X(FORWARD_NO_DRAIN, 2000, "the owner does not wait for forwarded commands") \
	X(FORWARD_FORGETS, 20000, "the owner does not know what it has done for a connection that was lost") \
	X(FORWARD_AGAIN, 8000, "a write whose link is lost is done again at once") \
	X(FORWARD_ABORT, 60000, "an abort does not wait for writes of which nobody knows what became of them") \
	X(FORWARD_CONFLICT, 60000, "a write that may be on the medium ends with RESERVATION CONFLICT") \
	X(FORWARD_GOOD, 4000, "a COMPARE AND WRITE of which nobody knows what became of it ends with GOOD") \
	X(NOTHING_LINGERS, 500, "what a lost node's initiators have by RESERVE is not enforced until that node is off")

#define PLANT_ENUM(name, seeds, what) PLANT_##name,
enum plant { PLANTS(PLANT_ENUM) PLANT_COUNT };

#endif

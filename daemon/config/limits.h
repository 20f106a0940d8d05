/* SPDX-License-Identifier: BSD-2-Clause */
/* Every default and every bound of the configuration, in one place. The iSCSI settings have theirs in
 * drivers/iscsi/defaults.h, by the same scheme. */
#ifndef SANDEM_CONFIG_LIMITS_H
#define SANDEM_CONFIG_LIMITS_H

#define CONFIG_FILE_DEFAULT "/etc/sandem/sandem.yaml"
#define CONFIG_FILE_MAX (1u << 20) /* bytes */

#define STATE_DIR_DEFAULT "/var/lib/sandem"
#define RUN_DIR_DEFAULT "/run/sandem"
/* A first try must not meet the state or the socket of a configured daemon. */
#define STANDALONE_STATE_DIR_DEFAULT "/var/lib/sandem-standalone"
#define STANDALONE_RUN_DIR_DEFAULT "/run/sandem-standalone"
#define STANDALONE_TARGET "iqn.2026-11.io.sandem:standalone"
#define STANDALONE_NODE "standalone"
#define STANDALONE_GROUP "g0"
#define STANDALONE_PORTAL "127.0.0.1:3260"

#define NODE_ID_MIN 1
#define NODE_ID_MAX 255 /* the low byte of the relative target port identifier */
#define NODES_MAX 64	/* ALUA_MEMBERS_MAX */
#define PORTALS_MAX 16	/* per node */
#define PORT_DEFAULT 3260 /* RFC 7143 4.2.7.1 */
#define LINK_PORT_DEFAULT 3261 /* between the nodes */
#define KEY_FILE_DEFAULT "/etc/sandem/cluster.key"
#define MOVE_PROGRAM_DEFAULT "/usr/lib/sandem/move_group"
#define URL_MAX 119 /* characters: those of the cluster and of all nodes fit into VPD page 85h as core builds it */

#define GROUPS_MAX 1024
#define HOLD_LIMIT_MS_DEFAULT 10000 /* well below the 30 s after which Linux aborts a command */
#define HOLD_LIMIT_MS_MIN 0
#define HOLD_LIMIT_MS_MAX 60000

#define LUS_MAX 16384
#define LUN_MAX 16383	 /* flat space addressing, SAM-5 4.7.7.3: 14 bits */
#define ACL_LUNS_MAX 1024 /* of one access list */
#define TARGETS_MAX 255	 /* the high byte of the relative target port identifier */
#define ACLS_MAX 1024
#define PATTERNS_MAX 1024
#define IQN_MAX 223 /* bytes, RFC 7143 4.2.7.1 */

#define LU_SIZE_MIN (64ull << 10)
#define LU_SIZE_MAX (1ull << 60)
#define BLOCK_SIZE_DEFAULT 512
#define PHYSICAL_BLOCK_EXP_DEFAULT 3 /* 4 KiB blocks below 512-byte logical ones; 0 with 4096-byte ones */
#define PHYSICAL_BLOCK_EXP_MAX 15    /* 4 bits, SBC-3 5.16.2 */
#define MAX_TRANSFER_DEFAULT (8u << 20) /* bytes */
#define MAX_TRANSFER_MIN (64u << 10)
#define MAX_TRANSFER_MAX (16u << 20) /* REACTOR_BUF_MAX */
#define QUEUE_LIMIT_MAX 1000000
#define THIN_THRESHOLD_MAX 99 /* percent */
#define VENDOR_DEFAULT "SANDEM"
#define PRODUCT_DEFAULT "SANDEM-DISK"
#define REVISION_DEFAULT "1"
#define VENDOR_MAX 8 /* characters, SPC-4 6.6.2 */
#define PRODUCT_MAX 16
#define REVISION_MAX 4
#define SERIAL_MAX 36
#define T10_ID_MAX 64

#define STORE_ENDPOINTS_MAX 8 /* ETCD_ENDPOINTS_MAX */

#define REACTORS_DEFAULT 1
#define REACTORS_MAX 64
#define LOG_LEVEL_DEFAULT LOG_LEVEL_INFO

#endif

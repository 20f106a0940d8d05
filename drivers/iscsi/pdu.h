/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The basic header segment (RFC 7143 clause 11): operation codes, and the fields by their byte offset.
 * Read and written with core/wire.h, so that alignment and byte order never matter.
 */
#ifndef SANDEM_ISCSI_PDU_H
#define SANDEM_ISCSI_PDU_H

#include <stdint.h>

#define BHS_LEN 48
#define AHS_MAX 1020 /* TotalAHSLength counts four-byte words in one byte */
#define DIGEST_LEN 4
#define TAG_NONE 0xffffffffu /* reserved initiator and target transfer tag */

enum pdu_opcode { /* 11.2.1.2 */
	OP_NOP_OUT = 0x00,
	OP_SCSI_CMD = 0x01,
	OP_TMF_REQ = 0x02,
	OP_LOGIN_REQ = 0x03,
	OP_TEXT_REQ = 0x04,
	OP_DATA_OUT = 0x05,
	OP_LOGOUT_REQ = 0x06,
	OP_SNACK = 0x10,
	OP_NOP_IN = 0x20,
	OP_SCSI_RSP = 0x21,
	OP_TMF_RSP = 0x22,
	OP_LOGIN_RSP = 0x23,
	OP_TEXT_RSP = 0x24,
	OP_DATA_IN = 0x25,
	OP_LOGOUT_RSP = 0x26,
	OP_R2T = 0x31,
	OP_ASYNC = 0x32,
	OP_REJECT = 0x3f,
};

#define OPCODE_MASK 0x3f
#define BHS_IMMEDIATE 0x40 /* byte 0: the I bit */

enum bhs_offset { /* 11.2.1, common to most PDUs */
	BHS_FLAGS = 1,
	BHS_AHS_LEN = 4,  /* four-byte words */
	BHS_DATA_LEN = 5, /* three bytes */
	BHS_LUN = 8,
	BHS_ITT = 16,
	BHS_TTT = 20,
	BHS_CMDSN = 24,	    /* requests */
	BHS_EXPSTATSN = 28, /* requests */
	BHS_STATSN = 24,    /* responses */
	BHS_EXPCMDSN = 28,
	BHS_MAXCMDSN = 32,
};

#define FLAG_FINAL 0x80

enum cmd_fields { /* SCSI Command, 11.3 */
	CMD_READ_FLAG = 0x40,
	CMD_WRITE_FLAG = 0x20,
	CMD_ATTR_MASK = 0x07,
	CMD_EXPECTED_LEN = 20,
	CMD_CDB = 32,
	CMD_CDB_LEN = 16,
};
enum { ATTR_WIRE_UNTAGGED, ATTR_WIRE_SIMPLE, ATTR_WIRE_ORDERED, ATTR_WIRE_HEAD, ATTR_WIRE_ACA };

enum ahs_type { AHS_EXTENDED_CDB = 1, AHS_BIDI_READ_LEN = 2 }; /* 11.2.2 */

enum rsp_fields { /* SCSI Response, 11.4 */
	RSP_OVERFLOW = 0x04,
	RSP_UNDERFLOW = 0x02,
	RSP_RESPONSE = 2,
	RSP_STATUS = 3,
	RSP_EXPDATASN = 36,
	RSP_RESIDUAL = 44,
};

enum data_fields { /* SCSI Data-Out and Data-In, 11.7 */
	DATA_SN = 36,
	DATA_OFFSET = 40,
	DATA_IN_STATUS_FLAG = 0x01,
	DATA_IN_STATUS = 3,
	DATA_IN_RESIDUAL = 44,
};

enum r2t_fields { /* 11.8 */
	R2T_SN = 36,
	R2T_OFFSET = 40,
	R2T_LENGTH = 44,
};

enum tmf_fields { /* 11.5, 11.6 */
	TMF_REF_TAG = 20,
	TMF_REF_CMDSN = 32,
	TMF_FUNCTION_MASK = 0x7f,
	TMF_RSP_CODE = 2,
	TMF_RSP_INFO = 8, /* three bytes, RFC 7144 */
};
enum tmf_wire_function {
	TMF_WIRE_ABORT_TASK = 1,
	TMF_WIRE_ABORT_TASK_SET,
	TMF_WIRE_CLEAR_ACA,
	TMF_WIRE_CLEAR_TASK_SET,
	TMF_WIRE_LUN_RESET,
	TMF_WIRE_TARGET_WARM_RESET,
	TMF_WIRE_TARGET_COLD_RESET,
	TMF_WIRE_TASK_REASSIGN,
	TMF_WIRE_QUERY_TASK, /* this and the following: RFC 7144, iSCSIProtocolLevel 2 */
	TMF_WIRE_QUERY_TASK_SET,
	TMF_WIRE_IT_NEXUS_RESET,
	TMF_WIRE_QUERY_ASYNC_EVENT,
};
enum tmf_wire_response {
	TMF_RSP_COMPLETE = 0,
	TMF_RSP_NO_TASK = 1,
	TMF_RSP_NO_LUN = 2,
	TMF_RSP_NO_REASSIGN = 4,
	TMF_RSP_NOT_SUPPORTED = 5,
	TMF_RSP_SUCCEEDED = 7,
	TMF_RSP_REJECTED = 255,
};

enum login_fields { /* 11.12, 11.13 */
	LOGIN_TRANSIT = 0x80,
	LOGIN_CONTINUE = 0x40,
	LOGIN_VERSION_MAX = 2,
	LOGIN_VERSION_MIN = 3,
	LOGIN_VERSION_ACTIVE = 3, /* response */
	LOGIN_ISID = 8,
	LOGIN_TSIH = 14,
	LOGIN_CID = 20,
	LOGIN_STATUS = 36, /* class, detail */
};

enum login_status { /* 11.13.5 */
	LOGIN_OK = 0x0000,
	LOGIN_INITIATOR_ERROR = 0x0200,
	LOGIN_AUTH_FAILED = 0x0201,
	LOGIN_FORBIDDEN = 0x0202,
	LOGIN_NOT_FOUND = 0x0203,
	LOGIN_UNSUPPORTED_VERSION = 0x0205,
	LOGIN_TOO_MANY_CONNECTIONS = 0x0206,
	LOGIN_MISSING_PARAMETER = 0x0207,
	LOGIN_CANT_INCLUDE = 0x0208,
	LOGIN_SESSION_TYPE = 0x0209,
	LOGIN_NO_SESSION = 0x020a,
	LOGIN_INVALID_DURING_LOGIN = 0x020b,
	LOGIN_TARGET_ERROR = 0x0300,
	LOGIN_UNAVAILABLE = 0x0301,
	LOGIN_OUT_OF_RESOURCES = 0x0302,
};

enum text_fields { TEXT_CONTINUE = 0x40 }; /* 11.10, 11.11 */

enum logout_fields { /* 11.14, 11.15 */
	LOGOUT_REASON_MASK = 0x7f,
	LOGOUT_CLOSE_SESSION = 0,
	LOGOUT_CLOSE_CONNECTION = 1,
	LOGOUT_RECOVERY = 2,
	LOGOUT_CID = 20,
	LOGOUT_RSP_CODE = 2,
	LOGOUT_RSP_OK = 0,
	LOGOUT_RSP_NO_CID = 1,
	LOGOUT_RSP_NO_RECOVERY = 2,
	LOGOUT_RSP_FAILED = 3,
	LOGOUT_TIME2WAIT = 40,
	LOGOUT_TIME2RETAIN = 42,
};

enum async_fields { /* 11.9 */
	ASYNC_EVENT = 36,
	ASYNC_PARAM1 = 38,
	ASYNC_PARAM2 = 40,
	ASYNC_PARAM3 = 42,
	ASYNC_REQUEST_LOGOUT = 1,
	ASYNC_DROP_SESSION = 3,
};

enum reject_fields { REJECT_REASON = 2 }; /* 11.17 */
enum reject_reason {
	REJECT_DATA_DIGEST = 0x02,
	REJECT_SNACK = 0x03,
	REJECT_PROTOCOL = 0x04,
	REJECT_NOT_SUPPORTED = 0x05,
	REJECT_TOO_MANY_IMMEDIATE = 0x06,
	REJECT_TASK_IN_PROGRESS = 0x07,
	REJECT_INVALID_FIELD = 0x09,
};

static inline uint32_t pdu_pad(uint32_t len)
{
	return -len & 3;
}

/* Serial number arithmetic (RFC 1982, RFC 7143 4.2.2.1): a before b. */
static inline int sn_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

#endif

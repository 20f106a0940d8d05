/* SPDX-License-Identifier: BSD-2-Clause */
/* Between fault_rule.c (text → rule) and fault.c (rule → faults). */
#ifndef SANDEM_DRIVERS_FAULT_INT_H
#define SANDEM_DRIVERS_FAULT_INT_H

#include "core/disk.h"

enum { FAULT_SYNC = DISK_WRITE_ZEROES + 1, FAULT_OPEN, FAULT_OPS }; /* go on where enum disk_op ends */

#endif

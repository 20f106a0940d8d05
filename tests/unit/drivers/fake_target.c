/* SPDX-License-Identifier: BSD-2-Clause */
/* The target of core's tests, for device handlers in front of its disk. */
#include "tests/unit/core/fake_target.c"

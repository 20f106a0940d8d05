/* SPDX-License-Identifier: BSD-2-Clause */
/* SANITIZE and FORMAT UNIT of core's tests, for device handlers under them. */
#include "tests/unit/core/fake_wipes.c"

/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SANDEM_CORE_ECHO_H
#define SANDEM_CORE_ECHO_H

struct nexus;

/* The nexus's reactor: the nexus ends. */
void echo_free(struct nexus *n);

#endif

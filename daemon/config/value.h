/* SPDX-License-Identifier: BSD-2-Clause */
/* The values that the configuration and the command line write as text. Pure, any thread; 0 or -EINVAL unless said
 * otherwise. */
#ifndef SANDEM_CONFIG_VALUE_H
#define SANDEM_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lu.h"
#include "core/target.h"

/* A decimal number of at most max, without leading zeros. */
int value_uint(const char *text, uint64_t max, uint64_t *out);
/* true, yes, false, no. Not YAML 1.1's on and off: libcyaml takes "off" for true. */
int value_bool(const char *text, bool *out);
/* "500ms", "5s", "2m" or a plain number of milliseconds. */
int value_ms(const char *text, uint64_t *ms);
/* "10.0.0.1", "10.0.0.1:3260", "[fd00::1]:3260", "fd00::1": numeric address, port PORT_DEFAULT unless given. The address
 * comes out in its canonical spelling, IPv6 without brackets. */
int value_portal(const char *text, struct portal *out);
/* The same with another port unless given. */
int value_address(const char *text, uint16_t port, struct portal *out);
bool value_portal_is_loopback(const struct portal *p);
bool value_portal_is_wildcard(const struct portal *p);
/* "naa.3…", "0x6…" or bare hex: 16 digits (type 2, 3 or 5) or 32 (type 6) (SPC-4 7.8.6.6). */
int value_naa(const char *text, struct lu_identity *id);
/* An iSCSI name of RFC 7143 4.2.7, lower case already: NULL when good, else what is wrong with it. */
const char *value_iscsi_name_error(const char *name);
/* ASCII to lower case, in place (RFC 7143 4.2.7.1: names compare so). */
void value_lower(char *s);
/* Printable ASCII, as identity fields must be (SPC-4 4.4.1). */
bool value_printable(const char *s);

/* The entry of word[0 … n-1] that text was probably meant to be; NULL when none is close. */
const char *value_guess(const char *text, const char *const *word, size_t n);

#endif

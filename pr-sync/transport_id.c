/* SPDX-License-Identifier: BSD-2-Clause */
#include "pr-sync/transport_id.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/wire.h"

#define FORMAT_PORT 0x40    /* FORMAT CODE 01b */
#define PROTOCOL_ISCSI 0x05 /* SPC-4 table 438 */
#define HEADER_LEN 4
#define NAME_LEN_MIN 20 /* ADDITIONAL LENGTH, 7.6.4.6 */
#define ISCSI_NAME_MAX 223
#define ISID_DIGITS 12
static const char separator[] = ",i,0x";

size_t transport_id_build(const char *port, uint8_t buf[TRANSPORT_ID_MAX])
{
	size_t len = (strlen(port) + 1 + 3) & ~3ul;

	if (len < NAME_LEN_MIN)
		len = NAME_LEN_MIN;
	memset(buf, 0, HEADER_LEN + len);
	buf[0] = FORMAT_PORT | PROTOCOL_ISCSI;
	put_be16(buf + 2, len);
	memcpy(buf + HEADER_LEN, port, strlen(port));
	return HEADER_LEN + len;
}

static bool is_iscsi_name(const char *s, size_t len)
{
	if (len < 5 || len > ISCSI_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] <= ' ' || s[i] == ',' || s[i] == 0x7f)
			return false;
	return !strncasecmp(s, "iqn.", 4) || !strncasecmp(s, "eui.", 4) ||
	       !strncasecmp(s, "naa.", 4);
}

/* Initiators may leave out leading zeroes of the ISID and mix cases; names compare after both are
 * settled. */
static bool port_name(const char *text, char port[PORT_NAME_MAX + 1])
{
	const char *sep = strstr(text, separator);
	size_t digits, n;

	if (!sep || !is_iscsi_name(text, sep - text))
		return false;
	digits = strlen(sep + 5);
	if (!digits || digits > ISID_DIGITS || strspn(sep + 5, "0123456789abcdefABCDEF") != digits)
		return false;
	memset(port, 0, PORT_NAME_MAX + 1);
	n = snprintf(port, PORT_NAME_MAX + 1, "%.*s%s%.*s%s", (int)(sep - text), text, separator,
		     (int)(ISID_DIGITS - digits), "000000000000", sep + 5);
	for (size_t i = 0; i < n; i++)
		port[i] = tolower((unsigned char)port[i]);
	return true;
}

size_t transport_id_parse(const uint8_t *p, size_t len, char port[PORT_NAME_MAX + 1])
{
	size_t name;

	if (len < HEADER_LEN + NAME_LEN_MIN || p[0] != (FORMAT_PORT | PROTOCOL_ISCSI))
		return 0;
	name = get_be16(p + 2);
	if (name < NAME_LEN_MIN || name % 4 || name > len - HEADER_LEN ||
	    name > TRANSPORT_ID_MAX - HEADER_LEN)
		return 0;
	if (!memchr(p + HEADER_LEN, 0, name) || !port_name((const char *)p + HEADER_LEN, port))
		return 0;
	return HEADER_LEN + name;
}

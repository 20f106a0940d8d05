/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config/value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/limits.h"

/* Digits only: strtoull alone would take signs, blanks and overflow. *end: behind the digits. */
static int leading_digits(const char *text, uint64_t *out, const char **end)
{
	uint64_t v = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -EINVAL;
	if (p == text)
		return -EINVAL;
	*out = v;
	*end = p;
	return 0;
}

int value_uint(const char *text, uint64_t max, uint64_t *out)
{
	const char *end;
	uint64_t v;

	if (leading_digits(text, &v, &end) < 0 || *end || v > max)
		return -EINVAL;
	if (text[0] == '0' && text[1])
		return -EINVAL; /* others, libcyaml among them, would read it as octal */
	*out = v;
	return 0;
}

int value_bool(const char *text, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{ "true", true },
		{ "yes", true },
		{ "false", false },
		{ "no", false },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(text, words[i].word)) {
			*out = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

int value_ms(const char *text, uint64_t *ms)
{
	static const struct {
		const char *suffix;
		unsigned ms;
	} units[] = { { "", 1 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 } };
	const char *end;
	uint64_t v;

	if (leading_digits(text, &v, &end) < 0)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(end, units[i].suffix))
			return __builtin_mul_overflow(v, units[i].ms, ms) ? -EINVAL : 0;
	return -EINVAL;
}

/* Splits "ADDR:PORT", "[ADDR6]:PORT", "ADDR", "ADDR6", "[ADDR6]". port: NULL when there is none. */
static int split_portal(const char *text, char *addr, size_t size, const char **port)
{
	const char *end, *colon = strchr(text, ':');

	*port = NULL;
	if (text[0] == '[') {
		end = strchr(++text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		if (end[1])
			*port = end + 2;
	} else if (colon && !strchr(colon + 1, ':')) {
		end = colon;
		*port = colon + 1;
	} else {
		end = text + strlen(text);
	}
	if ((size_t)(end - text) >= size)
		return -EINVAL;
	memcpy(addr, text, end - text);
	addr[end - text] = 0;
	return 0;
}

int value_portal(const char *text, struct portal *out)
{
	return value_address(text, PORT_DEFAULT, out);
}

int value_address(const char *text, uint16_t default_port, struct portal *out)
{
	unsigned char bin[16];
	char addr[64];
	const char *port;
	uint64_t n = default_port;
	int family;

	if (split_portal(text, addr, sizeof(addr), &port) < 0)
		return -EINVAL;
	family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, addr, bin) != 1 || (text[0] == '[' && family == AF_INET))
		return -EINVAL;
	if (port && (value_uint(port, 65535, &n) < 0 || n == 0))
		return -EINVAL;
	inet_ntop(family, bin, out->addr, sizeof(out->addr));
	out->port = n;
	return 0;
}

bool value_portal_is_loopback(const struct portal *p)
{
	return !strncmp(p->addr, "127.", 4) || !strcmp(p->addr, "::1");
}

bool value_portal_is_wildcard(const struct portal *p)
{
	return !strcmp(p->addr, "0.0.0.0") || !strcmp(p->addr, "::");
}

int value_naa(const char *text, struct lu_identity *id)
{
	size_t len;
	char type;

	if (!strncmp(text, "naa.", 4))
		text += 4;
	else if (!strncmp(text, "0x", 2))
		text += 2;
	len = strlen(text);
	type = text[0];
	if (strspn(text, "0123456789abcdefABCDEF") != len)
		return -EINVAL;
	if (!(len == 16 && strchr("235", type)) && !(len == 32 && type == '6'))
		return -EINVAL;
	for (size_t i = 0; i < len / 2; i++) {
		char hex[3] = { text[2 * i], text[2 * i + 1], 0 };
		id->naa[i] = strtoul(hex, NULL, 16);
	}
	id->naa_len = len / 2;
	return 0;
}

static bool is_iqn(const char *n)
{
	static const char shape[] = "iqn.9999-99."; /* 9: a digit */

	for (size_t i = 0; i < sizeof(shape) - 1; i++)
		if (shape[i] == '9' ? !isdigit((unsigned char)n[i]) : n[i] != shape[i])
			return false;
	n += sizeof(shape) - 1;
	return isalnum((unsigned char)*n); /* of the naming authority's domain */
}

const char *value_iscsi_name_error(const char *name)
{
	size_t len = strlen(name), hex = strspn(name + (len < 4 ? len : 4), "0123456789abcdef");

	if (len == 0 || len > IQN_MAX)
		return "is not 1 to 223 bytes long (RFC 7143 4.2.7.1)";
	if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.:") != len)
		return "has a character other than letters, digits, '-', '.' and ':' (RFC 7143 4.2.7.2)";
	if (!strncmp(name, "iqn.", 4))
		return is_iqn(name) ? NULL : "is not of the form iqn.YYYY-MM.reversed.domain[:name] (RFC 7143 4.2.7.4)";
	if (!strncmp(name, "eui.", 4))
		return hex == 16 && len == 20 ? NULL : "is not eui. and 16 hex digits (RFC 7143 4.2.7.5)";
	if (!strncmp(name, "naa.", 4))
		return (hex == 16 || hex == 32) && len == 4 + hex ?
			       NULL : "is not naa. and 16 or 32 hex digits (RFC 7143 4.2.7.6)";
	return "does not begin with iqn., eui. or naa. (RFC 7143 4.2.7.3)";
}

void value_lower(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s += 'a' - 'A';
}

bool value_printable(const char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			return false;
	return true;
}

#define GUESS_MAX 40

/* Levenshtein distance, a transposition counts two; GUESS_MAX for words that are too long to bother. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[GUESS_MAX + 1], la = strlen(a), lb = strlen(b);

	if (la >= GUESS_MAX || lb >= GUESS_MAX)
		return GUESS_MAX;
	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

const char *value_guess(const char *text, const char *const *word, size_t n)
{
	size_t len = strlen(text);
	unsigned best = len < 3 ? 2 : len / 3 + 2; /* that far off is still a slip */
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		unsigned d = distance(text, word[i]);

		if (d < best && d < strlen(word[i])) {
			best = d;
			found = word[i];
		}
	}
	return found;
}

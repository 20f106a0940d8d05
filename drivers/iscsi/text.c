/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/iscsi/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 223

/* ---- reader --------------------------------------------------------------------------------- */

static bool key_char(unsigned char c)
{
	return isalnum(c) || (c && strchr(".-+@_", c));
}

static bool key_valid(const char *key)
{
	size_t n = strlen(key);

	if (n == 0 || n > TEXT_KEY_MAX)
		return false;
	for (; *key; key++)
		if (!key_char(*key))
			return false;
	return true;
}

enum text_result text_next(struct text_reader *r, char **key, char **value)
{
	char *nul, *eq;

	while (r->pos < r->end && *r->pos == '\0')
		r->pos++;
	if (r->pos >= r->end)
		return TEXT_END;
	nul = memchr(r->pos, '\0', r->end - r->pos);
	if (!nul)
		return TEXT_MALFORMED;
	eq = memchr(r->pos, '=', nul - r->pos);
	if (!eq || nul - eq - 1 > TEXT_VALUE_MAX)
		return TEXT_MALFORMED;
	*eq = '\0';
	*key = r->pos;
	*value = eq + 1;
	r->pos = nul + 1;
	return key_valid(*key) ? TEXT_PAIR : TEXT_MALFORMED;
}

/* ---- writer --------------------------------------------------------------------------------- */

void text_addf(struct text_writer *w, const char *key, const char *fmt, ...)
{
	uint32_t room = w->cap - w->len;
	va_list ap;
	int n, m = -1;

	n = snprintf(w->buf + w->len, room, "%s=", key);
	if (n >= 0 && (uint32_t)n < room) {
		va_start(ap, fmt);
		m = vsnprintf(w->buf + w->len + n, room - n, fmt, ap);
		va_end(ap);
	}
	if (m < 0 || (uint32_t)m >= room - n) {
		w->full = true;
		return;
	}
	w->len += n + m + 1;
}

void text_add(struct text_writer *w, const char *key, const char *value)
{
	text_addf(w, key, "%s", value);
}

/* ---- values --------------------------------------------------------------------------------- */

bool text_number(const char *s, uint32_t *out)
{
	int base = s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10;
	const char *digits = base == 16 ? s + 2 : s;
	unsigned long long v = 0;

	if (!*digits || strlen(digits) > 20)
		return false;
	for (const char *p = digits; *p; p++) {
		if (base == 16 ? !isxdigit((unsigned char)*p) : !isdigit((unsigned char)*p))
			return false;
		v = v * base + (isdigit((unsigned char)*p) ? *p - '0' : (*p | 0x20) - 'a' + 10);
		if (v > UINT32_MAX)
			return false;
	}
	*out = v;
	return true;
}

bool text_choose(const char *list, bool (*wanted)(const void *arg, const char *name), const void *arg, char *out,
		 size_t outlen)
{
	while (*list) {
		size_t n = strcspn(list, ",");

		if (n && n < outlen) {
			memcpy(out, list, n);
			out[n] = '\0';
			if (wanted(arg, out))
				return true;
		}
		list += n;
		list += *list == ',';
	}
	return false;
}

static bool name_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || isdigit(c) || strchr("-.:_", c) || c >= 0x80;
}

bool text_iscsi_name(const char *s, char out[224], const char **why)
{
	size_t n = strlen(s);

	out[0] = '\0';
	*why = "it must have 1 to 223 bytes";
	if (n == 0 || n > NAME_MAX_LEN)
		return false;
	*why = "only a-z, 0-9, '-', '.' and ':' are allowed in it";
	for (size_t i = 0; i < n; i++) {
		unsigned char c = s[i];

		out[i] = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
		if (!name_char(out[i])) {
			out[0] = '\0';
			return false;
		}
	}
	out[n] = '\0';
	*why = "it must begin with iqn., eui. or naa.";
	return n > 4 && (!strncmp(out, "iqn.", 4) || !strncmp(out, "eui.", 4) || !strncmp(out, "naa.", 4));
}

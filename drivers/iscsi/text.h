/* SPDX-License-Identifier: BSD-2-Clause */
/* key=value text (RFC 7143 6.1), as a reader and a writer over flat buffers. Pure; any thread. */
#ifndef SANDEM_ISCSI_TEXT_H
#define SANDEM_ISCSI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_KEY_MAX 63
#define TEXT_VALUE_MAX 8192

struct text_reader {
	char *pos, *end;
};

struct text_writer {
	char *buf;
	uint32_t len, cap;
	bool full; /* something did not fit: the text is not to be sent */
};

enum text_result { TEXT_END, TEXT_PAIR, TEXT_MALFORMED };

/* The next pair, NUL-terminated in place. Malformed: no NUL at the end, no "=", empty or too long key or value,
 * a character that a key name can't have (6.1: A-Z a-z 0-9 . - + @ _). Empty strings between pairs are skipped. */
enum text_result text_next(struct text_reader *r, char **key, char **value);

void text_add(struct text_writer *w, const char *key, const char *value);
void text_addf(struct text_writer *w, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A decimal or 0x hexadecimal number (6.1) of at most 32 bits. */
bool text_number(const char *s, uint32_t *out);

/* The first name of the comma-separated list that wanted() accepts; false: none. out[outlen] gets it. */
bool text_choose(const char *list, bool (*wanted)(const void *arg, const char *name), const void *arg, char *out,
		 size_t outlen);

/*
 * An iSCSI name (4.2.7) normalised to lower case into out[224]; false with a reason when it isn't one: length 1-223,
 * prefix iqn. eui. or naa., characters a-z 0-9 - . : and UTF-8. "_" is let through: hosts are named so.
 */
bool text_iscsi_name(const char *s, char out[224], const char **why);

#endif

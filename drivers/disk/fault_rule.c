/* SPDX-License-Identifier: BSD-2-Clause */
/* The text of a fault rule (drivers/disk/fault.h). Pure. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/disk/fault.h"
#include "drivers/disk/fault_int.h"

struct parse {
	struct fault_rule *r;
	char *err;
	size_t errlen;
};

__attribute__((format(printf, 2, 3))) static int bad(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->err, p->errlen, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* The number at *s; *s moves behind it. */
static bool number(const char **s, uint64_t *out)
{
	char *end;

	if (**s < '0' || **s > '9')
		return false;
	errno = 0;
	*out = strtoull(*s, &end, 10);
	*s = end;
	return errno == 0;
}

static bool whole_number(const char *s, uint64_t *out)
{
	return number(&s, out) && !*s;
}

/* ---- values ------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int err;
} errors[] = {
	{ "EIO", EIO },	      { "ENOSPC", ENOSPC },   { "EROFS", EROFS },	{ "ENODEV", ENODEV },
	{ "ENXIO", ENXIO },   { "EILSEQ", EILSEQ },   { "ENOMEM", ENOMEM },	{ "EAGAIN", EAGAIN },
	{ "EBUSY", EBUSY },   { "EDQUOT", EDQUOT },   { "ESTALE", ESTALE },	{ "ENOLINK", ENOLINK },
	{ "EPERM", EPERM },   { "ENODATA", ENODATA }, { "ENOMEDIUM", ENOMEDIUM }, { "ETIMEDOUT", ETIMEDOUT },
};

static int take_error(struct parse *p, const char *value)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (!strcmp(errors[i].name, value)) {
			p->r->error = errors[i].err;
			return 0;
		}
	return bad(p, "error \"%s\" is not known; use EIO, ENOSPC, EROFS, ENODEV, ENXIO, EILSEQ, ENOMEM, EAGAIN, EBUSY, "
		      "EDQUOT, ESTALE, ENOLINK, EPERM, ENODATA, ENOMEDIUM or ETIMEDOUT", value);
}

#define DELAY_MAX_NS (3600ull * 1000000000)

static int take_delay(struct parse *p, const char *value)
{
	static const struct {
		const char *suffix;
		uint64_t ns;
	} units[] = { { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 } };
	const char *s = value;
	uint64_t n;

	if (number(&s, &n))
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (!strcmp(units[i].suffix, s) && n && n <= DELAY_MAX_NS / units[i].ns) {
				p->r->delay_ns = n * units[i].ns;
				return 0;
			}
	return bad(p, "delay \"%s\" is not a time up to 3600s; use e.g. 500us, 50ms or 2s", value);
}

static int take_short(struct parse *p, const char *value)
{
	p->r->has_short = true;
	if (whole_number(value, &p->r->short_bytes))
		return 0;
	return bad(p, "short \"%s\" is not a number of bytes", value);
}

static const char *const op_names[FAULT_OPS] = {
	[DISK_READ] = "read",	  [DISK_WRITE] = "write",	[DISK_FLUSH] = "flush", [DISK_DISCARD] = "discard",
	[DISK_WRITE_ZEROES] = "zero", [FAULT_SYNC] = "sync", [FAULT_OPEN] = "open",
};

static int op_of(const char *word, size_t len)
{
	for (int i = 0; i < FAULT_OPS; i++)
		if (strlen(op_names[i]) == len && !memcmp(op_names[i], word, len))
			return i;
	return -1;
}

static int take_op(struct parse *p, const char *value)
{
	const char *s = value;

	p->r->ops = 0;
	for (;; s++) {
		size_t len = strcspn(s, "+");
		int op = op_of(s, len);

		if (op < 0)
			return bad(p, "op \"%s\" is not known; use read, write, flush, discard, zero, sync and open, joined "
				      "by +, e.g. write+flush", value);
		p->r->ops |= 1u << op;
		s += len;
		if (!*s)
			return 0;
	}
}

static int take_lba(struct parse *p, const char *value)
{
	const char *s = value;

	p->r->has_lba = true;
	if (!number(&s, &p->r->first))
		goto wrong;
	p->r->last = p->r->first;
	if (*s == '-') {
		s++;
		if (!number(&s, &p->r->last))
			goto wrong;
	}
	if (!*s && p->r->last >= p->r->first)
		return 0;
wrong:
	return bad(p, "lba \"%s\" is not a range of logical blocks; use e.g. 100 or 100-199", value);
}

static int take_rate(struct parse *p, const char *value)
{
	char *end;
	double rate = strtod(value, &end);

	if (end == value || *end || !(rate > 0 && rate <= 1))
		return bad(p, "rate \"%s\" is not a probability; use e.g. 0.01, at most 1", value);
	p->r->rate = rate * UINT32_MAX;
	return 0;
}

static int take_seed(struct parse *p, const char *value)
{
	return whole_number(value, &p->r->seed) ? 0 : bad(p, "seed \"%s\" is not a number", value);
}

static int take_count(struct parse *p, const char *value)
{
	if (whole_number(value, &p->r->count) && p->r->count)
		return 0;
	return bad(p, "count \"%s\" is not a number from 1 on", value);
}

static int take_trigger(struct parse *p, const char *value)
{
	if (value[0] != '/' || strlen(value) >= sizeof(p->r->trigger))
		return bad(p, "trigger \"%s\" is not an absolute path of at most %zu characters", value,
			   sizeof(p->r->trigger) - 1);
	strcpy(p->r->trigger, value);
	return 0;
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

static const struct {
	const char *key;
	int (*take)(struct parse *p, const char *value);
} keys[] = {
	{ "error", take_error }, { "delay", take_delay }, { "short", take_short }, { "op", take_op },
	{ "lba", take_lba },	 { "rate", take_rate },	  { "seed", take_seed },   { "count", take_count },
	{ "trigger", take_trigger },
};

static int take(struct parse *p, const char *key, const char *value)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strcmp(keys[i].key, key))
			return keys[i].take(p, value);
	return bad(p, "there is no key \"%s\"; use error, delay, short, op, lba, rate, seed, count and trigger", key);
}

static int take_all(struct parse *p, char *text)
{
	char *rest = text, *word;

	while (rest && *rest) {
		char *value;
		int rc;

		word = strncmp(rest, "trigger=", 8) ? strsep(&rest, ":") : strsep(&rest, "");
		value = strchr(word, '=');
		if (!value)
			return bad(p, "\"%s\" has no value; write e.g. error=EIO:op=write:rate=0.1", word);
		*value++ = '\0';
		rc = take(p, word, value);
		if (rc < 0)
			return rc;
	}
	return 0;
}

#define MEDIUM_OPS \
	(1u << DISK_READ | 1u << DISK_WRITE | 1u << DISK_FLUSH | 1u << DISK_DISCARD | 1u << DISK_WRITE_ZEROES)

int fault_parse(const char *text, struct fault_rule *out, char *err, size_t errlen)
{
	struct parse p = { out, err, errlen };
	char *copy = strdup(text);
	int rc;

	*out = (struct fault_rule){ .ops = MEDIUM_OPS, .rate = UINT32_MAX, .count = UINT64_MAX };
	if (!copy)
		return bad(&p, "out of memory");
	rc = take_all(&p, copy);
	free(copy);
	if (rc == 0 && !out->error && !out->delay_ns && !out->has_short)
		return bad(&p, "says nothing that happens; add error, delay or short");
	if (out->has_short && !out->error)
		out->error = EIO;
	return rc;
}

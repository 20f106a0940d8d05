/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/ctl.h"

/* ---- values as a person reads them ---- */

const char *text_of(const json_t *row, const char *key)
{
	const char *s = json_string_value(json_object_get(row, key));

	return s ? s : "-";
}

int64_t number_of(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

void put_text(const json_t *row, const char *key, char *out, size_t size)
{
	snprintf(out, size, "%s", text_of(row, key));
}

void put_number(const json_t *row, const char *key, char *out, size_t size)
{
	snprintf(out, size, "%" PRId64, number_of(row, key));
}

void put_bool(const json_t *row, const char *key, char *out, size_t size)
{
	snprintf(out, size, "%s", json_is_true(json_object_get(row, key)) ? "yes" : "no");
}

void put_size(const json_t *row, const char *key, char *out, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = json_number_value(json_object_get(row, key));
	size_t u = 0;

	for (; v >= 1024 && u + 1 < sizeof(units) / sizeof(units[0]); u++)
		v /= 1024;
	snprintf(out, size, v < 10 && u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

void put_duration(int64_t s, char *out, size_t size)
{
	if (s < 120)
		snprintf(out, size, "%" PRId64 "s", s < 0 ? 0 : s);
	else if (s < 7200)
		snprintf(out, size, "%" PRId64 "m", s / 60);
	else if (s < 172800)
		snprintf(out, size, "%" PRId64 "h", s / 3600);
	else
		snprintf(out, size, "%" PRId64 "d", s / 86400);
}

void put_age(const json_t *row, const char *key, char *out, size_t size)
{
	put_duration(time(NULL) - number_of(row, key), out, size);
}

/* An array of strings, or of objects by two of their fields: "a:b". */
static void join(const json_t *array, const char *first, const char *second, char *out, size_t size)
{
	size_t i, len = 0;
	json_t *v;

	snprintf(out, size, "-");
	json_array_foreach(array, i, v) {
		const json_t *b = json_object_get(v, second);
		const char *a = json_is_string(v) ? json_string_value(v) : text_of(v, first);

		if (len >= size)
			return;
		len += snprintf(out + len, size - len, "%s%s", i ? "," : "", a);
		if (len < size && json_is_integer(b))
			len += snprintf(out + len, size - len, ":%" PRId64, (int64_t)json_integer_value(b));
		else if (len < size && json_is_string(b))
			len += snprintf(out + len, size - len, ":%s", json_string_value(b));
	}
}

void put_list(const json_t *row, const char *key, char *out, size_t size)
{
	join(json_object_get(row, key), "name", "", out, size);
}

void put_targets(const json_t *row, const char *key, char *out, size_t size)
{
	join(json_object_get(row, key), "target", "lun", out, size);
}

void put_ports(const json_t *row, const char *key, char *out, size_t size)
{
	join(json_object_get(row, key), "node", "state", out, size);
}

/* ---- tables ---- */

static void print_row(const struct column *col, const int *width, const json_t *row)
{
	char cell[CELL];

	for (int c = 0; col[c].title; c++) {
		if (row)
			col[c].put(row, col[c].key, cell, sizeof(cell));
		else
			snprintf(cell, sizeof(cell), "%s", col[c].title);
		if (!col[c + 1].title && !col[c].right)
			printf("%s\n", cell); /* no blanks at the end of a line */
		else
			printf("%*s%s", col[c].right ? width[c] : -width[c], cell, col[c + 1].title ? "  " : "\n");
	}
}

void print_table(const struct column *col, const json_t *rows, const char *nothing)
{
	int width[16];
	char cell[CELL];
	json_t *row;
	size_t i;

	if (!json_array_size(rows)) {
		printf("%s\n", nothing);
		return;
	}
	for (int c = 0; col[c].title; c++) {
		width[c] = strlen(col[c].title);
		json_array_foreach(rows, i, row) {
			col[c].put(row, col[c].key, cell, sizeof(cell));
			if ((int)strlen(cell) > width[c])
				width[c] = strlen(cell);
		}
	}
	print_row(col, width, NULL);
	json_array_foreach(rows, i, row)
		print_row(col, width, row);
}

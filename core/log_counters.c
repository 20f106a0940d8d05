/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/log_counters.h"

#include "core/core.h"
#include "core/lu.h"

static uint64_t load(const uint64_t *c)
{
	return __atomic_load_n(c, __ATOMIC_RELAXED);
}

static struct log_traffic counted(const struct lu *lu)
{
	struct log_traffic t = { 0 };

	for (unsigned i = 0; i < lu->core->nreactors; i++) {
		const struct lu_shard *s = &lu->shard[i];

		t.reads += load(&s->reads);
		t.writes += load(&s->writes);
		t.read_bytes += load(&s->read_bytes);
		t.write_bytes += load(&s->write_bytes);
		t.read_ns += load(&s->read_ns);
		t.write_ns += load(&s->write_ns);
	}
	return t;
}

/* A counter that is read while the page is being reset may be older than its base. */
static uint64_t since(uint64_t now, const uint64_t *base)
{
	uint64_t b = load(base);

	return now > b ? now - b : 0;
}

struct log_traffic log_counters_since(const struct lu *lu, enum log_reset page)
{
	const struct log_traffic *base = &lu->log.base[page];
	struct log_traffic t = counted(lu);

	return (struct log_traffic){ .reads = since(t.reads, &base->reads),
				     .writes = since(t.writes, &base->writes),
				     .read_bytes = since(t.read_bytes, &base->read_bytes),
				     .write_bytes = since(t.write_bytes, &base->write_bytes),
				     .read_ns = since(t.read_ns, &base->read_ns),
				     .write_ns = since(t.write_ns, &base->write_ns) };
}

static void store(uint64_t *to, uint64_t v)
{
	__atomic_store_n(to, v, __ATOMIC_RELAXED);
}

void log_counters_reset(struct lu *lu, enum log_reset page, uint32_t generation)
{
	struct log_traffic *base = &lu->log.base[page], t = counted(lu);

	if (lu->log.generation[page] == generation)
		return;
	lu->log.generation[page] = generation;
	store(&base->reads, t.reads);
	store(&base->writes, t.writes);
	store(&base->read_bytes, t.read_bytes);
	store(&base->write_bytes, t.write_bytes);
	store(&base->read_ns, t.read_ns);
	store(&base->write_ns, t.write_ns);
}

int log_counters_of_page(uint8_t code)
{
	static const uint8_t codes[LOG_RESETS] = { 0x02, 0x03, 0x19 };

	for (int i = 0; i < LOG_RESETS; i++)
		if (codes[i] == code)
			return i;
	return -1;
}

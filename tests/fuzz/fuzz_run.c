/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HARNESS_fuzz CORPUS_DIR [MUTATIONS]: runs every file of the directory, then MUTATIONS inputs made of them by a fixed
 * seed: the same ones in every run. An input that crashes or hangs stays behind in the file that the message names.
 * HARNESS_fuzz FILE runs this file alone.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_MAX (64u << 10)
#define HANG_S 20

struct input {
	uint8_t *p;
	size_t len;
};

static struct input *corpus, at_hand;
static size_t ncorpus;
static const char *self;
static uint64_t seed = 20261121;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % below;
}

/* ---- what failed -------------------------------------------------------------------------------- */

static void say(const char *text)
{
	if (write(2, text, strlen(text)) < 0)
		return;
}

static void keep(void)
{
	char name[200];
	int fd;

	snprintf(name, sizeof(name), "%s.failed", self);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, at_hand.p, at_hand.len) < 0)
		say("the input could not be kept\n");
	close(fd);
	say("fuzz: the input is in ");
	say(name);
	say("; run the harness with it as its argument\n");
}

/* The sanitizers report, then abort; cmocka's assertions of the fakes exit. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "abort_on_error=1:quarantine_size_mb=32";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "abort_on_error=1:print_stacktrace=1:halt_on_error=1";
}

static void on_signal(int sig)
{
	if (sig == SIGALRM)
		say("fuzz: hangs\n");
	keep();
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void on_exit_early(void)
{
	if (at_hand.p)
		keep();
}

/* ---- inputs --------------------------------------------------------------------------------------- */

static void run(const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1); /* of its own size: what is read behind it is seen */

	FUZZ_CHECK(copy);
	memcpy(copy, p, len);
	at_hand = (struct input){ copy, len };
	alarm(HANG_S);
	LLVMFuzzerTestOneInput(copy, len);
	alarm(0);
	at_hand.p = NULL;
	free(copy);
}

static void load(const char *path)
{
	struct input i = { malloc(INPUT_MAX), 0 };
	FILE *f = fopen(path, "rb");

	if (!f || !i.p) {
		perror(path);
		exit(2);
	}
	i.len = fread(i.p, 1, INPUT_MAX, f);
	fclose(f);
	corpus = realloc(corpus, (ncorpus + 1) * sizeof(*corpus));
	FUZZ_CHECK(corpus);
	corpus[ncorpus++] = i;
}

static int not_hidden(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static void load_all(const char *dir)
{
	struct dirent **entry;
	char path[512];
	int n = scandir(dir, &entry, not_hidden, alphasort);

	if (n < 0) {
		perror(dir);
		exit(2);
	}
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry[i]->d_name);
		load(path);
		free(entry[i]);
	}
	free(entry);
}

/* ---- mutations ------------------------------------------------------------------------------------ */

static void flip(uint8_t *p, size_t len)
{
	if (len)
		p[rnd(len)] ^= 1 << rnd(8);
}

static void limit_value(uint8_t *p, size_t len)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xfe, 0xff };
	size_t at, n = 1u << rnd(4);

	if (len < n)
		return;
	at = rnd(len - n + 1);
	memset(p + at, values[rnd(sizeof(values))], n);
}

static size_t insert(uint8_t *p, size_t len)
{
	size_t at = rnd(len + 1), n = 1 + rnd(16);

	if (len + n > INPUT_MAX)
		return len;
	memmove(p + at + n, p + at, len - at);
	for (size_t i = 0; i < n; i++)
		p[at + i] = rnd(256);
	return len + n;
}

static size_t cut(uint8_t *p, size_t len)
{
	size_t at, n;

	if (!len)
		return 0;
	at = rnd(len);
	n = 1 + rnd(len - at);
	memmove(p + at, p + at + n, len - at - n);
	return len - n;
}

/* The beginning of p, then the end of another one. */
static size_t graft(uint8_t *p, size_t len)
{
	const struct input *o = &corpus[rnd(ncorpus)];
	size_t keep_len = rnd(len + 1), from = rnd(o->len + 1), n = o->len - from;

	if (keep_len + n > INPUT_MAX)
		return len;
	memcpy(p + keep_len, o->p + from, n);
	return keep_len + n;
}

static size_t mutate(uint8_t *p, size_t len)
{
	switch (rnd(6)) {
	case 0:
	case 1:
		flip(p, len);
		return len;
	case 2:
		limit_value(p, len);
		return len;
	case 3:
		return insert(p, len);
	case 4:
		return cut(p, len);
	}
	return graft(p, len);
}

static void mutations(unsigned long n)
{
	uint8_t *p = malloc(INPUT_MAX);

	FUZZ_CHECK(p);
	for (unsigned long i = 0; i < n; i++) {
		const struct input *from = &corpus[rnd(ncorpus)];
		size_t len = from->len;

		memcpy(p, from->p, len);
		for (uint32_t k = 1 + rnd(6); k; k--)
			len = mutate(p, len);
		run(p, len);
	}
	free(p);
}

int main(int argc, char **argv)
{
	unsigned long n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	struct stat st;

	if (argc < 2 || stat(argv[1], &st)) {
		fprintf(stderr, "usage: %s CORPUS_DIR [MUTATIONS] | FILE\n", argv[0]);
		return 2;
	}
	self = argv[0];
	signal(SIGABRT, on_signal);
	signal(SIGALRM, on_signal);
	atexit(on_exit_early);
	if (S_ISDIR(st.st_mode))
		load_all(argv[1]);
	else
		load(argv[1]);
	if (!ncorpus) {
		fprintf(stderr, "%s: no inputs\n", argv[1]);
		return 2;
	}
	for (size_t i = 0; i < ncorpus; i++)
		run(corpus[i].p, corpus[i].len);
	mutations(n);
	printf("%zu inputs, %lu mutations: well\n", ncorpus, n);
	for (size_t i = 0; i < ncorpus; i++)
		free(corpus[i].p);
	free(corpus);
	return 0;
}

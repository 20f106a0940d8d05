/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * block_writer DEVICE OFFSET SPAN STATUS - verified I/O on a block device, for the virtual machine.
 *
 * THREADS threads write and read blocks of 4 KiB, O_DIRECT, within SPAN bytes from OFFSET; a block
 * belongs to one thread, which knows the generation it has written last. Whatever a read gives must
 * be exactly that generation. SIGUSR1: the file STATUS says how it stands, and the longest I/O is
 * measured anew. SIGTERM: every block is read once more, STATUS is written, and the exit status is
 * 0 only when there was no error and no wrong block.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4
#define BLOCK 4096
#define WORDS (BLOCK / sizeof(uint64_t))

struct lane { /* one thread's blocks: those whose number modulo THREADS is its own */
	unsigned index;
	uint64_t *generations;
	uint64_t *buf;
	_Atomic uint64_t started_ms; /* of the I/O under way; 0: none */
};

static int fd;
static uint64_t offset, blocks;
static atomic_bool stop;
static _Atomic uint64_t writes, reads, errors, wrong, longest_ms;
static struct lane lanes[THREADS];

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void note_length(uint64_t ms)
{
	uint64_t seen = atomic_load(&longest_ms);

	while (ms > seen && !atomic_compare_exchange_weak(&longest_ms, &seen, ms))
		;
}

/* A block tells its place and its generation in every word. */
static uint64_t word(uint64_t block, uint64_t generation, size_t i)
{
	return (block << 40) ^ (generation << 10) ^ i ^ 0x9e3779b97f4a7c15u;
}

static bool transfer(struct lane *lane, uint64_t block, bool write)
{
	off_t at = (off_t)(offset + block * BLOCK);
	ssize_t n;

	atomic_store(&lane->started_ms, now_ms());
	n = write ? pwrite(fd, lane->buf, BLOCK, at) : pread(fd, lane->buf, BLOCK, at);
	note_length(now_ms() - atomic_exchange(&lane->started_ms, 0));
	if (n == BLOCK)
		return true;
	fprintf(stderr, "block_writer: %s of block %" PRIu64 ": %s\n", write ? "write" : "read", block,
		n < 0 ? strerror(errno) : "short");
	errors++;
	return false;
}

static void write_block(struct lane *lane, uint64_t slot)
{
	uint64_t block = slot * THREADS + lane->index, generation = lane->generations[slot] + 1;

	for (size_t i = 0; i < WORDS; i++)
		lane->buf[i] = word(block, generation, i);
	if (transfer(lane, block, true))
		lane->generations[slot] = generation;
	writes++;
}

static void read_block(struct lane *lane, uint64_t slot)
{
	uint64_t block = slot * THREADS + lane->index;

	reads++;
	if (lane->generations[slot] == 0 || !transfer(lane, block, false))
		return;
	for (size_t i = 0; i < WORDS; i++) {
		if (lane->buf[i] == word(block, lane->generations[slot], i))
			continue;
		fprintf(stderr, "block_writer: block %" PRIu64 " is not generation %" PRIu64 "\n", block,
			lane->generations[slot]);
		wrong++;
		return;
	}
}

static void *run_lane(void *arg)
{
	struct lane *lane = arg;
	uint64_t slots = blocks / THREADS;
	unsigned seed = lane->index + 1;

	while (!atomic_load(&stop)) {
		uint64_t slot = (uint64_t)rand_r(&seed) % slots;

		if (rand_r(&seed) & 1)
			write_block(lane, slot);
		else
			read_block(lane, slot);
	}
	for (uint64_t slot = 0; slot < slots; slot++)
		read_block(lane, slot);
	return NULL;
}

/* Renamed into place, so that a reader sees all of it. */
static void write_status(const char *path, bool done)
{
	char tmp[256];
	FILE *f;

	for (int i = 0; i < THREADS; i++) {
		uint64_t started = atomic_load(&lanes[i].started_ms);

		if (started)
			note_length(now_ms() - started);
	}
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	f = fopen(tmp, "w");
	if (!f || fprintf(f, "{\"writes\": %" PRIu64 ", \"reads\": %" PRIu64 ", \"errors\": %" PRIu64
			  ", \"wrong\": %" PRIu64 ", \"longest_ms\": %" PRIu64 ", \"done\": %s}\n",
			  writes, reads, errors, wrong, longest_ms, done ? "true" : "false") < 0 ||
	    fclose(f) != 0 || rename(tmp, path) != 0) {
		perror(path);
		exit(2);
	}
	atomic_store(&longest_ms, 0);
}

static void start_lanes(pthread_t *threads)
{
	for (unsigned i = 0; i < THREADS; i++) {
		lanes[i].index = i;
		lanes[i].generations = calloc(blocks / THREADS, sizeof(uint64_t));
		if (!lanes[i].generations || posix_memalign((void **)&lanes[i].buf, BLOCK, BLOCK) != 0 ||
		    pthread_create(&threads[i], NULL, run_lane, &lanes[i]) != 0) {
			fprintf(stderr, "block_writer: no memory or no thread\n");
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	sigset_t signals;
	int sig;

	if (argc != 5) {
		fprintf(stderr, "usage: block_writer DEVICE OFFSET SPAN STATUS\n");
		return 2;
	}
	offset = strtoull(argv[2], NULL, 0);
	blocks = strtoull(argv[3], NULL, 0) / BLOCK;
	fd = open(argv[1], O_RDWR | O_DIRECT);
	if (fd < 0 || offset % BLOCK || blocks < THREADS) {
		fprintf(stderr, "block_writer: %s, offset %s, span %s: %s\n", argv[1], argv[2], argv[3],
			fd < 0 ? strerror(errno) : "not usable");
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	start_lanes(threads);
	while (sigwait(&signals, &sig) == 0 && sig == SIGUSR1)
		write_status(argv[4], false);
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	write_status(argv[4], true);
	return errors || wrong ? 1 : 0;
}

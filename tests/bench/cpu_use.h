/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPU accounting from /proc. schedstat counts in nanoseconds; utime and stime in ticks of 10 ms, good for their ratio only.
 * All are running totals: take two samples and subtract.
 */
#ifndef SANDEM_BENCH_CPU_USE_H
#define SANDEM_BENCH_CPU_USE_H

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cpu_use {
	uint64_t run_ns;  /* on a CPU */
	uint64_t wait_ns; /* runnable, but another had the CPU: above a few percent the figures are not worth much */
	uint64_t user_ticks, system_ticks;
	uint64_t voluntary, involuntary; /* context switches */
};

/* The file as a string; false when it can't be read (the thread has ended). */
static inline bool proc_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	return true;
}

static inline uint64_t proc_number_after(const char *text, const char *label)
{
	const char *at = strstr(text, label);

	return at ? strtoull(at + strlen(label), NULL, 10) : 0;
}

static inline void cpu_use_add_schedstat(struct cpu_use *use, const char *path)
{
	char text[128], *end;

	if (!proc_read(path, text, sizeof(text)))
		return;
	use->run_ns += strtoull(text, &end, 10);
	use->wait_ns += strtoull(end, NULL, 10);
}

static inline void cpu_use_add_thread(struct cpu_use *use, int pid, const char *tid)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", pid, tid);
	cpu_use_add_schedstat(use, path);
	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status", pid, tid);
	if (!proc_read(path, text, sizeof(text)))
		return;
	use->voluntary += proc_number_after(text, "\nvoluntary_ctxt_switches:");
	use->involuntary += proc_number_after(text, "\nnonvoluntary_ctxt_switches:");
}

static inline void cpu_use_add_ticks(struct cpu_use *use, int pid)
{
	char path[64], text[1024], *after_name;
	unsigned long user, system;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!proc_read(path, text, sizeof(text)))
		return;
	after_name = strrchr(text, ')'); /* the name itself may hold blanks and brackets: proc(5) */
	if (!after_name || sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
				  &system) != 2)
		return;
	use->user_ticks = user;
	use->system_ticks = system;
}

/* All threads of a process; all zero when there is no such process. */
static inline struct cpu_use cpu_use_of(int pid)
{
	struct cpu_use use = { 0 };
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			cpu_use_add_thread(&use, pid, entry->d_name);
	if (dir)
		closedir(dir);
	cpu_use_add_ticks(&use, pid);
	return use;
}

static inline struct cpu_use cpu_use_between(const struct cpu_use *from, const struct cpu_use *to)
{
	return (struct cpu_use){
		.run_ns = to->run_ns - from->run_ns,
		.wait_ns = to->wait_ns - from->wait_ns,
		.user_ticks = to->user_ticks - from->user_ticks,
		.system_ticks = to->system_ticks - from->system_ticks,
		.voluntary = to->voluntary - from->voluntary,
		.involuntary = to->involuntary - from->involuntary,
	};
}

/* Time the hypervisor took from this machine, in ticks over all CPUs (8th number of /proc/stat's first line). */
static inline uint64_t cpu_use_stolen_ticks(void)
{
	unsigned long steal = 0;
	char text[256];

	if (proc_read("/proc/stat", text, sizeof(text)) &&
	    sscanf(text, "cpu %*u %*u %*u %*u %*u %*u %*u %lu", &steal) != 1)
		steal = 0;
	return steal;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The run directory: pid file with its lock, listening socket. */
#ifndef SANDEM_CONTROL_FILES_H
#define SANDEM_CONTROL_FILES_H

#include <stddef.h>
#include <sys/un.h>

struct control_files {
	int listen_fd;
	int pid_fd; /* flock()ed while the daemon lives */
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char pid_file[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* 0; -EBUSY when another daemon has the directory; another negative errno; err: object, cause, next step. */
int control_files_open(struct control_files *f, const char *run_dir, char *err, size_t errlen);
/* Removes and closes both. */
void control_files_close(struct control_files *f);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/control_files.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int set_paths(struct control_files *f, const char *run_dir, char *err, size_t errlen)
{
	if (snprintf(f->socket, sizeof(f->socket), "%s/control.sock", run_dir) >= (int)sizeof(f->socket)) {
		snprintf(err, errlen, "%s: the name is too long for a socket in it; use a --run-dir of at most %zu bytes",
			 run_dir, sizeof(f->socket) - sizeof("/control.sock"));
		return -ENAMETOOLONG;
	}
	snprintf(f->pid_file, sizeof(f->pid_file), "%s/sandemd.pid", run_dir);
	return 0;
}

static int make_dir(const char *run_dir, char *err, size_t errlen)
{
	if (mkdir(run_dir, 0755) == 0 || errno == EEXIST)
		return 0;
	snprintf(err, errlen, "%s: the run directory can't be made: %s; make it, or name another with --run-dir", run_dir,
		 strerror(errno));
	return -errno;
}

static int in_use(const char *pid_file, int fd, char *err, size_t errlen)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n < 0 ? 0 : strcspn(pid, "\n")] = 0;
	snprintf(err, errlen, "%s: another sandemd (pid %s) runs with this run directory; stop it, or give this one "
		 "directories of its own with --run-dir and --state-dir", pid_file, pid[0] ? pid : "unknown");
	return -EBUSY;
}

/* Another daemon that is just ending may have removed the file which we locked. */
static bool is_still_there(const char *path, int fd)
{
	struct stat a, b;

	return stat(path, &a) == 0 && fstat(fd, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int lock_pid_file(struct control_files *f, char *err, size_t errlen)
{
	int rc;

	for (;;) {
		f->pid_fd = open(f->pid_file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (f->pid_fd < 0)
			break;
		if (flock(f->pid_fd, LOCK_EX | LOCK_NB) < 0) {
			rc = in_use(f->pid_file, f->pid_fd, err, errlen);
			close(f->pid_fd);
			return rc;
		}
		if (is_still_there(f->pid_file, f->pid_fd)) {
			if (ftruncate(f->pid_fd, 0) == 0 && dprintf(f->pid_fd, "%d\n", (int)getpid()) > 0)
				return 0;
			break;
		}
		close(f->pid_fd);
	}
	rc = -errno;
	snprintf(err, errlen, "%s: the pid file can't be written: %s; check the run directory, or name another with "
		 "--run-dir", f->pid_file, strerror(errno));
	if (f->pid_fd >= 0)
		close(f->pid_fd);
	return rc;
}

/* With the lock held, a socket that is there belongs to nobody. */
static int remove_stale_socket(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlink(path) < 0 ? -errno : 0;
}

/* Pacemaker runs its alert agents as hacluster:haclient (the fencing alert calls sandemctl). Who is in that group commands
 * the resource agents, and so root, anyway. */
static void let_pacemaker_in(const char *socket)
{
	const struct group *g = getgrnam("haclient");

	if (g && chown(socket, (uid_t)-1, g->gr_gid) == 0)
		chmod(socket, 0660);
}

static int listen_on(struct control_files *f)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int rc;

	memcpy(a.sun_path, f->socket, sizeof(a.sun_path));
	f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->listen_fd < 0)
		return -errno;
	/* Before bind(), so that there is no moment in which others may connect. */
	if (fchmod(f->listen_fd, 0600) == 0 && bind(f->listen_fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	    listen(f->listen_fd, 64) == 0) {
		let_pacemaker_in(f->socket);
		return 0;
	}
	rc = -errno;
	close(f->listen_fd);
	return rc;
}

static int open_socket(struct control_files *f, char *err, size_t errlen)
{
	int rc = remove_stale_socket(f->socket);

	if (rc == 0)
		rc = listen_on(f);
	if (rc < 0)
		snprintf(err, errlen, "%s: the control socket can't be made: %s; check the run directory, or name another "
			 "with --run-dir", f->socket, strerror(-rc));
	return rc;
}

int control_files_open(struct control_files *f, const char *run_dir, char *err, size_t errlen)
{
	int rc = set_paths(f, run_dir, err, errlen);

	if (rc == 0)
		rc = make_dir(run_dir, err, errlen);
	if (rc == 0)
		rc = lock_pid_file(f, err, errlen);
	if (rc < 0)
		return rc;
	rc = open_socket(f, err, errlen);
	if (rc < 0) {
		unlink(f->pid_file);
		close(f->pid_fd);
	}
	return rc;
}

void control_files_close(struct control_files *f)
{
	unlink(f->socket);
	close(f->listen_fd);
	unlink(f->pid_file);
	close(f->pid_fd); /* last: releases the lock */
}

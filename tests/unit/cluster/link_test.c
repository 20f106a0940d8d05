/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The link between two nodes in one process, with a wire that breaks.
 *
 *   node 1 (origin)                      proxy                       node 2 (owner)
 *   nexus, LU "lu" GATE_FORWARD ══ TCP ══ ends connections at ══ TCP ══ LU "lu" GATE_ADMIT ── memory disk that counts
 *   2 reactors                            random bytes                  2 reactors
 *
 * The main thread is both nodes' control thread. Every write goes to blocks of its own, so that the
 * disk can count how often each was executed: once, however often the wire breaks (P6). /
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cluster/link.h"
#include "core/core.h"
#include "core/log.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/target.h"
#include "core/tmf.h"
#include "core/wire.h"

#define REACTORS 2
#define BLOCK 512u
#define PER_COMMAND 64u /* blocks that belong to a command; it uses 1 … all of them */
#define COMMANDS 3000u
#define DEPTH 48u
/* below those that the kernel gives away; another run of this test beside this one has others */
#define PORT_ORIGIN (10000 + getpid() % 7000 * 3)
#define PORT_OWNER (PORT_ORIGIN + 1)
#define PORT_PROXY (PORT_ORIGIN + 2)

/* ---- a disk in memory that counts -------------------------------------------------------------------------- */

static uint32_t step = BLOCK; /* of a block on the wire and in the disk: with protection information 8 bytes more */

struct count_disk {
	struct disk disk;
	uint8_t *data;
	uint8_t executed[COMMANDS]; /* writes that began at this command's blocks */
};

static void disk_serve(struct disk *disk, struct disk_io *io)
{
	struct count_disk *d = caa_container_of(disk, struct count_disk, disk);

	io->result = 0;
	if (io->kind == DISK_READ) {
		memcpy(io->buf, d->data + io->offset / BLOCK * step, io->length / BLOCK * step);
	} else if (io->kind == DISK_WRITE) {
		memcpy(d->data + io->offset / BLOCK * step, io->buf, io->length / BLOCK * step);
		__atomic_add_fetch(&d->executed[io->offset / BLOCK / PER_COMMAND], 1, __ATOMIC_RELAXED);
	}
	io->done(io);
}

static const struct disk_ops disk_ops = { .name = "count", .submit = disk_serve };

/* ---- a node ---------------------------------------------------------------------------------------------------- */

struct node {
	struct core core;
	struct reactor reactor[REACTORS];
	struct lu *lu, *lus[1];
	struct alua_gate gate;
	struct mode_state mode;
	struct link *link;
	struct target target, *targets[1];
	struct initiator_acl acl;
	struct lun_entry lun;
	char *pattern[1];
	struct nexus nexus[REACTORS];
	char key[64];
	bool tls;
};

static void on_changed(void *arg)
{
	(void)arg;
}

static void node_init(struct node *n, enum gate_verdict v, struct disk *disk)
{
	memset(n, 0, sizeof(*n));
	assert_int_equal(mailbox_init(&n->core.control), 0);
	n->core.nreactors = REACTORS;
	n->core.reactor = n->reactor;
	for (unsigned i = 0; i < REACTORS; i++)
		assert_int_equal(reactor_init(&n->reactor[i], &n->core, i, -1), 0);
	n->lu = n->lus[0] = lu_new(&n->core, "lu");
	n->core.lu = n->lus;
	n->core.nlus = 1;
	n->gate = (struct alua_gate){ .medium = v, .owner = 2, .epoch = 1, .hold_limit_ms = 20000,
				      .medium_sense = SENSE_LU_NOT_READY_TRANSITION, .local_state = v == GATE_FORWARD };
	n->mode.wce = true;
	n->lu->block_size = BLOCK;
	n->lu->blocks = COMMANDS * PER_COMMAND;
	n->lu->max_transfer_bytes = 1u << 20;
	n->lu->pi_type = step == BLOCK ? PI_NONE : PI_TYPE_1;
	n->lu->gate = &n->gate;
	n->lu->mode = &n->mode;
	n->lu->disk = disk;
	n->pattern[0] = "*";
	n->lun = (struct lun_entry){ .lu = n->lu };
	n->acl = (struct initiator_acl){ .pattern = n->pattern, .npatterns = 1, .lun = &n->lun, .nluns = 1 };
	n->target = (struct target){ .core = &n->core, .nacls = 1, .acl = &n->acl };
}

static void node_key(struct node *n, uint8_t value)
{
	int fd;

	strcpy(n->key, "/tmp/link-test-XXXXXX");
	fd = mkstemp(n->key);
	for (int i = 0; i < 32; i++)
		assert_int_equal(write(fd, &value, 1), 1);
	close(fd);
}

static bool stale_said; /* a word of a configuration that is gone; any thread */

static void listen_for_stale(enum log_level level, const char *line)
{
	(void)level;
	if (strstr(line, "GONE"))
		__atomic_store_n(&stale_said, true, __ATOMIC_RELAXED);
}

/* The configuration may be replaced while the link runs: what it was started with is gone at once. */
static void node_start(struct node *n, uint32_t id, uint16_t port_of_owner)
{
	char name[2][8] = { "one", "two" }, addr[2][16] = { "127.0.0.1", "127.0.0.1" };
	const struct link_node nodes[] = { { 1, name[0], addr[0], PORT_ORIGIN }, { 2, name[1], addr[1], port_of_owner } };
	struct link_params p = { .cluster = "demo", .node = id, .nodes = nodes, .nnodes = 2, .key_file = n->key, .tls = n->tls,
				 .core = &n->core, .changed = on_changed };
	char err[512] = "";

	if (link_start(&n->link, &p, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	for (unsigned i = 0; i < 2; i++) {
		strcpy(name[i], "GONE");
		strcpy(addr[i], "GONE");
	}
	for (unsigned i = 0; i < REACTORS; i++)
		assert_int_equal(reactor_start(&n->reactor[i]), 0);
}

static void node_stop(struct node *n)
{
	for (unsigned i = 0; i < REACTORS; i++)
		reactor_stop(&n->reactor[i]);
	mailbox_run(&n->core.control);
	for (unsigned i = 0; i < REACTORS; i++)
		reactor_fini(&n->reactor[i]);
	link_free(n->link);
	assert_false(stale_said);
	lu_free(n->lu);
	mailbox_fini(&n->core.control);
	unlink(n->key);
}

/* ---- the control thread of both: until check(arg), at most so long -------------------------------------------------- */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

static bool control(struct node *a, struct node *b, bool (*check)(void *arg), void *arg, uint64_t ms)
{
	uint64_t end = now_ms() + ms;

	while (!check(arg)) {
		struct pollfd p[] = { { a->core.control.efd, POLLIN, 0 }, { b->core.control.efd, POLLIN, 0 } };

		if (now_ms() > end)
			return false;
		poll(p, 2, 20);
		mailbox_drain_fd(&a->core.control);
		mailbox_run(&a->core.control);
		mailbox_drain_fd(&b->core.control);
		mailbox_run(&b->core.control);
	}
	return true;
}

static bool link_is_up(void *arg)
{
	struct node *n = arg;
	uint32_t ids[LINK_NODES_MAX];

	return link_to(n->link, ids) == 1 && ids[0] == 2;
}

/* ---- the wire: a thread that copies, and ends connections when so many bytes have passed --------------------------- */

#define WIRES 64

struct proxy {
	int listener, stop[2];
	pthread_t thread;
	unsigned breaks; /* connections ended */
	int64_t left;	 /* bytes until the next one ends; < 0: never */
	int fd[WIRES][2];
	unsigned n;
	unsigned seed;
	bool runs; /* as much of one byte as only the blocks of the load have has passed */
};

static int socket_at(uint16_t port, bool dial)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (dial ? connect(fd, (struct sockaddr *)&in, sizeof(in)) : bind(fd, (struct sockaddr *)&in, sizeof(in)) || listen(fd, 16)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void wire_end(struct proxy *p, unsigned i)
{
	const struct linger now = { .l_onoff = 1 };

	for (int k = 0; k < 2; k++) {
		setsockopt(p->fd[i][k], SOL_SOCKET, SO_LINGER, &now, sizeof(now)); /* what is under way is lost */
		close(p->fd[i][k]);
	}
	memmove(p->fd[i], p->fd[i + 1], (--p->n - i) * sizeof(p->fd[i]));
}

#define RUN_LEN 64

static bool has_run(const char *p, ssize_t n)
{
	ssize_t run = 1;

	for (ssize_t i = 1; i < n && run < RUN_LEN; i++)
		run = p[i] == p[i - 1] && p[i] ? run + 1 : 1;
	return run >= RUN_LEN;
}

/* False: the connection has ended. A break leaves a part of what was read on this side. */
static bool wire_copy(struct proxy *p, unsigned i, int from)
{
	char buf[16384];
	ssize_t n = recv(p->fd[i][from], buf, sizeof(buf), 0);
	bool cut = false;

	p->runs |= has_run(buf, n);
	if (n > 0 && p->left >= 0 && (p->left -= n) < 0) {
		p->left = rand_r(&p->seed) % 3000000;
		__atomic_add_fetch(&p->breaks, 1, __ATOMIC_RELAXED);
		cut = true;
		n = rand_r(&p->seed) % n;
	}
	if (n > 0 && send(p->fd[i][!from], buf, n, MSG_NOSIGNAL) != n)
		n = 0;
	if (n > 0 && !cut)
		return true;
	wire_end(p, i);
	return false;
}

static void *proxy_main(void *arg)
{
	struct proxy *p = arg;

	for (;;) {
		struct pollfd fds[2 + 2 * WIRES] = { { p->stop[0], POLLIN, 0 }, { p->listener, POLLIN, 0 } };
		unsigned n = p->n;

		for (unsigned i = 0; i < 2 * n; i++)
			fds[2 + i] = (struct pollfd){ p->fd[i / 2][i % 2], POLLIN, 0 };
		poll(fds, 2 + 2 * n, -1);
		if (fds[0].revents)
			break;
		for (unsigned i = n; i-- > 0;) /* from the end: those that go leave the ones before in place */
			for (int k = 0; k < 2; k++)
				if (fds[2 + 2 * i + k].revents && !wire_copy(p, i, k))
					break;
		if (fds[1].revents && p->n < WIRES) {
			int in = accept(p->listener, NULL, NULL), out = socket_at(PORT_OWNER, true);

			if (in >= 0 && out >= 0) {
				p->fd[p->n][0] = in;
				p->fd[p->n++][1] = out;
			} else {
				close(in);
				close(out);
			}
		}
	}
	while (p->n)
		wire_end(p, 0);
	return NULL;
}

static void proxy_start(struct proxy *p, int64_t left)
{
	*p = (struct proxy){ .left = left, .seed = 20261121 };
	p->listener = socket_at(PORT_PROXY, false);
	assert_true(p->listener >= 0);
	assert_int_equal(pipe(p->stop), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, proxy_main, p), 0);
}

static void proxy_stop(struct proxy *p)
{
	assert_int_equal(write(p->stop[1], "", 1), 1);
	pthread_join(p->thread, NULL);
	close(p->stop[0]);
	close(p->stop[1]);
	close(p->listener);
}

/* ---- the load: on each reactor of the origin, DEPTH commands at a time --------------------------------------------- */

struct load;
struct io {
	struct scsi_cmd cmd;
	struct load *load;
	unsigned number;
	bool reading;
};

struct load {
	struct node *node;
	unsigned index, next, running; /* numbers index, index + REACTORS, … */
	unsigned done, wrong;
	uint8_t status; /* of the first that was not good */
	struct msg start;
	struct io io[DEPTH];
};

static void io_start(struct io *io);

static unsigned blocks_of(unsigned number)
{
	return 1 + number * 7 % PER_COMMAND;
}

/* Each write is read back behind its answer. */
static void io_done(struct scsi_cmd *cmd)
{
	struct io *io = caa_container_of(cmd, struct io, cmd);
	struct load *l = io->load;
	bool good = cmd->status == STATUS_GOOD && !cmd->aborted;
	uint32_t len = blocks_of(io->number) * step;

	if (good && io->reading) {
		good = cmd->data_in_len == len;
		for (uint32_t i = 0; good && i < len; i++)
			good = cmd->buf[i] == (uint8_t)(io->number * 31 + 1);
	}
	if (!good && !l->wrong++)
		l->status = cmd->status;
	cmd_fini(cmd);
	if (!io->reading) {
		io->reading = true;
	} else {
		__atomic_add_fetch(&l->done, 1, __ATOMIC_RELEASE);
		io->reading = false;
		io->number = l->next;
		l->next += REACTORS;
	}
	if (io->number < COMMANDS)
		io_start(io);
}

static void io_start(struct io *io)
{
	struct scsi_cmd *cmd = &io->cmd;
	uint32_t len = blocks_of(io->number) * step;

	*cmd = (struct scsi_cmd){ .nexus = &io->load->node->nexus[io->load->index], .expected_len = len, .done = io_done,
				  .read = io->reading, .write = !io->reading };
	cmd->cdb[0] = io->reading ? 0x28 : 0x2a;
	cmd->cdb[1] = step == BLOCK ? 0 : 1 << 5; /* RDPROTECT, WRPROTECT */
	put_be32(cmd->cdb + 2, io->number * PER_COMMAND);
	put_be16(cmd->cdb + 7, blocks_of(io->number));
	cmd_init(cmd);
	cmd_decode(cmd);
	if (!io->reading && cmd_buf_alloc(cmd, len)) {
		memset(cmd->buf, io->number * 31 + 1, len);
		cmd->data_out_got = len;
	}
	cmd_execute(cmd);
}

static void load_start(struct msg *m)
{
	struct load *l = caa_container_of(m, struct load, start);
	struct nexus *n = &l->node->nexus[l->index];

	n->target = &l->node->target;
	n->id.rtpi = 257;
	snprintf(n->id.port, sizeof(n->id.port), "iqn.2026-11.test:i%u,i,0x00023d000001", l->index);
	strcpy(n->initiator, "iqn.2026-11.test:i");
	if (nexus_attach(n, &l->node->reactor[l->index]) < 0)
		abort();
	n->itl[0].ua.n = 0;
	for (unsigned i = 0; i < DEPTH; i++) {
		l->io[i] = (struct io){ .load = l, .number = l->next };
		l->next += REACTORS;
		io_start(&l->io[i]);
	}
}

static bool load_done(void *arg)
{
	struct load *l = arg;
	unsigned n = 0;

	for (unsigned i = 0; i < REACTORS; i++)
		n += __atomic_load_n(&l[i].done, __ATOMIC_ACQUIRE);
	return n == COMMANDS;
}

/* ---- the tests ---------------------------------------------------------------------------------------------------------- */

static struct count_disk disk;
static struct node origin, owner;
static struct load loads[REACTORS];
static struct proxy proxy;

static void nodes_init(int64_t left, uint8_t key_of_owner)
{
	log_setup(LOG_LEVEL_DEBUG, listen_for_stale);
	memset(&disk, 0, sizeof(disk));
	disk.disk = (struct disk){ .ops = &disk_ops, .size = (uint64_t)COMMANDS * PER_COMMAND * BLOCK };
	disk.data = calloc(COMMANDS * PER_COMMAND, step);
	node_init(&origin, GATE_FORWARD, NULL);
	node_init(&owner, GATE_ADMIT, &disk.disk);
	node_key(&origin, 1);
	node_key(&owner, key_of_owner);
	proxy_start(&proxy, left);
}

static void nodes_start(void)
{
	node_start(&owner, 2, PORT_OWNER);
	node_start(&origin, 1, PORT_PROXY);
}

static void begin(int64_t left, uint8_t key_of_owner, bool tls)
{
	nodes_init(left, key_of_owner);
	origin.tls = owner.tls = tls;
	nodes_start();
}

static void end(void)
{
	for (unsigned i = 0; i < REACTORS; i++)
		free(origin.nexus[i].itl);
	node_stop(&origin);
	node_stop(&owner);
	proxy_stop(&proxy);
	free(disk.data);
}

static void run_load(void)
{
	for (unsigned i = 0; i < REACTORS; i++) {
		loads[i] = (struct load){ .node = &origin, .index = i, .next = i, .start.fn = load_start };
		reactor_post(&origin.reactor[i], &loads[i].start);
	}
	if (!control(&origin, &owner, load_done, loads, 60000))
		fail_msg("not all commands have ended: %u + %u of %u, %u connections ended", loads[0].done, loads[1].done,
			 COMMANDS, proxy.breaks);
	for (unsigned i = 0; i < REACTORS; i++)
		if (loads[i].wrong)
			fail_msg("%u commands went wrong, the first with status %02x", loads[i].wrong, loads[i].status);
	for (unsigned i = 0; i < COMMANDS; i++)
		if (__atomic_load_n(&disk.executed[i], __ATOMIC_RELAXED) != 1)
			fail_msg("write %u was executed %u times", i, disk.executed[i]);
}

/* Each test runs plain and, with a state that says so, by TLS. */
static bool by_tls(void **state)
{
	return *state != NULL;
}

static void whole_wire(void **state)
{
	begin(-1, 1, by_tls(state));
	assert_true(control(&origin, &owner, link_is_up, &origin, 5000));
	run_load();
	end();
	assert_int_equal(proxy.breaks, 0);
	assert_int_equal(proxy.runs, !by_tls(state)); /* what is on the wire can be read, or can't */
}

static void breaking_wire(void **state)
{
	begin(100000, 1, by_tls(state));
	run_load(); /* which waits for the link, too */
	end();
	assert_true(proxy.breaks > 20);
	print_message("%u commands, %u connections ended\n", 2 * COMMANDS, proxy.breaks);
}

/* ---- an abort of what the owner executes ------------------------------------------------------------------------------- */

static struct disk_io *at_medium; /* the write that is held there */
static unsigned writes;
static struct msg go_on;

static void hold_writes(struct disk *d, struct disk_io *io)
{
	(void)d;
	io->result = 0;
	if (io->kind == DISK_WRITE && ++writes == 1)
		__atomic_store_n(&at_medium, io, __ATOMIC_RELEASE);
	else
		io->done(io);
}

static const struct disk_ops holding_ops = { .name = "hold", .submit = hold_writes };

static struct scsi_cmd write_same;
static struct tmf abort_task;
static struct msg start_write_same, start_abort, look;
static bool write_same_ended, abort_answered, seen_aborted;

static void on_write_same_done(struct scsi_cmd *cmd)
{
	cmd_fini(cmd);
	__atomic_store_n(&write_same_ended, true, __ATOMIC_RELEASE);
}

static void do_write_same(struct msg *m)
{
	static const uint8_t cdb[16] = { 0x93, [12] = 0x40 }; /* 16,384 blocks, in several steps */
	struct nexus *n = &origin.nexus[0];

	(void)m;
	n->target = &origin.target;
	strcpy(n->id.port, "iqn.2026-11.test:i,i,0x00023d000001");
	strcpy(n->initiator, "iqn.2026-11.test:i");
	if (nexus_attach(n, &origin.reactor[0]) < 0)
		abort();
	n->itl[0].ua.n = 0;
	write_same = (struct scsi_cmd){ .nexus = n, .tag = 77, .write = true, .expected_len = BLOCK, .done = on_write_same_done };
	memcpy(write_same.cdb, cdb, sizeof(cdb));
	cmd_init(&write_same);
	cmd_decode(&write_same);
	if (!cmd_buf_alloc(&write_same, BLOCK))
		abort();
	memset(write_same.buf, 1, BLOCK);
	write_same.data_out_got = BLOCK;
	cmd_execute(&write_same);
}

static void on_abort_answered(struct tmf *t)
{
	(void)t;
	__atomic_store_n(&abort_answered, true, __ATOMIC_RELEASE);
}

static void do_abort(struct msg *m)
{
	(void)m;
	abort_task = (struct tmf){ .function = TMF_ABORT_TASK, .nexus = &origin.nexus[0], .tag = 77, .done = on_abort_answered };
	tmf_start(&abort_task);
}

static bool is_set(void *arg)
{
	return __atomic_load_n((bool *)arg, __ATOMIC_ACQUIRE);
}

static bool is_held(void *arg)
{
	return __atomic_load_n((struct disk_io **)arg, __ATOMIC_ACQUIRE) != NULL;
}

static struct reactor_timer look_again;

/* The owner's reactor, until its command is marked. */
static void on_look(struct reactor_timer *t)
{
	struct scsi_cmd *cmd = caa_container_of(at_medium, struct scsi_cmd, io);

	if (cmd->aborted)
		__atomic_store_n(&seen_aborted, true, __ATOMIC_RELEASE);
	else
		reactor_timer_arm(&owner.reactor[0], t, 1000000);
}

static void do_look(struct msg *m)
{
	(void)m;
	look_again.fn = on_look;
	on_look(&look_again);
}

static void do_go_on(struct msg *m)
{
	(void)m;
	at_medium->done(at_medium);
}

/* A write of the origin is at the owner's medium, which does not answer. */
static void begin_at_the_medium(bool tls)
{
	at_medium = NULL;
	writes = 0;
	write_same_ended = false;
	nodes_init(-1, 1);
	origin.tls = owner.tls = tls;
	disk.disk.ops = &holding_ops;
	nodes_start();
	assert_true(control(&origin, &owner, link_is_up, &origin, 5000));
	start_write_same.fn = do_write_same;
	reactor_post(&origin.reactor[0], &start_write_same);
	assert_true(control(&origin, &owner, is_held, &at_medium, 5000));
}

/* SAM-5 7.2: what is executed elsewhere is aborted there; the answer comes when nothing more of it can reach the medium. */
static void abort_reaches_the_owner(void **state)
{
	abort_answered = seen_aborted = false;
	begin_at_the_medium(by_tls(state));
	start_abort.fn = do_abort;
	reactor_post(&origin.reactor[0], &start_abort);
	look.fn = do_look;
	reactor_post(&owner.reactor[0], &look);
	assert_true(control(&origin, &owner, is_set, &seen_aborted, 5000));
	assert_false(is_set(&abort_answered)); /* it is still at the medium */
	go_on.fn = do_go_on;
	reactor_post(&owner.reactor[0], &go_on);
	assert_true(control(&origin, &owner, is_set, &abort_answered, 5000));
	assert_true(is_set(&write_same_ended));
	assert_true(write_same.aborted);
	assert_int_equal(abort_task.response, TMF_COMPLETE);
	assert_int_equal(writes, 1); /* the rest was left out */
	end();
}

static struct alua_gate taken_over;
static struct resv_view reserved;
static struct lu_barrier_part parts[REACTORS];
static struct lu_barrier barrier;
static bool published;

static void on_published(struct lu_barrier *b)
{
	(void)b;
	published = true;
}

static bool all_sent(void *arg)
{
	return *(bool *)arg;
}

static void publish(struct alua_gate *gate)
{
	published = false;
	(void)lu_publish(origin.lu, gate, gate);
	barrier = (struct lu_barrier){ .lu = origin.lu, .part = parts, .done = on_published };
	lu_barrier_start(&barrier);
	assert_true(control(&origin, &owner, all_sent, &published, 5000));
}

static void reserved_by_another(void)
{
	reserved = (struct resv_view){ .generation = 99, .kind = RESV_KIND_PR, .type = PR_WRITE_EXCLUSIVE,
				       .holder = { .port = "iqn.2026-11.test:other,i,0x00023d000001", .rtpi = 1 } };
	(void)lu_publish(origin.lu, resv, &reserved);
}

/* SAM-5 5.3.1: RESERVATION CONFLICT says that the command has not been executed. The write is at the medium of an owner that is
 * then lost, and may be alive; somebody else reserves the logical unit. When the owner can't execute it any more (somebody else
 * was promoted, or its node is back without the group) the command is taken up again. */
static void after_the_loss_of_the_owner(void **state, const struct alua_gate *known)
{
	static struct alua_gate lost;

	begin_at_the_medium(by_tls(state));
	lost = taken_over = origin.gate;
	lost.lost = true; /* where the connection ends at once */
	lost.medium = GATE_HOLD;
	taken_over.medium = GATE_ADMIT;
	taken_over.lost = true;
	taken_over.owner = known->owner;
	taken_over.owner_off = known->owner_off;
	taken_over.epoch += known->epoch;
	reserved_by_another();
	publish(&lost);
	assert_false(control(&origin, &owner, is_set, &write_same_ended, 100));
	publish(&taken_over);
	assert_true(control(&origin, &owner, is_set, &write_same_ended, 5000));
	assert_int_equal(write_same.status, STATUS_CHECK_CONDITION);
	assert_int_equal(write_same.sense[2] & 0xf, KEY_ABORTED_COMMAND);
	go_on.fn = do_go_on;
	reactor_post(&owner.reactor[0], &go_on);
	end();
}

static void conflict_when_another_was_promoted(void **state)
{
	after_the_loss_of_the_owner(state, &(struct alua_gate){ .owner = 2, .epoch = 1 });
}

static void conflict_when_the_owner_is_known_to_be_off(void **state)
{
	after_the_loss_of_the_owner(state, &(struct alua_gate){ .owner = 2, .owner_off = true });
}

static void conflict_when_the_owner_is_back_without_the_group(void **state)
{
	after_the_loss_of_the_owner(state, &(struct alua_gate){ .owner = 0, .owner_off = true });
}

/* What travels with each block goes over the link with it, however often the wire breaks. */
static void protection_information(void **state)
{
	(void)state;
	step = BLOCK + PI_LEN;
	begin(100000, 1, false);
	run_load();
	end();
	step = BLOCK;
	assert_true(proxy.breaks > 20);
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static void wrong_key(void **state)
{
	begin(-1, 2, by_tls(state));
	assert_false(control(&origin, &owner, never, NULL, 500));
	assert_false(link_is_up(&origin));
	end();
}

/* Who wants TLS takes nobody who doesn't, and the other way round. */
static void one_side_tls(void **state)
{
	nodes_init(-1, 1);
	origin.tls = by_tls(state);
	owner.tls = !by_tls(state);
	nodes_start();
	assert_false(control(&origin, &owner, never, NULL, 500));
	assert_false(link_is_up(&origin));
	end();
}

/* Bytes from anybody: the connection ends, the daemon does not; a good link comes up beside it. */
static void strangers(void **state)
{
	char noise[4096];
	int fd[8];

	begin(-1, 1, by_tls(state));
	srandom(3);
	for (int i = 0; i < 8; i++) {
		fd[i] = socket_at(PORT_OWNER, true);
		assert_true(fd[i] >= 0);
		for (unsigned k = 0; k < sizeof(noise); k++)
			noise[k] = random();
		if (i % 2)
			memcpy(noise, "SNDL\1\5\0\0", 8); /* a COMMAND without a greeting */
		if (i % 4 == 3)
			memset(noise + 8, 0, 24);
		assert_true(send(fd[i], noise, sizeof(noise) >> i, MSG_NOSIGNAL) > 0);
	}
	assert_true(control(&origin, &owner, link_is_up, &origin, 5000));
	for (int i = 0; i < 8; i++) {
		struct pollfd p = { fd[i], POLLIN, 0 };

		assert_int_equal(poll(&p, 1, 5000), 1); /* ended at once, or for its silence */
		assert_true(recv(fd[i], noise, sizeof(noise), 0) <= 0);
		close(fd[i]);
	}
	end();
}

#define BY_TLS(test) { .name = #test " by TLS", .test_func = test, .initial_state = &owner }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_wire),
		BY_TLS(whole_wire),
		cmocka_unit_test(abort_reaches_the_owner),
		BY_TLS(abort_reaches_the_owner),
		cmocka_unit_test(conflict_when_another_was_promoted),
		BY_TLS(conflict_when_another_was_promoted),
		cmocka_unit_test(conflict_when_the_owner_is_back_without_the_group),
		cmocka_unit_test(conflict_when_the_owner_is_known_to_be_off),
		cmocka_unit_test(breaking_wire),
		BY_TLS(breaking_wire),
		cmocka_unit_test(protection_information),
		cmocka_unit_test(wrong_key),
		BY_TLS(wrong_key),
		cmocka_unit_test(one_side_tls),
		BY_TLS(one_side_tls),
		cmocka_unit_test(strangers),
		BY_TLS(strangers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

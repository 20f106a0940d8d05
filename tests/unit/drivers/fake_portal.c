/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_portal.h"

#include <arpa/inet.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/iscsi/conn.h"
#include "drivers/iscsi/digest.h"

#define WAIT_MS 5000

/* ---- the disk ----------------------------------------------------------------------------------- */

/* The test looks at the medium before a command is sent and after its answer has come. ThreadSanitizer does not know that
 * the socket orders the two. */
__attribute__((no_sanitize("thread"))) static void copy(uint8_t *to, const uint8_t *from, uint64_t len)
{
	while (len--)
		*to++ = *from++;
}

static void transfer(struct portal_fixture *f, struct disk_io *io)
{
	if (io->kind == DISK_READ)
		copy(io->buf, f->data + io->offset, io->length);
	else if (io->kind == DISK_WRITE)
		copy(f->data + io->offset, io->buf, io->length);
	io->result = 0;
}

static void submit(struct disk *d, struct disk_io *io)
{
	struct portal_fixture *f = caa_container_of(d, struct portal_fixture, disk);

	if (__atomic_exchange_n(&f->holding, false, __ATOMIC_SEQ_CST)) {
		__atomic_store_n(&f->held, io, __ATOMIC_SEQ_CST);
		return;
	}
	transfer(f, io);
	io->done(io);
}

static const struct disk_ops ops = { .name = "memory", .submit = submit };

void portal_hold(struct portal_fixture *f)
{
	__atomic_store_n(&f->holding, true, __ATOMIC_SEQ_CST);
}

bool portal_holds(struct portal_fixture *f)
{
	for (int i = 0; i < WAIT_MS; i++) {
		if (__atomic_load_n(&f->held, __ATOMIC_SEQ_CST))
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

static void on_release(struct msg *m)
{
	struct portal_fixture *f = caa_container_of(m, struct portal_fixture, release_msg);
	struct disk_io *io = __atomic_exchange_n(&f->held, NULL, __ATOMIC_SEQ_CST);

	transfer(f, io);
	io->done(io);
}

void portal_release(struct portal_fixture *f)
{
	f->release_msg.fn = on_release;
	reactor_post(f->held->reactor, &f->release_msg);
}

/* ---- the target --------------------------------------------------------------------------------- */

static void make_lu(struct portal_fixture *f, uint8_t pi_type)
{
	f->data = calloc(DISK_BLOCKS, BLOCK);
	f->disk = (struct disk){ .ops = &ops, .size = (uint64_t)DISK_BLOCKS * BLOCK };
	f->gate.medium = GATE_ADMIT;
	f->lu = f->lus[0] = lu_new(&f->core, "lu");
	f->lu->block_size = BLOCK;
	f->lu->pi_type = pi_type;
	f->lu->blocks = DISK_BLOCKS;
	f->lu->max_transfer_bytes = 16u << 20;
	f->lu->disk = &f->disk;
	f->lu->gate = &f->gate;
	f->lu->mode = &f->mode;
	f->core.lu = f->lus;
	f->core.nlus = 1;
}

static void make_targets(struct portal_fixture *f)
{
	f->pattern[0] = "iqn.2026-11.test:i*";
	f->lun = (struct lun_entry){ .lun = 0, .lu = f->lu };
	f->acl = (struct initiator_acl){ .pattern = f->pattern, .npatterns = 1, .lun = &f->lun, .nluns = 1 };
	f->portals[0] = (struct portal){ "10.77.0.1", 3260 };
	f->portals[1] = (struct portal){ "fd00::1", 3261 };
	f->portals[2] = (struct portal){ "10.77.0.2", 3260 };
	f->ports[0] = (struct target_port){ .tpgt = 1, .rtpi = 1, .nportals = 2, .portal = f->portals };
	f->ports[1] = (struct target_port){ .tpgt = 2, .rtpi = 2, .nportals = 1, .portal = f->portals + 2 };
	f->target = (struct target){ .name = TARGET, .core = &f->core, .nports = 2, .port = f->ports,
				     .local_port = 1, .nacls = 1, .acl = &f->acl };
	f->closed = (struct target){ .name = CLOSED_TARGET, .core = &f->core, .nports = 2, .port = f->ports,
				     .local_port = 1 };
	f->targets[0] = &f->target;
	f->targets[1] = &f->closed;
	f->core.target = f->targets;
	f->core.ntargets = 2;
}

static void *control_main(void *arg)
{
	struct portal_fixture *f = arg;
	struct pollfd p = { .fd = f->core.control.efd, .events = POLLIN };

	while (!f->ending) {
		poll(&p, 1, -1);
		mailbox_drain_fd(&f->core.control);
		mailbox_run(&f->core.control);
	}
	return NULL;
}

static void apply(struct iscsi_settings *s, const struct portal_options *o)
{
	iscsi_settings_default(s);
	s->logout_grace = o->logout_grace ? o->logout_grace : 50;
	if (o->nop_interval)
		s->nop_interval = o->nop_interval;
	if (o->nop_timeout)
		s->nop_timeout = o->nop_timeout;
	if (o->login_timeout)
		s->login_timeout = o->login_timeout;
	if (o->queue_depth)
		s->queue_depth = o->queue_depth;
	if (o->initial_r2t >= 0)
		s->initial_r2t = o->initial_r2t;
	if (o->immediate_data >= 0)
		s->immediate_data = o->immediate_data;
}

static void start_server(struct portal_fixture *f, const struct portal_options *o)
{
	struct portal here = { "127.0.0.1", 0 };
	struct iscsi_params p = { .portal = &here, .nportals = 1 };
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	char err[256];

	apply(&p.settings, o);
	assert_int_equal(iscsi_start(&f->server, &f->core, &p, err, sizeof(err)), 0);
	assert_int_equal(getsockname(f->server->listener[0].fd, (struct sockaddr *)&sin, &len), 0);
	f->port = ntohs(sin.sin_port);
}

struct portal_fixture *portal_up(const struct portal_options *o)
{
	struct portal_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	log_setup(getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, NULL);
	f->core.nreactors = 2;
	f->core.reactor = f->reactor;
	assert_int_equal(mailbox_init(&f->core.control), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(reactor_init(&f->reactor[i], &f->core, i, -1), 0);
	make_lu(f, o->pi_type);
	make_targets(f);
	start_server(f, o);
	assert_int_equal(pthread_create(&f->control, NULL, control_main, f), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(reactor_start(&f->reactor[i]), 0);
	return f;
}

struct call {
	struct msg msg;
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static void on_call(struct msg *m)
{
	struct call *c = caa_container_of(m, struct call, msg);

	c->fn(c->arg);
	sem_post(&c->done);
}

void portal_on_control(struct portal_fixture *f, void (*fn)(void *arg), void *arg)
{
	struct call c = { .msg.fn = on_call, .fn = fn, .arg = arg };

	sem_init(&c.done, 0, 0);
	core_post_control(&f->core, &c.msg);
	sem_wait(&c.done);
	sem_destroy(&c.done);
}

static void stopped(void *arg)
{
	((struct portal_fixture *)arg)->ending = true;
}

static void stop(void *arg)
{
	iscsi_stop(((struct portal_fixture *)arg)->server, stopped, arg);
}

void portal_down(struct portal_fixture *f)
{
	portal_on_control(f, stop, f);
	pthread_join(f->control, NULL);
	for (unsigned i = 0; i < 2; i++)
		reactor_stop(&f->reactor[i]);
	for (unsigned i = 0; i < 2; i++)
		reactor_fini(&f->reactor[i]);
	mailbox_fini(&f->core.control);
	lu_free(f->lu);
	free(f->data);
	free(f);
}

int portal_setup(void **state)
{
	struct portal_options o = { .initial_r2t = -1, .immediate_data = -1 };

	*state = portal_up(&o);
	return 0;
}

int portal_teardown(void **state)
{
	portal_down(*state);
	return 0;
}

/* ---- the client: bytes ---------------------------------------------------------------------------- */

void client_open(struct client *c, struct portal_fixture *f)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(f->port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	*c = (struct client){ .itt = 1, .cmdsn = 100, .isid = 0x00023d000001, .name = "iqn.2026-11.test:i" };
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
}

void client_close(struct client *c)
{
	free(c->in.data);
	c->in.data = NULL;
	close(c->fd);
}

void client_raw(struct client *c, const void *p, size_t len)
{
	const char *b = p;

	while (len) {
		ssize_t n = send(c->fd, b, len, MSG_NOSIGNAL);

		if (n <= 0) /* the target has closed: the test looks at what it receives */
			return;
		b += n;
		len -= n;
	}
}

void client_send(struct client *c, const struct pdu *p)
{
	uint32_t pad = pdu_pad(p->len), n = BHS_LEN + p->ahs_len;
	uint8_t *b = calloc(1, n + p->len + pad + 2 * DIGEST_LEN);

	memcpy(b, p->bhs, BHS_LEN);
	b[BHS_AHS_LEN] = p->ahs_len / 4;
	put_be24(b + BHS_DATA_LEN, p->len);
	memcpy(b + BHS_LEN, p->ahs, p->ahs_len);
	if (c->header_digest) {
		digest_put(b + n, digest_header(DIGEST_SEED, b, n));
		n += DIGEST_LEN;
	}
	if (p->len) {
		memcpy(b + n, p->data, p->len);
		if (c->data_digest)
			digest_put(b + n + p->len + pad, digest_data(DIGEST_SEED, b + n, p->len + pad));
		n += p->len + pad + (c->data_digest ? DIGEST_LEN : 0);
	}
	client_raw(c, b, n);
	free(b);
}

static bool take(struct client *c, void *p, size_t len)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
	char *b = p;

	while (len) {
		ssize_t n;

		assert_int_equal(poll(&pfd, 1, WAIT_MS), 1); /* the target must answer or close */
		n = recv(c->fd, b, len, 0);
		if (n <= 0)
			return false;
		b += n;
		len -= n;
	}
	return true;
}

static bool take_data(struct client *c)
{
	uint32_t len = c->in.len + pdu_pad(c->in.len);
	uint8_t digest[DIGEST_LEN];

	c->in.data = malloc(len + 1);
	if (!take(c, c->in.data, len))
		return false;
	c->in.data[c->in.len] = '\0';
	if (!c->data_digest)
		return true;
	if (!take(c, digest, DIGEST_LEN))
		return false;
	memset(c->in.data + c->in.len, 0, len - c->in.len);
	assert_int_equal(digest_get(digest), digest_data(DIGEST_SEED, c->in.data, len));
	return true;
}

bool client_recv(struct client *c)
{
	uint8_t digest[DIGEST_LEN];

	free(c->in.data);
	c->in = (struct pdu){ 0 };
	if (!take(c, c->in.bhs, BHS_LEN))
		return false;
	if (c->header_digest) {
		assert_true(take(c, digest, DIGEST_LEN));
		assert_int_equal(digest_get(digest), digest_header(DIGEST_SEED, c->in.bhs, BHS_LEN));
	}
	c->in.len = get_be24(c->in.bhs + BHS_DATA_LEN);
	return !c->in.len || take_data(c);
}

bool client_silent(struct client *c, int ms)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 0;
}

void client_expect(struct client *c, uint8_t opcode)
{
	assert_true(client_recv(c));
	assert_int_equal(c->in.bhs[0], opcode);
}

int client_expect_close(struct client *c)
{
	int reason = -1;

	while (client_recv(c))
		if (c->in.bhs[0] == OP_REJECT)
			reason = c->in.bhs[REJECT_REASON];
	return reason;
}

/* ---- the client: login ------------------------------------------------------------------------------ */

int client_login_pdu(struct client *c, uint8_t flags, const char *text, size_t len)
{
	struct pdu p = { .bhs = { OP_LOGIN_REQ | BHS_IMMEDIATE, flags }, .data = (uint8_t *)text, .len = len };

	put_be16(p.bhs + LOGIN_ISID, c->isid >> 32);
	put_be32(p.bhs + LOGIN_ISID + 2, c->isid);
	put_be16(p.bhs + LOGIN_TSIH, c->tsih);
	put_be32(p.bhs + BHS_ITT, c->itt);
	put_be32(p.bhs + BHS_CMDSN, c->cmdsn);
	client_send(c, &p);
	client_expect(c, OP_LOGIN_RSP);
	assert_int_equal(get_be32(c->in.bhs + BHS_ITT), c->itt);
	return get_be16(c->in.bhs + LOGIN_STATUS);
}

int client_login(struct client *c, const char *target, const char *more, size_t len)
{
	char text[4096];
	int n = snprintf(text, sizeof(text), "InitiatorName=%s%cSessionType=%s%c", c->name, 0,
			 target ? "Normal" : "Discovery", 0);
	int status;

	if (target)
		n += snprintf(text + n, sizeof(text) - n, "TargetName=%s%c", target, 0);
	memcpy(text + n, more, len);
	status = client_login_pdu(c, LOGIN_TRANSIT | 1 << 2 | 3, text, n + len);
	if (status == LOGIN_OK && c->in.bhs[BHS_FLAGS] == (LOGIN_TRANSIT | 1 << 2 | 3)) {
		const char *h = client_key(c, "HeaderDigest"), *d = client_key(c, "DataDigest");

		c->header_digest = h && !strcmp(h, "CRC32C");
		c->data_digest = d && !strcmp(d, "CRC32C");
		c->itt++;
	}
	return status;
}

void client_start(struct client *c, struct portal_fixture *f)
{
	client_open(c, f);
	assert_int_equal(client_login_keys(c, TARGET, "InitialR2T=No\0ImmediateData=Yes\0"), LOGIN_OK);
	assert_int_equal(client_ready(c), STATUS_CHECK_CONDITION); /* 29h/00h power on */
	assert_int_equal(client_ready(c), STATUS_GOOD);
}

const char *client_key(const struct client *c, const char *key)
{
	const char *p = (const char *)c->in.data, *end = p + c->in.len;
	size_t n = strlen(key);

	for (; p && p < end; p += strlen(p) + 1)
		if (strncmp(p, key, n) == 0 && p[n] == '=')
			return p + n + 1;
	return NULL;
}

/* ---- the client: commands --------------------------------------------------------------------------- */

void client_command(struct client *c, uint8_t flags, const uint8_t cdb[16], uint32_t expected, const void *data,
		    uint32_t len)
{
	struct pdu p = { .bhs = { OP_SCSI_CMD, flags | 1 }, .data = (uint8_t *)data, .len = len };

	put_be32(p.bhs + BHS_ITT, c->itt++);
	put_be32(p.bhs + CMD_EXPECTED_LEN, expected);
	put_be32(p.bhs + BHS_CMDSN, c->cmdsn++);
	memcpy(p.bhs + CMD_CDB, cdb, 16);
	client_send(c, &p);
}

static void cdb_rw(uint8_t cdb[16], uint8_t opcode, uint32_t lba, uint16_t blocks)
{
	memset(cdb, 0, 16);
	cdb[0] = opcode;
	put_be32(cdb + 2, lba);
	put_be16(cdb + 7, blocks);
}

void cdb_read(uint8_t cdb[16], uint32_t lba, uint16_t blocks)
{
	cdb_rw(cdb, 0x28, lba, blocks);
}

void cdb_write(uint8_t cdb[16], uint32_t lba, uint16_t blocks)
{
	cdb_rw(cdb, 0x2a, lba, blocks);
}

int client_ready(struct client *c)
{
	static const uint8_t tur[16];

	client_command(c, FLAG_FINAL, tur, 0, NULL, 0);
	client_expect(c, OP_SCSI_RSP);
	assert_int_equal(get_be32(c->in.bhs + BHS_ITT), c->itt - 1);
	return c->in.bhs[RSP_STATUS];
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/etcd_sync.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster/store_etcd.h"
#include "core/log.h"
#include "daemon/config/config.h"
#include "daemon/config/generation.h"
#include "daemon/daemon.h"
#include "daemon/etcd_record.h"

#define TIMEOUT_MS 3000 /* per endpoint and call */
#define WATCH_S 20	/* so often it is looked whether etcd is there still */
#define RETRY_S 2
#define KEY_MAX 32

struct said { /* a key with what it is to have */
	char key[KEY_MAX];
	char *text;
};

struct wish { /* what etcd is to know; made by the control thread */
	struct replog_lineage lineage;
	uint64_t config;
	bool override;
	size_t n;
	struct said config_said[CONFIG_HISTORY];
};

struct content { /* what etcd has */
	bool has_newest;
	struct etcd_record newest;
	size_t n, cap;
	struct said *config;
	int bad; /* a record can't be read: nothing is overwritten (P9) */
};

struct etcd_sync {
	struct daemon *d;
	struct store *store;
	char node[256];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	bool running, stopping, interrupt; /* interrupt: whatever is asked of etcd ends soon */
	struct wish *wish;		   /* under lock: the next one */
	struct wish *now;		   /* the thread's */
	/* the control thread's: */
	bool reachable, newer, override;
	char why[512], endpoint[256];
	bool has_newest;
	struct etcd_record newest;
	struct config_generation config; /* of the first reading; number 0: none */
};

struct news {
	struct msg msg;
	struct etcd_sync *s;
	int rc;
	bool newer, has_newest;
	struct etcd_record newest;
	char why[512], endpoint[256];
};

/* ---- wishes, contents ------------------------------------------------------------------------------------- */

static void wish_free(struct wish *w)
{
	for (size_t i = 0; w && i < w->n; i++)
		free(w->config_said[i].text);
	free(w);
}

static void content_fini(struct content *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->config[i].text);
	free(c->config);
}

static int content_config(struct content *c, const char *key, const void *value, size_t len)
{
	struct said *list;

	if (strlen(key) >= KEY_MAX || c->n == 1000)
		return 0; /* not one of ours */
	list = reallocarray(c->config, c->n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	c->config = list;
	snprintf(list[c->n].key, sizeof(list[c->n].key), "%s", key);
	list[c->n].text = strndup(value, len);
	return list[c->n++].text ? 0 : -ENOMEM;
}

static int note_key(void *arg, const char *key, const void *value, size_t len)
{
	struct content *c = arg;

	if (!strncmp(key, ETCD_KEY_CONFIG, strlen(ETCD_KEY_CONFIG)))
		return content_config(c, key, value, len);
	if (strcmp(key, ETCD_KEY_NEWEST))
		return 0;
	c->has_newest = etcd_record_parse(&c->newest, value, len) == 0;
	c->bad |= !c->has_newest;
	return 0;
}

static const char *text_at(const struct said *list, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i].key, key))
			return list[i].text;
	return NULL;
}

/* ---- one round --------------------------------------------------------------------------------------------- */

static int put_one(struct etcd_sync *s, const char *key, const char *text)
{
	struct store_batch *b = store_batch_new();
	int rc;

	if (!b)
		return -ENOMEM;
	store_batch_put(b, key, text, text ? strlen(text) : 0);
	rc = store_commit(s->store, b);
	store_batch_free(b);
	return rc;
}

/* One by one: each is as large as a transaction may be. */
static int put_configs(struct etcd_sync *s, const struct wish *w, const struct content *c)
{
	int rc = 0;

	for (size_t i = 0; i < w->n && !rc; i++) {
		const char *has = text_at(c->config, c->n, w->config_said[i].key);

		if (!has || strcmp(has, w->config_said[i].text))
			rc = put_one(s, w->config_said[i].key, w->config_said[i].text);
	}
	for (size_t i = 0; i < c->n && !rc; i++)
		if (!text_at(w->config_said, w->n, c->config[i].key))
			rc = put_one(s, c->config[i].key, NULL);
	return rc;
}

static int put_newest(struct etcd_sync *s, const struct wish *w, struct content *c)
{
	struct etcd_record r = { .generation = w->lineage.generation, .history = w->lineage.history,
				 .position = w->lineage.position, .config = w->config };
	char *text;
	int rc;

	snprintf(r.node, sizeof(r.node), "%s", s->node);
	text = etcd_record_text(&r);
	rc = text ? put_one(s, ETCD_KEY_NEWEST, text) : -ENOMEM;
	free(text);
	if (!rc) {
		c->newest = r;
		c->has_newest = true;
	}
	return rc;
}

/* *newer: etcd knows a history that went on without this node. */
static int round_once(struct etcd_sync *s, struct content *c, bool *newer)
{
	const struct wish *w = s->now;
	enum etcd_verdict v = ETCD_OLDER;
	int rc = store_each(s->store, note_key, c);

	if (rc || !w)
		return rc;
	if (c->bad && !w->override)
		return -EBADMSG;
	if (c->has_newest)
		v = etcd_record_judge(&c->newest, &w->lineage, w->config);
	*newer = v == ETCD_NEWER && !w->override;
	if (*newer)
		return 0;
	rc = put_configs(s, w, c);
	if (!rc && v != ETCD_SAME)
		rc = put_newest(s, w, c);
	return rc;
}

/* ---- the thread ---------------------------------------------------------------------------------------------- */

static void told(struct msg *m);

static const char *cause_of(struct etcd_sync *s, int rc, const struct content *c)
{
	if (c->bad)
		return "the record \"newest\" of the cluster in etcd can't be read: is another version of sandemd at work? Remove "
		       "it, or `sandemctl cluster resolve --keep` this node";
	return rc == -ENOMEM ? "out of memory" : store_etcd_error(s->store);
}

static void report(struct etcd_sync *s, int rc, bool newer, const struct content *c)
{
	struct news *n = calloc(1, sizeof(*n));

	if (!n)
		return; /* the next round says it */
	*n = (struct news){ .msg = { .fn = told }, .s = s, .rc = rc, .newer = newer, .has_newest = c->has_newest,
			    .newest = c->newest };
	snprintf(n->why, sizeof(n->why), "%s", rc ? cause_of(s, rc, c) : "");
	snprintf(n->endpoint, sizeof(n->endpoint), "%s", store_etcd_endpoint(s->store));
	core_post_control(&s->d->core, &n->msg);
}

/* True: stop. */
static bool take_wish(struct etcd_sync *s)
{
	bool stop;

	pthread_mutex_lock(&s->lock);
	stop = s->stopping;
	if (s->wish) {
		wish_free(s->now);
		s->now = s->wish;
		s->wish = NULL;
	}
	if (!stop)
		__atomic_store_n(&s->interrupt, false, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&s->lock);
	return stop;
}

/* Until there is something new to say, or the time to try again. */
static void rest(struct etcd_sync *s)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RETRY_S;
	pthread_mutex_lock(&s->lock);
	while (!s->interrupt && pthread_cond_timedwait(&s->more, &s->lock, &until) == 0)
		;
	pthread_mutex_unlock(&s->lock);
}

static void *thread(void *arg)
{
	struct etcd_sync *s = arg;

	while (!take_wish(s)) {
		struct content c = { 0 };
		bool newer = false;
		int rc = round_once(s, &c, &newer);

		if (rc != -ECANCELED && rc != -ESTALE)
			report(s, rc, newer, &c);
		content_fini(&c);
		if (rc == 0)
			rc = store_etcd_wait(s->store, WATCH_S);
		if (rc && rc != -ETIMEDOUT && rc != -ESTALE && rc != -ECANCELED)
			rest(s);
	}
	return NULL;
}

/* ---- the control thread's part -------------------------------------------------------------------------------------- */

static void note_reachable(struct etcd_sync *s, bool reachable, const char *why)
{
	if (reachable && !s->reachable)
		log_notice("etcd %s: reachable", s->endpoint);
	else if (!reachable && (s->reachable || strcmp(why, s->why)))
		log_warning("%s; the cluster goes on without etcd, and tells it what is new when it is back", why);
	s->reachable = reachable;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

static void told(struct msg *m)
{
	struct news *n = caa_container_of(m, struct news, msg);
	struct etcd_sync *s = n->s;

	snprintf(s->endpoint, sizeof(s->endpoint), "%s", n->endpoint);
	note_reachable(s, n->rc == 0, n->why);
	if (n->rc == 0) {
		s->has_newest = n->has_newest;
		s->newest = n->newest;
		if (n->newer && !s->newer)
			log_error("etcd: node %s has told of a newer state (generation %llu) than this node's: this node is stale, or "
				  "the state of the others is lost; in that case `sandemctl cluster resolve --keep %s` on this node",
				  n->newest.node, (unsigned long long)n->newest.generation, s->node);
		s->newer = n->newer;
	}
	free(n);
}

static struct wish *make_wish(struct etcd_sync *s)
{
	const struct config_service *svc = s->d->generations;
	const struct config_generation *g = config_service_current(svc);
	struct wish *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	cluster_lineage(s->d->cluster, &w->lineage);
	w->config = g ? g->number : 0;
	w->override = s->override;
	for (size_t i = 0; i < svc->n; i++, w->n++) {
		snprintf(w->config_said[i].key, KEY_MAX, "%s%010llu", ETCD_KEY_CONFIG,
			 (unsigned long long)svc->generation[i].number);
		w->config_said[i].text = etcd_generation_text(&svc->generation[i]);
		if (!w->config_said[i].text) {
			wish_free(w);
			return NULL;
		}
	}
	return w;
}

void etcd_sync_push(struct daemon *d)
{
	struct etcd_sync *s = d->etcd;
	struct wish *w;

	if (!s || !s->running || cluster_state(d->cluster) != CLUSTER_SERVING)
		return;
	w = make_wish(s);
	if (!w) {
		log_error("etcd: out of memory for what it is to be told");
		return;
	}
	if (!w->lineage.generation) { /* nothing has been committed yet */
		wish_free(w);
		return;
	}
	pthread_mutex_lock(&s->lock);
	wish_free(s->wish);
	s->wish = w;
	__atomic_store_n(&s->interrupt, true, __ATOMIC_RELEASE);
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->lock);
}

void etcd_sync_override(struct daemon *d)
{
	if (d->etcd)
		d->etcd->override = true;
}

void etcd_sync_newest(const struct daemon *d, uint64_t *generation, uint64_t *history)
{
	const struct etcd_sync *s = d->etcd;

	*generation = s && s->has_newest ? s->newest.generation : 0;
	*history = s && s->has_newest ? s->newest.history : 0;
}

const struct config_generation *etcd_sync_config(const struct daemon *d)
{
	return d->etcd && d->etcd->config.number ? &d->etcd->config : NULL;
}

json_t *etcd_sync_json(const struct daemon *d)
{
	const struct etcd_sync *s = d->etcd;
	json_t *newest;

	if (!s)
		return NULL;
	newest = s->has_newest ? json_pack("{s:I, s:I, s:s}", "generation", (json_int_t)s->newest.generation, "config",
					   (json_int_t)s->newest.config, "node", s->newest.node) : json_null();
	return json_pack("{s:s, s:b, s:s, s:s, s:b, s:o}", "type", "etcd", "reachable", s->reachable, "endpoint",
			 s->endpoint, "why", s->why, "stale", s->newer, "newest", newest);
}

/* ---- life -------------------------------------------------------------------------------------------------------------- */

/* The first line of the file. To be freed; NULL with err. */
static char *read_password(const char *file, char *err, size_t errlen)
{
	FILE *f = fopen(file, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n = f ? getline(&line, &cap, f) : -1;

	if (n < 1)
		snprintf(err, errlen, "store.password_file %s: %s; write the password of etcd's user into its first line", file,
			 f ? "it is empty" : strerror(errno));
	if (f)
		fclose(f);
	if (n < 1) {
		free(line);
		return NULL;
	}
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

static void first_look(struct etcd_sync *s)
{
	struct content c = { 0 };
	int rc = store_each(s->store, note_key, &c);
	const char *last = NULL;

	snprintf(s->endpoint, sizeof(s->endpoint), "%s", store_etcd_endpoint(s->store));
	if (!rc && c.bad)
		rc = -EBADMSG;
	note_reachable(s, rc == 0, rc ? cause_of(s, rc, &c) : "");
	if (rc)
		log_warning("etcd: so nobody can say whether this node's state is stale");
	s->has_newest = !rc && c.has_newest;
	s->newest = c.newest;
	for (size_t i = 0; i < c.n && !rc; i++) /* in order of the numbers */
		last = c.config[i].text;
	if (last && etcd_generation_parse(&s->config, last, strlen(last)) < 0)
		log_warning("etcd: the newest generation of the configuration there can't be read; it is not used");
	content_fini(&c);
}

static int open_store(struct etcd_sync *s, char *err, size_t errlen)
{
	const struct config_store *c = &s->d->config->store;
	struct etcd_params p = { .nendpoints = c->nendpoints, .ca = c->ca, .cert = c->cert, .key = c->key,
				 .user = c->user, .timeout_ms = TIMEOUT_MS, .stop = &s->interrupt };
	char prefix[128], *password = NULL;
	int rc;

	for (size_t i = 0; i < c->nendpoints; i++)
		p.endpoint[i] = c->endpoint[i];
	if (c->password_file && !(password = read_password(c->password_file, err, errlen)))
		return -EINVAL;
	p.password = password;
	snprintf(prefix, sizeof(prefix), "/sandem/%s/", s->d->config->cluster);
	snprintf(err, errlen, "etcd: out of memory");
	rc = store_etcd_open(&p, prefix, &s->store);
	if (password)
		explicit_bzero(password, strlen(password));
	free(password);
	return rc;
}

int etcd_sync_start(struct daemon *d, char *err, size_t errlen)
{
	struct etcd_sync *s;
	int rc;

	if (d->config->store.type != CONFIG_STORE_ETCD)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s || curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(s);
		snprintf(err, errlen, "etcd: out of memory");
		return -ENOMEM;
	}
	s->d = d;
	s->reachable = true; /* else it is told */
	snprintf(s->node, sizeof(s->node), "%s", d->node_name);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->more, NULL);
	d->etcd = s;
	rc = open_store(s, err, errlen);
	if (!rc)
		first_look(s);
	return rc;
}

int etcd_sync_run(struct daemon *d)
{
	struct etcd_sync *s = d->etcd;
	int rc = s ? pthread_create(&s->thread, NULL, thread, s) : 0;

	if (s)
		s->running = rc == 0;
	return -rc;
}

void etcd_sync_stop(struct daemon *d)
{
	struct etcd_sync *s = d->etcd;

	if (!s)
		return;
	if (s->running) {
		pthread_mutex_lock(&s->lock);
		s->stopping = true;
		__atomic_store_n(&s->interrupt, true, __ATOMIC_RELEASE);
		pthread_cond_signal(&s->more);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
		mailbox_run(&d->core.control); /* its last news */
	}
	store_close(s->store);
	wish_free(s->wish);
	wish_free(s->now);
	config_generation_fini(&s->config);
	free(s);
	d->etcd = NULL;
}

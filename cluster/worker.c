/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/worker.h"

static void run_done(struct msg *m)
{
	struct work *w = caa_container_of(m, struct work, msg);

	w->done(w);
}

static struct work *next_work(struct worker *wk)
{
	struct work *w = NULL;

	pthread_mutex_lock(&wk->lock);
	while (cds_list_empty(&wk->queue) && !wk->stopping)
		pthread_cond_wait(&wk->more, &wk->lock);
	if (!cds_list_empty(&wk->queue)) {
		w = cds_list_first_entry(&wk->queue, struct work, link);
		cds_list_del(&w->link);
	}
	pthread_mutex_unlock(&wk->lock);
	return w;
}

static void *worker_main(void *arg)
{
	struct worker *wk = arg;
	struct work *w;

	while ((w = next_work(wk))) {
		w->run(w);
		w->msg.fn = run_done;
		mailbox_post(wk->home, &w->msg);
	}
	return NULL;
}

int worker_init(struct worker *wk, struct mailbox *home)
{
	int err;

	*wk = (struct worker){ .home = home };
	CDS_INIT_LIST_HEAD(&wk->queue);
	pthread_mutex_init(&wk->lock, NULL);
	pthread_cond_init(&wk->more, NULL);
	err = pthread_create(&wk->thread, NULL, worker_main, wk);
	if (!err)
		return 0;
	pthread_cond_destroy(&wk->more);
	pthread_mutex_destroy(&wk->lock);
	return -err;
}

void worker_queue(struct worker *wk, struct work *w)
{
	pthread_mutex_lock(&wk->lock);
	cds_list_add_tail(&w->link, &wk->queue);
	pthread_cond_signal(&wk->more);
	pthread_mutex_unlock(&wk->lock);
}

void worker_fini(struct worker *wk)
{
	pthread_mutex_lock(&wk->lock);
	wk->stopping = true;
	pthread_cond_signal(&wk->more);
	pthread_mutex_unlock(&wk->lock);
	pthread_join(wk->thread, NULL);
	pthread_cond_destroy(&wk->more);
	pthread_mutex_destroy(&wk->lock);
}

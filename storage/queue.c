/* SPDX-License-Identifier: ISC */
/*
 * Queues of jobs between the loop, the writer threads and the commit thread.
 * What is pushed after a stop is still taken: the queue is empty only when
 * nothing is left to be answered.
 */
#include "storage/filer_private.h"

#include <errno.h>
#include <time.h>

void
pw_queue_init(struct pw_queue *q)
{
	pthread_condattr_t attr;

	*q = (struct pw_queue){ .tail = NULL };
	q->tail = &q->head;
	(void)pthread_mutex_init(&q->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&q->more, &attr);
	(void)pthread_cond_init(&q->less, &attr);
	(void)pthread_condattr_destroy(&attr);
}

void
pw_queue_fini(struct pw_queue *q)
{
	(void)pthread_cond_destroy(&q->more);
	(void)pthread_cond_destroy(&q->less);
	(void)pthread_mutex_destroy(&q->lock);
}

void
pw_queue_push(struct pw_queue *q, struct pw_job *job)
{
	(void)pthread_mutex_lock(&q->lock);
	job->next = NULL;
	*q->tail = job;
	q->tail = &job->next;
	q->bytes += job->enc.sb.len;
	(void)pthread_cond_signal(&q->more);
	(void)pthread_mutex_unlock(&q->lock);
}

/* Waits for something; false when there is nothing. */
static bool
wait_more(struct pw_queue *q, unsigned ms)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (q->head == NULL && !q->stopped) {
		int r = ms == 0 ? pthread_cond_wait(&q->more, &q->lock) :
				  pthread_cond_timedwait(&q->more, &q->lock,
				      &until);
		if (r == ETIMEDOUT)
			break;
	}
	return q->head != NULL;
}

struct pw_job *
pw_queue_take(struct pw_queue *q, size_t max, unsigned ms, bool *stopped)
{
	struct pw_job *list = NULL, *last = NULL;

	(void)pthread_mutex_lock(&q->lock);
	if (wait_more(q, ms)) {
		list = q->head;
		for (size_t n = 0; n < max && q->head != NULL; n++) {
			last = q->head;
			q->bytes -= last->enc.sb.len;
			q->head = last->next;
		}
		last->next = NULL;
		if (q->head == NULL)
			q->tail = &q->head;
		(void)pthread_cond_broadcast(&q->less);
	}
	*stopped = q->stopped && q->head == NULL;
	(void)pthread_mutex_unlock(&q->lock);
	return list;
}

void
pw_queue_drain_to(struct pw_queue *q, size_t bytes)
{
	(void)pthread_mutex_lock(&q->lock);
	while (q->bytes > bytes)
		(void)pthread_cond_wait(&q->less, &q->lock);
	(void)pthread_mutex_unlock(&q->lock);
}

void
pw_queue_stop(struct pw_queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	q->stopped = true;
	(void)pthread_cond_broadcast(&q->more);
	(void)pthread_mutex_unlock(&q->lock);
}

/* A thread that does one job at a time for the loop's thread.
 *
 * What a job reads and writes belongs to the worker from start until take says that it is done,
 * and to the loop's thread otherwise. */
#ifndef ZKLUA_UV_WORKER_H
#define ZKLUA_UV_WORKER_H

#include <stdbool.h>
#include <uv.h>

/* Whose the job is. */
enum zkl_work { ZKL_WORK_NONE, ZKL_WORK_ASKED, ZKL_WORK_DONE };

struct zkl_worker {
    uv_thread_t thread;
    uv_mutex_t mutex; /* of `work` and `quit` */
    uv_cond_t asked;
    enum zkl_work work;
    bool quit;
    void (*job)(void *argument);
    void *argument;
    uv_async_t *done; /* wakes the loop */
};

/* 0, or libuv's error. */
int zkl_worker_start(struct zkl_worker *worker, uv_async_t *done);
/* What is under way is finished first. */
void zkl_worker_stop(struct zkl_worker *worker);

/* Whether a job may be asked for: none is under way or waits to be taken. */
bool zkl_worker_free(struct zkl_worker *worker);
void zkl_worker_ask(struct zkl_worker *worker, void (*job)(void *argument), void *argument);
/* Whether a job is done, once for each. */
bool zkl_worker_take(struct zkl_worker *worker);

#endif

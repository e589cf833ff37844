#define _POSIX_C_SOURCE 200809L /* what uv.h needs */

#include "uv/worker.h"

#include "zklua/base.h"

static void work(void *argument)
{
    struct zkl_worker *worker = argument;
    uv_mutex_lock(&worker->mutex);
    while (true) {
        if (worker->work == ZKL_WORK_ASKED) {
            uv_mutex_unlock(&worker->mutex);
            worker->job(worker->argument);
            uv_mutex_lock(&worker->mutex);
            worker->work = ZKL_WORK_DONE;
            uv_async_send(worker->done);
        } else if (worker->quit) {
            break;
        } else {
            uv_cond_wait(&worker->asked, &worker->mutex);
        }
    }
    uv_mutex_unlock(&worker->mutex);
}

int zkl_worker_start(struct zkl_worker *worker, uv_async_t *done)
{
    worker->work = ZKL_WORK_NONE;
    worker->quit = false;
    worker->done = done;
    int status = uv_mutex_init(&worker->mutex);
    if (status != 0) return status;
    status = uv_cond_init(&worker->asked);
    if (status == 0) {
        status = uv_thread_create(&worker->thread, work, worker);
        if (status == 0) return 0;
        uv_cond_destroy(&worker->asked);
    }
    uv_mutex_destroy(&worker->mutex);
    return status;
}

void zkl_worker_stop(struct zkl_worker *worker)
{
    uv_mutex_lock(&worker->mutex);
    worker->quit = true;
    uv_cond_signal(&worker->asked);
    uv_mutex_unlock(&worker->mutex);
    uv_thread_join(&worker->thread);
    uv_cond_destroy(&worker->asked);
    uv_mutex_destroy(&worker->mutex);
}

bool zkl_worker_free(struct zkl_worker *worker)
{
    uv_mutex_lock(&worker->mutex);
    bool is_free = worker->work == ZKL_WORK_NONE;
    uv_mutex_unlock(&worker->mutex);
    return is_free;
}

void zkl_worker_ask(struct zkl_worker *worker, void (*job)(void *argument), void *argument)
{
    uv_mutex_lock(&worker->mutex);
    ZKL_ASSERT(worker->work == ZKL_WORK_NONE);
    worker->job = job;
    worker->argument = argument;
    worker->work = ZKL_WORK_ASKED;
    uv_cond_signal(&worker->asked);
    uv_mutex_unlock(&worker->mutex);
}

bool zkl_worker_take(struct zkl_worker *worker)
{
    uv_mutex_lock(&worker->mutex);
    bool done = worker->work == ZKL_WORK_DONE;
    if (done) worker->work = ZKL_WORK_NONE;
    uv_mutex_unlock(&worker->mutex);
    return done;
}

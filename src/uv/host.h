/* The server's libuv driver as its own files see it.
 *
 *   serve.c        start, the turn of the loop, stop
 *   listen.c       addresses and their sockets
 *   connection.c   bytes in, bytes out, the end of a connection
 *   owners.c       sessions that end with their process
 *   idle.c         the end of a server that nobody uses
 *   durable.c      the disk's threads
 *   worker.c       a thread that does one job at a time
 *   news.c         the core's events as lines of the log
 *   report.c       what four-letter words tell of the process
 *
 * Each turn of the loop ends in one call of the pump, from a check handle and so after
 * polling: what came in counts before the clock is looked at. Timers only wake the loop. */
#ifndef ZKLUA_UV_HOST_H
#define ZKLUA_UV_HOST_H

#include <uv.h>

#include "base/list.h"
#include "store/store.h"
#include "uv/serve.h"
#include "zklua/server.h"

#define ZKL_INPUT_SIZE (64 * 1024) /* one buffer for all connections: feed takes all of it */
#define ZKL_DRAIN_MS 10000         /* for output that is to be sent before a close */
#define ZKL_LINGER_MS 2000         /* for the peer to take the last bytes and to hang up */
#define ZKL_LINGERING_MAX 256      /* connections that do; one more is cut off */

struct zkl_durable;

struct zkl_host {
    const struct zkl_serve_options *options;
    uv_loop_t loop;
    struct zkl_server *server;
    struct zkl_store *store;     /* NULL: nothing is kept */
    struct zkl_durable *durable; /* NULL with it */
    struct zkl_listeners *listeners;
    struct zkl_owners *owners;   /* NULL: sessions end by their timeouts alone */
    uv_check_t pump;
    uv_timer_t alarm;
    int64_t alarm_at_ms;
    uv_signal_t signals[3];
    bool stopping, failed, closed;
    int64_t stop_at_ms; /* of the signal that asked for it */

    struct zkl_list connections; /* that are served */
    struct zkl_list draining;    /* to be closed when the output is sent, oldest first */
    struct zkl_list lingering;   /* that the peer is to close, oldest first */
    size_t open_count;           /* sockets, until the loop has closed them */
    size_t open_max;
    size_t lingering_count;
    size_t other_descriptors;    /* than sockets of clients, as last counted */
    int64_t report_at_ms;        /* not before */
    uint64_t shed;               /* turned away for want of descriptors, since it was told */
    int64_t shed_told_ms;
    int accept_failure;          /* of libuv's: new clients wait; 0: they are taken */
    int64_t accept_at_ms;        /* when it is tried again, ZKL_NEVER: it is being tried */
    int64_t idle_at_ms;          /* when it ends unless somebody comes, ZKL_NEVER: it is used */
    uint8_t input[ZKL_INPUT_SIZE];
};

struct zkl_clock zkl_host_clock(void);
/* There is a turn to come without any wait. */
void zkl_host_wake(struct zkl_host *host);

/* serve.c */
void zkl_host_stop(struct zkl_host *host);
/* Instead of sockets that refuse; false: it was said why not. */
bool zkl_host_listen_again(struct zkl_host *host);

/* connection.c */
void zkl_host_accept(struct zkl_listener *listener, void *host);
/* Tries again what has failed, when its time has come; when that is, or ZKL_NEVER. */
int64_t zkl_host_accept_again(struct zkl_host *host, int64_t now_ms);
/* Carries out what the core wants of its connections: writes, reading on or off, ends. Whether it
 * wanted anything: then it may have prepared more, because what was sent has made room. */
bool zkl_host_flush(struct zkl_host *host);
/* Cuts off those whose time to hang up is over; when the next one's is, or ZKL_NEVER. */
int64_t zkl_host_linger(struct zkl_host *host, int64_t now_ms);
void zkl_host_stop_reading(struct zkl_host *host);
void zkl_host_close_all(struct zkl_host *host);

/* idle.c */
/* When nobody comes until then the server is to end; ZKL_NEVER: it is used. */
int64_t zkl_host_idle_deadline(struct zkl_host *host, int64_t now_ms);
/* Begins to stop, if that time has come and nobody is on the way. */
void zkl_host_end_idle(struct zkl_host *host, int64_t now_ms);

/* news.c */
void zkl_host_tell(struct zkl_host *host);

/* report.c */
/* Unless it has done so within the last second. */
void zkl_host_report(struct zkl_host *host, int64_t now_ms);
void zkl_host_describe_environment(char *text, size_t size);

#endif

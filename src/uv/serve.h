/* Runs a server on a libuv loop of its own until SIGTERM, SIGINT or SIGHUP, or until the disk
 * fails. One per process: it takes the signals. */
#ifndef ZKLUA_UV_SERVE_H
#define ZKLUA_UV_SERVE_H

#include "store/store.h"
#include "uv/listen.h"
#include "zklua/server.h"

struct zkl_serve_options {
    struct zkl_server_options server; /* config_text, secret: written here */
    struct zkl_store_options store;   /* data_directory NULL: nothing is kept */
    const char *const *listen;
    size_t listen_count;
    int backlog;                      /* <= 0: ZKL_LISTEN_BACKLOG */
    int64_t purge_interval_ms;        /* 0: never of its own */
    int64_t slow_sync_ms;             /* a batch that took longer is told */
};

/* Descriptors that connections leave for the disk and the rest. */
#define ZKL_DESCRIPTORS_RESERVED 64

/* 0: stopped cleanly; 1: could not start, or had to stop. The log has said why. */
int zkl_serve(const struct zkl_serve_options *options);

#endif

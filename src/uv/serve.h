/* Runs a server on a libuv loop of its own until SIGTERM, SIGINT or SIGHUP, until the disk fails
 * or, where that is asked for, until nobody uses it. One per process: it takes the signals. */
#ifndef ZKLUA_UV_SERVE_H
#define ZKLUA_UV_SERVE_H

#include "store/store.h"
#include "uv/listen.h"
#include "zklua/server.h"

/* What the helper of `local:` is beside a server (main/local.h); zero: nothing of it. */
struct zkl_serve_local {
    bool own_processes;    /* peers at Unix sockets must be of this user, or root's, and sessions
                              end with the process that attached them (owners.c) */
    int64_t idle_ms;       /* ends when it had neither session nor connection for so long */
    const char *name;      /* what messages call the data directory */
    void (*on_ready)(void *user); /* once, when the first client can be answered */
    void *user;
};

struct zkl_serve_options {
    struct zkl_server_options server; /* config_text, secret: written here */
    struct zkl_store_options store;   /* data_directory NULL: nothing is kept */
    const char *const *listen;
    size_t listen_count;
    int backlog;                      /* <= 0: ZKL_LISTEN_BACKLOG */
    int64_t purge_interval_ms;        /* 0: never of its own */
    int64_t slow_sync_ms;             /* a batch that took longer is told */
    struct zkl_serve_local local;
};

/* Descriptors that connections leave for the disk and the rest. */
#define ZKL_DESCRIPTORS_RESERVED 64

/* 0: stopped cleanly; 1: could not start, or had to stop. The log has said why. */
int zkl_serve(const struct zkl_serve_options *options);

#endif

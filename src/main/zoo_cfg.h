/* What a server is told by a zoo.cfg of Apache's, in its names and with its defaults.
 *
 * Every key that Apache ZooKeeper knows is known here. One that a single server can honour is
 * honoured; one that would change nothing a client can see, or that belongs to ensembles, is
 * told and passed over; one whose neglect would be a danger (TLS, enforced authentication, a
 * second server) refuses the file, as does a key that nobody knows. */
#ifndef ZKLUA_MAIN_ZOO_CFG_H
#define ZKLUA_MAIN_ZOO_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZKL_ZOO_CFG_SIZE_MAX (1024 * 1024)
#define ZKL_ZOO_CFG_PATH_MAX 4096
#define ZKL_ZOO_CFG_LIST_MAX 1024 /* a list of words, an address, a digest */

struct zkl_zoo_cfg {
    char data_directory[ZKL_ZOO_CFG_PATH_MAX];
    char log_directory[ZKL_ZOO_CFG_PATH_MAX];  /* "": with the data */
    char client_address[ZKL_ZOO_CFG_LIST_MAX]; /* "": every address */
    int32_t client_port;                       /* -1: not set */
    int32_t backlog;                                        /* -1: the usual one */
    int32_t tick_time_ms, session_timeout_min_ms, session_timeout_max_ms; /* -1: by the tick */
    int32_t connections_per_address, connections;           /* 0: no limit */
    int32_t snapshot_count, snapshots_kept;
    int64_t snapshot_kib_max, preallocate_kib, log_kib_max; /* <= 0: none */
    int64_t purge_interval_ms;                              /* 0: nothing is removed, ever */
    int32_t slow_sync_ms, outstanding, request_size_max;
    int64_t memory_mib_max;                                 /* 0: none */
    bool autocreate, trust_empty_snapshot;
    bool ttl_nodes, enforce_quota, skip_acl, reconfig_enabled;
    bool apache_passwords;
    int32_t reap_interval_ms, reap_per_minute, container_unused_ms;
    char commands[ZKL_ZOO_CFG_LIST_MAX];
    char super_digest[ZKL_ZOO_CFG_LIST_MAX];
    bool standalone_enabled;
    int32_t servers;                                        /* server.N lines */
};

/* Apache's defaults. */
void zkl_zoo_cfg_init(struct zkl_zoo_cfg *cfg);

enum zkl_cfg_level {
    ZKL_CFG_NOTE, /* passed over, and why */
    ZKL_CFG_ERROR
};
/* What there is to say about a line; 0 is the file as a whole. */
typedef void zkl_cfg_tell_fn(void *user, enum zkl_cfg_level level, int line, const char *text);

/* Reads a whole file's text, which is changed on the way and has room for one byte behind
 * `size`. Tells every error, not just the first; true: there was none. */
bool zkl_zoo_cfg_read(struct zkl_zoo_cfg *cfg, char *text, size_t size, zkl_cfg_tell_fn *tell,
                      void *user);

#endif

#define _POSIX_C_SOURCE 200809L /* gethostname */
#define _DEFAULT_SOURCE

#include "main/plan.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "main/machine.h"
#include "main/server.h"

/* --- where ------------------------------------------------------------------------------ */

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "zklua: %s: %s\n", what, why);
    return ZKL_EXIT_FAILED;
}

/* The base that is customary, our name in it, and "data" in that: the rest of it is free for what
 * else this user's programs have to keep. */
int zkl_plan_state_directory(char directory[ZKL_ZOO_CFG_PATH_MAX])
{
    const char *base = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int size;
    if (geteuid() == 0) {
        size = snprintf(directory, ZKL_ZOO_CFG_PATH_MAX, "/var/lib/zklua/data");
    } else if (base != NULL && base[0] == '/') {
        size = snprintf(directory, ZKL_ZOO_CFG_PATH_MAX, "%s/zklua/data", base);
    } else {
        const struct passwd *user = home == NULL || home[0] == '\0' ? getpwuid(geteuid()) : NULL;
        if (user != NULL) home = user->pw_dir;
        if (home == NULL || home[0] != '/') return failed("this user has no home", "use --data");
        size = snprintf(directory, ZKL_ZOO_CFG_PATH_MAX, "%s/.local/state/zklua/data", home);
    }
    if (size >= ZKL_ZOO_CFG_PATH_MAX) return failed(directory, strerror(ENAMETOOLONG));
    return ZKL_EXIT_OK;
}

void zkl_plan_owner(char owner[ZKL_OWNER_TEXT_MAX])
{
    char host[HOST_NAME_MAX + 1];
    if (gethostname(host, sizeof host) != 0) strcpy(host, "unknown");
    host[sizeof host - 1] = '\0';
    snprintf(owner, ZKL_OWNER_TEXT_MAX, "%s %ld", host, (long)getpid());
}

/* --- serving ------------------------------------------------------------------------------ */

static int64_t times(int64_t number, int64_t unit)
{
    return number <= 0 ? -1 : number * unit;
}

static struct zkl_slice slice(const char *text)
{
    return (struct zkl_slice) { (const uint8_t *)text, strlen(text) };
}

int zkl_plan_serve(const struct zkl_plan *plan)
{
    const struct zkl_zoo_cfg *cfg = &plan->cfg;
    char owner[ZKL_OWNER_TEXT_MAX];
    zkl_plan_owner(owner);
    const struct zkl_serve_options options = {
        .server = {
            .allocator = zkl_machine_allocator,
            .crypto = zkl_machine_crypto,
            .seed = zkl_machine_seed(),
            .tick_time_ms = cfg->tick_time_ms,
            .session_timeout_min_ms = cfg->session_timeout_min_ms > 0 ? cfg->session_timeout_min_ms
                                                                      : 0,
            .session_timeout_max_ms = cfg->session_timeout_max_ms > 0 ? cfg->session_timeout_max_ms
                                                                      : 0,
            .frame_size_max = (size_t)cfg->request_size_max,
            .memory_max = (size_t)cfg->memory_mib_max * 1024 * 1024,
            .connection_max = (uint32_t)cfg->connections,
            .connection_per_address_max = (uint32_t)cfg->connections_per_address,
            .outstanding_max = (uint32_t)cfg->outstanding,
            .super_digest = slice(cfg->super_digest),
            .apache_passwords = cfg->apache_passwords,
            .ttl_nodes = cfg->ttl_nodes,
            .enforce_quota = cfg->enforce_quota,
            .skip_acl = cfg->skip_acl,
            .reconfig_enabled = cfg->reconfig_enabled,
            .reap_interval_ms = cfg->reap_interval_ms,
            .reap_per_minute = cfg->reap_per_minute,
            .container_unused_ms = cfg->container_unused_ms,
            .commands = slice(cfg->commands),
            /* First the version of Apache's whose behaviour it is: clients read it up to '-'. */
            .version = slice("3.9.5-zklua-" ZKLUA_VERSION),
        },
        .store = {
            .allocator = zkl_machine_allocator,
            .files = &zkl_posix_files,
            .data_directory = plan->memory ? NULL : cfg->data_directory,
            .log_directory = cfg->log_directory[0] != '\0' ? cfg->log_directory : NULL,
            .snapshot_count = cfg->snapshot_count < 2 ? 2 : (uint32_t)cfg->snapshot_count,
            .snapshot_bytes_max = times(cfg->snapshot_kib_max, 1024),
            .preallocate_bytes = times(cfg->preallocate_kib, 1024),
            .log_bytes_max = times(cfg->log_kib_max, 1024),
            .keeps_all = cfg->purge_interval_ms == 0,
            .snapshots_kept = cfg->snapshots_kept < 3 ? 3 : (uint32_t)cfg->snapshots_kept,
            .autocreate = cfg->autocreate,
            .trust_empty_snapshot = cfg->trust_empty_snapshot,
            .seed = zkl_machine_seed(),
            .owner = owner,
        },
        .listen = plan->listen,
        .listen_count = plan->listen_count,
        .backlog = cfg->backlog,
        .purge_interval_ms = cfg->purge_interval_ms,
        .slow_sync_ms = cfg->slow_sync_ms,
        .local = plan->local,
    };
    return zkl_serve(&options) == 0 ? ZKL_EXIT_OK : ZKL_EXIT_FAILED;
}

void zkl_plan_defaults(struct zkl_plan *plan)
{
    struct zkl_zoo_cfg *cfg = &plan->cfg;
    zkl_zoo_cfg_init(cfg);
    cfg->tick_time_ms = 1000;
    cfg->session_timeout_max_ms = 60000;
    cfg->connections_per_address = 0;
    cfg->ttl_nodes = true;
    cfg->purge_interval_ms = 3600000;
    strcpy(cfg->commands, "conf,cons,dirs,dump,envi,isro,mntr,ruok,srvr,stat,wchs");
}

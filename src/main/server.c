#define _POSIX_C_SOURCE 200809L /* gethostname */
#define _DEFAULT_SOURCE

#include "main/server.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "main/machine.h"
#include "main/zoo_cfg.h"
#include "uv/log.h"
#include "uv/serve.h"

static const char usage[] =
    "usage: zklua server [--data DIR | --memory] [--listen ADDRESS[,ADDRESS...]]\n"
    "       zklua server ZOO.CFG\n"
    "       zklua server --check DIR|ZOO.CFG\n"
    "       zklua server --salvage DIR|ZOO.CFG OUT\n"
    "       zklua server --to-ensemble HOST,HOST,HOST DIR|ZOO.CFG OUT\n"
    "\n"
    "Serves ZooKeeper clients. Without options it keeps its data under this user's state\n"
    "directory (/var/lib/zklua for root) and listens at 127.0.0.1:2181.\n"
    "\n"
    "  --data DIR      keeps the data in DIR, as Apache ZooKeeper does\n"
    "  --memory        keeps nothing\n"
    "  --listen ADDR   HOST:PORT, [IPV6]:PORT, *:PORT for every address of this machine, or\n"
    "                  unix:PATH; port 0 takes any that is free\n"
    "  ZOO.CFG         a configuration file of Apache ZooKeeper's\n"
    "  --check DIR     reads all of DIR and says whether it is sound; changes nothing\n"
    "  --salvage       writes what can be read of a damaged DIR to OUT, and says what is lost\n"
    "  --to-ensemble   writes one folder per server to OUT, for Apache ZooKeeper: configuration,\n"
    "                  id and all data of DIR. HOST may be HOST:CLIENT:QUORUM:ELECTION with the\n"
    "                  ports, which are 2181, 2888 and 3888\n"
    "                  these three take a ZOO.CFG for its dataDir and dataLogDir: where logs are\n"
    "                  kept apart, DIR alone is an old state\n"
    "  --help          this text\n"
    "\n"
    "Exit status: 0 stopped, or all is well; 1 could not start, had to stop, or is not well;\n"
    "2 wrong usage or configuration. SIGTERM and SIGINT stop it.\n";

/* What is to be served, from the command line or a zoo.cfg. */
struct plan {
    struct zkl_zoo_cfg cfg;
    bool memory;
    char addresses[ZKL_LISTENERS_MAX * 64 + ZKL_ZOO_CFG_LIST_MAX]; /* what `listen` points into */
    const char *listen[ZKL_LISTENERS_MAX];
    size_t listen_count;
};

__attribute__((format(printf, 1, 2)))
static int misused(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("zklua: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs(" (zklua server --help tells more)\n", stderr);
    va_end(arguments);
    return ZKL_EXIT_USAGE;
}

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "zklua: %s: %s\n", what, why);
    return ZKL_EXIT_FAILED;
}

/* --- where ------------------------------------------------------------------------ */

static int plan_listen(struct plan *plan, const char *list)
{
    struct zkl_listener_error error;
    if (strlen(list) >= sizeof plan->addresses) return misused("--listen: too long");
    strcpy(plan->addresses, list);
    plan->listen_count = 0;
    for (char *next = plan->addresses; next != NULL;) {
        char *comma = strchr(next, ',');
        if (comma != NULL) *comma = '\0';
        if (plan->listen_count == ZKL_LISTENERS_MAX) {
            return misused("--listen takes at most %d addresses", ZKL_LISTENERS_MAX);
        }
        if (!zkl_listen_address_check(next, &error)) return misused("--listen %s", error.text);
        plan->listen[plan->listen_count++] = next;
        next = comma != NULL ? comma + 1 : NULL;
    }
    return ZKL_EXIT_OK;
}

/* The directory for this user's data: the base that is customary, and our name in it. */
static int state_directory(char directory[ZKL_ZOO_CFG_PATH_MAX])
{
    const char *base = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int size;
    if (geteuid() == 0) {
        size = snprintf(directory, ZKL_ZOO_CFG_PATH_MAX, "/var/lib/zklua");
    } else if (base != NULL && base[0] == '/') {
        size = snprintf(directory, ZKL_ZOO_CFG_PATH_MAX, "%s/zklua", base);
    } else {
        const struct passwd *user = home == NULL || home[0] == '\0' ? getpwuid(geteuid()) : NULL;
        if (user != NULL) home = user->pw_dir;
        if (home == NULL || home[0] != '/') return failed("this user has no home", "use --data");
        size = snprintf(directory, ZKL_ZOO_CFG_PATH_MAX, "%s/.local/state/zklua", home);
    }
    if (size >= ZKL_ZOO_CFG_PATH_MAX - 16) return failed(directory, strerror(ENAMETOOLONG));
    return ZKL_EXIT_OK;
}

/* The store makes it, with its parents and for nobody else, and syncs each name. */
static int plan_state_directory(struct plan *plan)
{
    char *directory = plan->cfg.data_directory;
    int status = state_directory(directory);
    if (status != ZKL_EXIT_OK) return status;
    strcat(directory, "/data");
    return ZKL_EXIT_OK;
}

/* --- a zoo.cfg ---------------------------------------------------------------------- */

static void tell_line(void *user, enum zkl_cfg_level level, int line, const char *text)
{
    const char *name = user;
    const char *kind = level == ZKL_CFG_NOTE ? "note: " : "";
    if (line > 0) fprintf(stderr, "zklua: %s:%d: %s%s\n", name, line, kind, text);
    else fprintf(stderr, "zklua: %s: %s%s\n", name, kind, text);
}

char *zkl_config_read(const char *name, size_t *size)
{
    char *text = malloc(ZKL_ZOO_CFG_SIZE_MAX + 1);
    FILE *file = text != NULL ? fopen(name, "rb") : NULL;
    if (file != NULL) {
        *size = fread(text, 1, ZKL_ZOO_CFG_SIZE_MAX, file);
        bool whole = fgetc(file) == EOF && ferror(file) == 0;
        int reason = ferror(file) != 0 ? errno : EFBIG;
        fclose(file);
        if (whole) return text;
        errno = reason;
    }
    misused("%s: %s", name, strerror(errno));
    free(text);
    return NULL;
}

static int plan_zoo_cfg(struct plan *plan, const char *name)
{
    size_t size;
    char *text = zkl_config_read(name, &size);
    if (text == NULL) return ZKL_EXIT_USAGE;
    bool good = zkl_zoo_cfg_read(&plan->cfg, text, size, tell_line, (void *)(uintptr_t)name);
    free(text);
    if (!good) return ZKL_EXIT_USAGE;
    const char *host = plan->cfg.client_address;
    bool bare_v6 = strchr(host, ':') != NULL && host[0] != '[';
    snprintf(plan->addresses, sizeof plan->addresses, bare_v6 ? "[%s]:%d" : "%s:%d", host,
             (int)plan->cfg.client_port);
    plan->listen[0] = plan->addresses;
    plan->listen_count = 1;
    return ZKL_EXIT_OK;
}

/* --- serving -------------------------------------------------------------------------- */

static int64_t times(int64_t number, int64_t unit)
{
    return number <= 0 ? -1 : number * unit;
}

static struct zkl_slice slice(const char *text)
{
    return (struct zkl_slice) { (const uint8_t *)text, strlen(text) };
}

static int serve(const struct plan *plan)
{
    const struct zkl_zoo_cfg *cfg = &plan->cfg;
    char host[HOST_NAME_MAX + 1];
    char owner[HOST_NAME_MAX + 32];
    if (gethostname(host, sizeof host) != 0) strcpy(host, "unknown");
    host[sizeof host - 1] = '\0';
    snprintf(owner, sizeof owner, "%s %ld", host, (long)getpid());
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
    };
    return zkl_serve(&options) == 0 ? ZKL_EXIT_OK : ZKL_EXIT_FAILED;
}

/* What a server without a configuration is: made for one machine and its programs, so that the
 * limits of Apache's that guard against the world are wider, and old files go. */
static void plan_defaults(struct zkl_zoo_cfg *cfg)
{
    zkl_zoo_cfg_init(cfg);
    cfg->tick_time_ms = 1000;
    cfg->session_timeout_max_ms = 60000;
    cfg->connections_per_address = 0;
    cfg->ttl_nodes = true;
    cfg->purge_interval_ms = 3600000;
    strcpy(cfg->commands, "conf,cons,dirs,dump,envi,isro,mntr,ruok,srvr,stat,wchs");
}

/* --- the command line -------------------------------------------------------------------- */

static int run_options(int argc, char **argv, struct plan *plan)
{
    plan_defaults(&plan->cfg);
    plan->listen[0] = "127.0.0.1:2181";
    plan->listen_count = 1;
    const char *data = NULL;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool valued = strcmp(word, "--data") == 0 || strcmp(word, "--listen") == 0;
        if (valued && (value == NULL || value[0] == '\0')) return misused("%s needs a value", word);
        if (strcmp(word, "--memory") == 0) {
            plan->memory = true;
        } else if (strcmp(word, "--data") == 0) {
            data = value;
        } else if (strcmp(word, "--listen") == 0) {
            int status = plan_listen(plan, value);
            if (status != ZKL_EXIT_OK) return status;
        } else if (word[0] == '-') {
            return misused("unknown option %s", word);
        } else {
            return misused("'%s': a configuration stands alone", word);
        }
        if (valued) i++;
    }
    if (data != NULL && plan->memory) return misused("--data and --memory exclude each other");
    if (data != NULL && strlen(data) >= ZKL_ZOO_CFG_PATH_MAX) return misused("--data: too long");
    if (data != NULL) strcpy(plan->cfg.data_directory, data);
    else if (!plan->memory && plan_state_directory(plan) != ZKL_EXIT_OK) return ZKL_EXIT_FAILED;
    return serve(plan);
}

static int run_zoo_cfg(const char *name, struct plan *plan)
{
    zkl_zoo_cfg_init(&plan->cfg);
    int status = plan_zoo_cfg(plan, name);
    return status == ZKL_EXIT_OK ? serve(plan) : status;
}

/* As a variable leaves one that was not set; "" and "/version-2" is nobody's. */
static bool has_empty(int argc, char **argv, int first)
{
    for (int i = first; i < argc; i++) {
        if (argv[i][0] == '\0') return true;
    }
    return false;
}

/* One of the commands about a directory: false, if it is none. */
static bool run_command(int argc, char **argv, int *status)
{
    const char *word = argc > 1 ? argv[1] : "";
    bool check = strcmp(word, "--check") == 0;
    bool salvage = strcmp(word, "--salvage") == 0;
    bool to_ensemble = strcmp(word, "--to-ensemble") == 0;
    if (!check && !salvage && !to_ensemble) return false;
    int wanted = check ? 1 : salvage ? 2 : 3;
    if (argc - 2 != wanted) {
        *status = misused("%s takes %s", word, check ? "one directory" : salvage
                              ? "a directory and where to write" : "HOSTS, a directory and where "
                              "to write");
    } else if (has_empty(argc, argv, to_ensemble ? 3 : 2)) {
        *status = misused("%s: a directory without a name", word);
    } else if (check) {
        *status = zkl_directory_check(argv[2]);
    } else if (salvage) {
        *status = zkl_directory_salvage(argv[2], argv[3]);
    } else {
        *status = zkl_to_ensemble(argv[2], argv[3], argv[4]);
    }
    return true;
}

int zkl_server_main(int argc, char **argv)
{
    int status;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return ZKL_EXIT_OK;
        }
    }
    if (run_command(argc, argv, &status)) return status;
    struct plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL) return failed("cannot start", strerror(ENOMEM));
    status = argc == 2 && argv[1][0] != '-' && argv[1][0] != '\0'
        ? run_zoo_cfg(argv[1], plan) : run_options(argc, argv, plan);
    free(plan);
    return status;
}

#define _POSIX_C_SOURCE 200809L /* sigaction, clock_gettime */
#define _DEFAULT_SOURCE

#include "uv/serve.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "uv/durable.h"
#include "uv/host.h"
#include "uv/log.h"
#include "uv/notify.h"
#include "uv/owners.h"

enum {
    CONFIG_TEXT_MAX = 2 * PATH_MAX + 1024,
    ENVIRONMENT_TEXT_MAX = 2 * PATH_MAX,
    ADDRESSES_TEXT_MAX = 2048,
    /* timeout(1) signals its child twice, once by number and once with the whole group: a signal
     * that follows the first within this time is the same one. */
    SAME_SIGNAL_MS = 100
};

struct zkl_clock zkl_host_clock(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct zkl_clock) {
        .now_ms = (int64_t)(uv_hrtime() / 1000000),
        .wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000,
    };
}

/* --- the turn of the loop ------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* As a rule the wait for it ends in the pump, which sets the next one. When it comes due outside
 * of a wait, the wait that follows must not be without end. */
static void on_alarm(uv_timer_t *timer)
{
    ((struct zkl_host *)timer->data)->alarm_at_ms = -1;
    uv_timer_start(timer, on_alarm, 1, 0);
}

static void set_alarm(struct zkl_host *host, int64_t at_ms, int64_t now_ms)
{
    if (at_ms == host->alarm_at_ms) return;
    host->alarm_at_ms = at_ms;
    if (at_ms == ZKL_NEVER) {
        uv_timer_stop(&host->alarm);
        return;
    }
    uv_update_time(&host->loop); /* it counts from the loop's last turn otherwise */
    uv_timer_start(&host->alarm, on_alarm, at_ms > now_ms ? (uint64_t)(at_ms - now_ms) : 0, 0);
}

void zkl_host_wake(struct zkl_host *host)
{
    host->alarm_at_ms = -1;
    uv_timer_start(&host->alarm, on_alarm, 0, 0);
}

/* Without a disk all is as durable as it gets. */
static void commit_at_once(struct zkl_host *host, struct zkl_clock clock)
{
    struct zkl_logged logged;
    while (zkl_server_next_txn(host->server, &logged)) {
        int64_t last;
        do {
            last = logged.zxid;
        } while (zkl_server_next_txn(host->server, &logged));
        zkl_server_committed(host->server, last, clock);
    }
}

void zkl_host_stop(struct zkl_host *host)
{
    if (host->stopping) return;
    host->stopping = true;
    if (host->listeners != NULL) zkl_listeners_close(host->listeners);
    host->listeners = NULL;
    zkl_host_stop_reading(host);
}

static bool everything_is_settled(const struct zkl_host *host)
{
    return host->durable == NULL || zkl_durable_idle(host->durable);
}

/* The last turn: what is written goes out as far as the kernel takes it. */
static void finish_stop(struct zkl_host *host)
{
    host->closed = true;
    zkl_host_close_all(host);
    if (host->owners != NULL) zkl_owners_close(host->owners);
    host->owners = NULL;
    if (host->durable != NULL) zkl_durable_free(host->durable);
    host->durable = NULL;
    uv_close((uv_handle_t *)&host->pump, NULL);
    uv_close((uv_handle_t *)&host->alarm, NULL);
    for (size_t i = 0; i < sizeof host->signals / sizeof host->signals[0]; i++) {
        if (host->signals[i].data != NULL) uv_close((uv_handle_t *)&host->signals[i], NULL);
    }
}

/* Polling is over: now the clock counts, and what came in goes its way. */
static void turn(struct zkl_host *host)
{
    struct zkl_clock clock = zkl_host_clock();
    bool works = true;
    if (host->durable != NULL) works = zkl_durable_settle(host->durable, clock);
    if (works && !host->stopping && clock.now_ms >= zkl_server_deadline(host->server)) {
        zkl_server_tick(host->server, clock);
    }
    do {
        if (works && host->owners != NULL && !host->stopping) {
            zkl_owners_settle(host->owners, clock);
        }
        if (host->durable == NULL) commit_at_once(host, clock);
        else if (works) works = zkl_durable_pump(host->durable, clock);
        if (host->stopping && host->durable != NULL) zkl_durable_stop(host->durable);
        if (!works && !host->failed) {
            host->failed = true;
            zkl_host_stop(host);
        }
    } while (zkl_host_flush(host));
    zkl_host_tell(host);
}

static void on_pump(uv_check_t *check)
{
    struct zkl_host *host = check->data;
    zkl_host_end_idle(host, zkl_host_clock().now_ms);
    turn(host);
    if (host->stopping && everything_is_settled(host)) {
        finish_stop(host);
        return;
    }
    int64_t now_ms = zkl_host_clock().now_ms;
    int64_t next = zkl_host_linger(host, now_ms);
    if (!host->stopping) {
        next = earlier(next, zkl_server_deadline(host->server));
        next = earlier(next, zkl_host_accept_again(host, now_ms));
        next = earlier(next, zkl_host_idle_deadline(host, now_ms));
    }
    if (host->durable != NULL) next = earlier(next, zkl_durable_deadline(host->durable));
    set_alarm(host, next, now_ms);
}

/* --- signals ---------------------------------------------------------------------- */

/* The first asks, the second ends: a disk that hangs must not keep anybody. */
static void on_signal(uv_signal_t *handle, int number)
{
    struct zkl_host *host = handle->data;
    int64_t now_ms = zkl_host_clock().now_ms;
    if (host->stopping) {
        if (now_ms < host->stop_at_ms + SAME_SIGNAL_MS) return;
        zkl_log(ZKL_LOG_WARNING, "a second signal: not waiting for the disk");
        signal(number, SIG_DFL);
        raise(number);
    }
    zkl_log(ZKL_LOG_INFO, "stopping (signal %d)", number);
    zkl_notify("STOPPING=1");
    host->stop_at_ms = now_ms;
    zkl_host_stop(host);
}

static bool is_ignored(int number)
{
    struct sigaction before;
    return sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_IGN;
}

static int watch_signals(struct zkl_host *host)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a failed write, which is told */
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i] == SIGHUP && is_ignored(SIGHUP)) continue; /* nohup means it */
        int status = uv_signal_init(&host->loop, &host->signals[i]);
        if (status != 0) return status;
        host->signals[i].data = host;
        status = uv_signal_start(&host->signals[i], on_signal, numbers[i]);
        if (status != 0) return status;
    }
    return 0;
}

/* --- start -------------------------------------------------------------------------- */

/* As many descriptors as we may have; how many of them connections may take. */
static size_t raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024 - ZKL_DESCRIPTORS_RESERVED;
    if (limit.rlim_cur < limit.rlim_max) {
        rlim_t before = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
    }
    if (limit.rlim_cur >= INT_MAX) return INT_MAX;
    size_t all = (size_t)limit.rlim_cur;
    return all > 2 * ZKL_DESCRIPTORS_RESERVED ? all - ZKL_DESCRIPTORS_RESERVED : all / 2;
}

static void directory_line(char *text, size_t size, const char *directory, const char *name,
                           const char *size_name)
{
    char absolute[PATH_MAX];
    if (realpath(directory, absolute) == NULL) {
        snprintf(absolute, sizeof absolute, "%s", directory);
    }
    snprintf(text, size, "%s=%s/version-2\n%s=\n", name, absolute, size_name);
}

/* What the four-letter word `conf` prints; the core puts in sizes that were reported. */
static void describe_config(const struct zkl_host *host, char text[CONFIG_TEXT_MAX])
{
    const struct zkl_server_options *server = &host->options->server;
    const struct zkl_store_options *store = &host->options->store;
    char data[PATH_MAX + 64] = "";
    char logs[PATH_MAX + 64] = "";
    if (store->data_directory != NULL) {
        directory_line(data, sizeof data, store->data_directory, "dataDir", "dataDirSize");
        directory_line(logs, sizeof logs,
                       store->log_directory != NULL ? store->log_directory : store->data_directory,
                       "dataLogDir", "dataLogSize");
    }
    int tick_ms = server->tick_time_ms > 0 ? server->tick_time_ms : ZKL_TICK_TIME_MS_DEFAULT;
    snprintf(text, CONFIG_TEXT_MAX,
             "clientPort=%d\nsecureClientPort=-1\n%s%stickTime=%d\nmaxClientCnxns=%u\n"
             "minSessionTimeout=%d\nmaxSessionTimeout=%d\nclientPortListenBacklog=%d\n"
             "serverId=0\n",
             zkl_listeners_port(host->listeners), data, logs, tick_ms,
             server->connection_per_address_max,
             server->session_timeout_min_ms > 0 ? server->session_timeout_min_ms : 2 * tick_ms,
             server->session_timeout_max_ms > 0 ? server->session_timeout_max_ms : 20 * tick_ms,
             host->options->backlog > 0 ? host->options->backlog : -1);
}

static bool complain(const char *what, const char *why)
{
    zkl_log(ZKL_LOG_ERROR, "%s%s%s", what, why[0] != '\0' ? ": " : "", why);
    return false;
}

static bool complain_of_directory(const struct zkl_host *host, const char *why)
{
    const char *name = host->options->local.name;
    zkl_log(ZKL_LOG_ERROR, "cannot serve %s: %s", name != NULL ? name : "this directory", why);
    return false;
}

/* A server that could begin, and end with the first write, had better not begin. Where nothing
 * is yet, making it will tell. */
static bool may_make_files(const struct zkl_host *host, const char *directory)
{
    char name[PATH_MAX];
    char why[PATH_MAX + 128];
    snprintf(name, sizeof name, "%s/version-2", directory);
    if (access(name, W_OK | X_OK) == 0 || errno == ENOENT) return true;
    snprintf(why, sizeof why, "%s: %s", name, strerror(errno));
    return complain_of_directory(host, why);
}

static bool recover(struct zkl_host *host)
{
    struct zkl_store_report report = { .text = "" };
    const struct zkl_store_options *options = &host->options->store;
    const char *logs = options->log_directory;
    if (!may_make_files(host, options->data_directory)) return false;
    if (logs != NULL && !may_make_files(host, logs)) return false;
    int64_t began_ms = zkl_host_clock().now_ms;
    host->store = zkl_store_open(&host->options->store, host->server, &report);
    if (host->store == NULL) return complain_of_directory(host, report.text);
    if (report.text[0] != '\0') zkl_log(ZKL_LOG_WARNING, "%s", report.text);
    zkl_server_measured(host->server, ZKL_MEASURED_START_MS,
                        zkl_host_clock().now_ms - began_ms);
    const struct zkl_durable_options durable = {
        .server = host->server,
        .store = host->store,
        .purge_interval_ms = host->options->purge_interval_ms,
        .slow_sync_ms = host->options->slow_sync_ms,
    };
    host->durable = zkl_durable_new(&host->loop, &durable);
    return host->durable != NULL || complain("no threads for the disk", "");
}

/* The core, with all that is kept of it. */
static bool make_server(struct zkl_host *host)
{
    const struct zkl_serve_options *options = host->options;
    struct zkl_server_options server = options->server;
    struct zkl_store_report report = { .text = "" };
    char config_text[CONFIG_TEXT_MAX];
    char environment[ENVIRONMENT_TEXT_MAX];
    if (options->store.data_directory == NULL) {
        server.crypto.random(server.crypto.context, server.secret, sizeof server.secret);
    } else if (zkl_store_secret(&options->store, &server.crypto, server.secret, &report) != 0) {
        return complain_of_directory(host, report.text);
    }
    describe_config(host, config_text);
    server.config_text = (struct zkl_slice) { (const uint8_t *)config_text, strlen(config_text) };
    zkl_host_describe_environment(environment, sizeof environment);
    server.environment = (struct zkl_slice) { (const uint8_t *)environment, strlen(environment) };
    host->server = zkl_server_new(&server);
    if (host->server == NULL) return complain("out of memory", "");
    if (options->store.data_directory != NULL && !recover(host)) return false;
    zkl_server_start(host->server, zkl_host_clock());
    if (!options->local.own_processes) return true;
    host->owners = zkl_owners_new(&host->loop, host->server, &options->server.allocator,
                                  host->open_max);
    return host->owners != NULL || complain("out of memory", "");
}

static bool bind_listeners(struct zkl_host *host)
{
    struct zkl_listener_error error;
    host->listeners = zkl_listeners_bind(&host->loop, host->options->listen,
                                         host->options->listen_count, &error);
    return host->listeners != NULL || complain("cannot listen at", error.text);
}

static bool open_listeners(struct zkl_host *host)
{
    struct zkl_listener_error error;
    int backlog = host->options->backlog > 0 ? host->options->backlog : ZKL_LISTEN_BACKLOG;
    return zkl_listeners_open(host->listeners, backlog, zkl_host_accept, host, &error) == 0
           || complain("cannot listen at", error.text);
}

bool zkl_host_listen_again(struct zkl_host *host)
{
    zkl_listeners_close(host->listeners);
    return bind_listeners(host) && open_listeners(host);
}

static void tell_ready(const struct zkl_host *host)
{
    const struct zkl_serve_local *local = &host->options->local;
    char addresses[ADDRESSES_TEXT_MAX];
    if (local->on_ready != NULL) local->on_ready(local->user);
    zkl_listeners_describe(host->listeners, addresses, sizeof addresses);
    const char *directory = "";
    if (host->store != NULL) {
        directory = local->name != NULL ? local->name : host->options->store.data_directory;
    }
    zkl_log(ZKL_LOG_INFO, "serving at %s from zxid 0x%llx, %s%s", addresses,
            (unsigned long long)zkl_server_zxid(host->server),
            host->store != NULL ? "kept in " : "in memory only", directory);
    int status = zkl_notify("READY=1");
    if (status != 0) {
        zkl_log(ZKL_LOG_WARNING, "NOTIFY_SOCKET could not be told: %s", uv_strerror(status));
    }
}

static bool start(struct zkl_host *host)
{
    host->open_max = raise_descriptor_limit();
    int status = watch_signals(host);
    if (status != 0) return complain("cannot catch signals", uv_strerror(status));
    if (!bind_listeners(host) || !make_server(host) || !open_listeners(host)) return false;
    tell_ready(host);
    return true;
}

int zkl_serve(const struct zkl_serve_options *options)
{
    struct zkl_host *host = calloc(1, sizeof *host);
    if (host == NULL || uv_loop_init(&host->loop) != 0) {
        complain("out of memory", "");
        free(host);
        return 1;
    }
    host->options = options;
    host->alarm_at_ms = host->accept_at_ms = host->idle_at_ms = ZKL_NEVER;
    zkl_list_init(&host->connections);
    zkl_list_init(&host->draining);
    zkl_list_init(&host->lingering);
    uv_check_init(&host->loop, &host->pump);
    uv_timer_init(&host->loop, &host->alarm);
    host->pump.data = host->alarm.data = host;

    if (start(host)) {
        uv_check_start(&host->pump, on_pump);
        zkl_host_wake(host); /* what is due without any client is set by a first turn */
    } else {
        host->failed = true;
        if (host->listeners != NULL) zkl_listeners_close(host->listeners);
        host->listeners = NULL;
        if (host->durable != NULL) zkl_durable_stop(host->durable);
        finish_stop(host);
    }
    uv_run(&host->loop, UV_RUN_DEFAULT);
    int status = uv_loop_close(&host->loop);
    ZKL_ASSERT(status == 0); /* every handle was closed */
    if (host->store != NULL) zkl_store_close(host->store);
    if (host->server != NULL) zkl_server_free(host->server);
    bool failed = host->failed;
    free(host);
    if (!failed) zkl_log(ZKL_LOG_INFO, "stopped");
    return failed ? 1 : 0;
}

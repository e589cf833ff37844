/* The end of a server that nobody uses: neither a session nor a connection for a while.
 *
 * Somebody may be on the way at that very moment. So first the socket is taken away and refuses,
 * then those are taken in who got there before; are there any, the server goes on with a new
 * socket. Whoever comes later finds none, and starts another server. */
#define _POSIX_C_SOURCE 200809L /* what uv.h needs */

#include "uv/host.h"
#include "uv/log.h"

static bool is_used(const struct zkl_host *host)
{
    if (host->open_count > 0) return true;
    struct zkl_server_counts counts;
    zkl_server_count(host->server, &counts);
    return counts.sessions > 0;
}

int64_t zkl_host_idle_deadline(struct zkl_host *host, int64_t now_ms)
{
    int64_t idle_ms = host->options->local.idle_ms;
    if (idle_ms == 0) return ZKL_NEVER;
    if (is_used(host)) host->idle_at_ms = ZKL_NEVER;
    else if (host->idle_at_ms == ZKL_NEVER) host->idle_at_ms = now_ms + idle_ms;
    return host->idle_at_ms;
}

void zkl_host_end_idle(struct zkl_host *host, int64_t now_ms)
{
    if (host->stopping || now_ms < host->idle_at_ms || is_used(host)) return;
    zkl_listeners_refuse(host->listeners);
    size_t before;
    do {
        before = host->open_count;
        zkl_listeners_ask(host->listeners);
    } while (host->open_count > before);
    if (host->open_count == 0) {
        zkl_log(ZKL_LOG_INFO, "stopping: neither a session nor a connection for %lld ms",
                (long long)host->options->local.idle_ms);
    } else if (zkl_host_listen_again(host)) {
        return;
    } else {
        host->failed = true;
    }
    zkl_host_stop(host);
}

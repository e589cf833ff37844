/* What the core has to tell, as lines of the log. */
#define _POSIX_C_SOURCE 200809L /* what uv.h needs */

#include <stdio.h>

#include "uv/host.h"
#include "uv/log.h"

enum { PEER_TEXT_MAX = 64 };

static void peer_text(const struct zkl_peer *peer, char text[PEER_TEXT_MAX])
{
    char address[46];
    if (peer->address_size == 4) {
        uv_inet_ntop(AF_INET, peer->address, address, sizeof address);
        snprintf(text, PEER_TEXT_MAX, "%s:%u", address, peer->port);
    } else if (peer->address_size == 16) {
        uv_inet_ntop(AF_INET6, peer->address, address, sizeof address);
        snprintf(text, PEER_TEXT_MAX, "[%s]:%u", address, peer->port);
    } else {
        snprintf(text, PEER_TEXT_MAX, "a local process");
    }
}

static void tell(const struct zkl_server_event *event)
{
    char peer[PEER_TEXT_MAX];
    peer_text(&event->peer, peer);
    unsigned long long session = (unsigned long long)event->session_id;
    long long number = (long long)event->number;
    const char *detail = event->detail != NULL ? event->detail : "";
    const char *colon = event->detail != NULL ? ": " : "";
    switch (event->kind) {
    case ZKL_NEWS_NONE: break;
    case ZKL_NEWS_SESSION_NEW:
        zkl_log(ZKL_LOG_CHATTER, "session 0x%llx opened by %s, timeout %lld ms", session, peer,
                number);
        break;
    case ZKL_NEWS_SESSION_MOVED:
        zkl_log(ZKL_LOG_CHATTER, "session 0x%llx came back from %s", session, peer);
        break;
    case ZKL_NEWS_SESSION_CLOSED:
        zkl_log(ZKL_LOG_CHATTER, "session 0x%llx closed", session);
        break;
    case ZKL_NEWS_SESSION_EXPIRED:
        zkl_log(ZKL_LOG_CHATTER, "session 0x%llx expired", session);
        break;
    case ZKL_NEWS_SESSION_REFUSED:
        zkl_log(ZKL_LOG_CHATTER, "%s asked for session 0x%llx, which is over or not its own%s%s",
                peer, session, colon, detail);
        break;
    case ZKL_NEWS_AHEAD:
        zkl_log(ZKL_LOG_WARNING,
                "%s turned away: it has seen zxid 0x%llx, which this server has not; is this an "
                "older copy of the data?",
                peer, (unsigned long long)event->number);
        break;
    case ZKL_NEWS_CONNECTION_LIMIT:
        zkl_log(ZKL_LOG_CHATTER, "%s turned away: %s", peer, detail);
        break;
    case ZKL_NEWS_PROTOCOL:
        zkl_log(ZKL_LOG_CHATTER, "%s cut off: %s", peer, detail);
        break;
    case ZKL_NEWS_SLOW:
        zkl_log(ZKL_LOG_CHATTER, "%s cut off: it does not read, and %lld bytes wait for it", peer,
                number);
        break;
    case ZKL_NEWS_NOMEM:
        zkl_log(ZKL_LOG_CHATTER, "%s cut off: %s", peer, detail);
        break;
    case ZKL_NEWS_STALL:
        zkl_log(ZKL_LOG_WARNING,
                "this server did not run for %lld ms; sessions were given the time", number);
        break;
    }
}

void zkl_host_tell(struct zkl_host *host)
{
    struct zkl_server_event event;
    for (zkl_server_peek_event(host->server, &event); event.kind != ZKL_NEWS_NONE;
         zkl_server_peek_event(host->server, &event)) {
        tell(&event);
        zkl_server_pop_event(host->server);
    }
}

/* One socket and its connection in the core.
 *
 * The core says what a connection wants; this file does it to a socket: reads into the host's one
 * buffer, writes at once what the kernel takes and the rest when it takes more, stops reading
 * when told to. Bytes to write stay the core's until they are sent.
 *
 * The end comes in one of two ways. At once: the socket is closed. After the output, for which
 * there are ZKL_DRAIN_MS: then the socket is shut for writing and read until the peer hangs up or
 * ZKL_LINGER_MS are over, because closing a socket with unread input resets it, and the peer
 * would lose the last answer. */
#define _GNU_SOURCE /* struct ucred */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "uv/host.h"
#include "uv/log.h"
#include "uv/owners.h"

enum {
    WRITE_MAX = 256 * 1024, /* in one request to libuv: what is sent is told in pieces */
    ACCEPT_MAX = 64,        /* in one turn: those who are served wait for it */
    ACCEPT_AGAIN_MS = 100   /* after a failure */
};

enum connection_state {
    STATE_SERVED,
    STATE_DRAINING, /* to be closed after its output */
    STATE_LINGERING /* nothing more to write; the peer is to hang up */
};

struct connection {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } socket;
    struct zkl_host *host;
    struct zkl_connection *core; /* NULL once the core was told of the end */
    struct zkl_owner *owner;     /* the process at the other end; NULL: not watched */
    int64_t session_id;          /* that it is known to have attached */
    enum connection_state state;
    struct zkl_list link;        /* the host's list of this state */
    bool reading;
    size_t write_size;           /* under way in `request`, 0: nothing */
    union {
        uv_write_t write;
        uv_shutdown_t shutdown;
    } request;
    int64_t close_by_ms;
};

/* --- the end ------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct zkl_host *host = connection->host;
    host->open_count--;
    free(connection);
    /* The pump has run in this turn, when we were still one: the idle time begins in the next. */
    if (host->open_count == 0 && !host->closed && host->options->local.idle_ms > 0) {
        zkl_host_wake(host);
    }
}

/* Its session belongs to the process behind this connection from now on. */
static void note_session(struct connection *connection)
{
    struct zkl_owners *owners = connection->host->owners;
    int64_t id = zkl_connection_session(connection->core);
    if (owners == NULL || id == 0 || id == connection->session_id) return;
    connection->session_id = id;
    zkl_owners_attached(owners, connection->owner, id);
}

static void cut(struct connection *connection)
{
    if (uv_is_closing(&connection->socket.handle)) return;
    struct zkl_host *host = connection->host;
    zkl_list_remove(&connection->link);
    if (connection->state == STATE_LINGERING) host->lingering_count--;
    /* First the socket: from here on libuv looks at no byte of the core's output. */
    uv_close(&connection->socket.handle, on_closed);
    if (connection->core != NULL) {
        note_session(connection);
        zkl_server_closed(connection->core, zkl_host_clock());
        connection->core = NULL;
    }
    if (connection->owner != NULL) zkl_owner_leave(connection->owner);
    connection->owner = NULL;
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    if (status != 0 && status != UV_ECANCELED) cut(request->handle->data);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer);
static void on_input_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer);

static void set_reading(struct connection *connection, bool reading)
{
    if (reading == connection->reading) return;
    connection->reading = reading;
    if (!reading) {
        uv_read_stop(&connection->socket.stream);
    } else if (uv_read_start(&connection->socket.stream, on_input_wanted, on_read) != 0) {
        cut(connection);
    }
}

static void enter(struct connection *connection, enum connection_state state,
                  struct zkl_list *list, int64_t close_by_ms)
{
    zkl_list_remove(&connection->link);
    zkl_list_push(list, &connection->link);
    connection->state = state;
    connection->close_by_ms = close_by_ms;
}

/* All output has been sent. */
static void hang_up(struct connection *connection)
{
    struct zkl_host *host = connection->host;
    if (host->lingering_count == ZKL_LINGERING_MAX) {
        cut(connection);
        return;
    }
    struct zkl_clock clock = zkl_host_clock();
    zkl_server_closed(connection->core, clock);
    connection->core = NULL;
    host->lingering_count++;
    enter(connection, STATE_LINGERING, &host->lingering, clock.now_ms + ZKL_LINGER_MS);
    if (uv_shutdown(&connection->request.shutdown, &connection->socket.stream, on_shutdown) != 0) {
        cut(connection);
        return;
    }
    set_reading(connection, true);
}

static int64_t cut_late(struct zkl_list *list, int64_t now_ms)
{
    while (!zkl_list_empty(list)) {
        struct connection *oldest = ZKL_LIST_ELEMENT(list->next, struct connection, link);
        if (oldest->close_by_ms > now_ms) return oldest->close_by_ms;
        cut(oldest);
    }
    return ZKL_NEVER;
}

int64_t zkl_host_linger(struct zkl_host *host, int64_t now_ms)
{
    int64_t draining = cut_late(&host->draining, now_ms);
    int64_t lingering = cut_late(&host->lingering, now_ms);
    return draining < lingering ? draining : lingering;
}

/* --- bytes in ------------------------------------------------------------------ */

static void on_input_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct connection *connection = handle->data;
    buffer->base = (char *)connection->host->input;
    buffer->len = sizeof connection->host->input;
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    if (size < 0) {
        /* Who has said all may still wait for the answer: "srvr", and no more. */
        if (size == UV_EOF && connection->core != NULL
            && zkl_connection_ending(connection->core) == ZKL_CLOSE_AFTER_OUTPUT) {
            set_reading(connection, false);
        } else {
            cut(connection);
        }
        return;
    }
    if (size == 0 || connection->core == NULL) return; /* a lingering one's input is dropped */
    zkl_server_feed(connection->core, (const uint8_t *)buffer->base, (size_t)size,
                    zkl_host_clock());
    if (!zkl_connection_reads(connection->core)
        && zkl_connection_ending(connection->core) == ZKL_STAYS) {
        set_reading(connection, false);
    }
}

/* --- bytes out ------------------------------------------------------------------ */

static void on_written(uv_write_t *request, int status)
{
    struct connection *connection = request->handle->data;
    size_t size = connection->write_size;
    connection->write_size = 0;
    if (connection->core == NULL) return; /* cut off meanwhile */
    if (status != 0) {
        cut(connection);
        return;
    }
    zkl_connection_sent(connection->core, size);
    /* libuv also calls this before it polls: what the room has set going must not wait for that. */
    zkl_host_wake(connection->host);
}

/* Asks libuv to write when the socket takes more. */
static void write_later(struct connection *connection, struct zkl_slice output)
{
    uv_buf_t bytes = { .base = (char *)(uintptr_t)output.base,
                       .len = output.size < WRITE_MAX ? output.size : WRITE_MAX };
    connection->write_size = bytes.len;
    int status = uv_write(&connection->request.write, &connection->socket.stream, &bytes, 1,
                          on_written);
    if (status != 0) {
        connection->write_size = 0;
        cut(connection);
    }
}

static void write_output(struct connection *connection)
{
    while (connection->core != NULL && connection->write_size == 0) {
        struct zkl_slice output = zkl_connection_output(connection->core);
        if (output.size == 0) return;
        /* libuv takes a length of 32 bits. */
        uv_buf_t bytes = { .base = (char *)(uintptr_t)output.base,
                           .len = output.size < INT32_MAX ? output.size : INT32_MAX };
        int sent = uv_try_write(&connection->socket.stream, &bytes, 1);
        if (sent > 0) {
            zkl_connection_sent(connection->core, (size_t)sent);
        } else if (sent == UV_EAGAIN) {
            write_later(connection, output);
        } else {
            cut(connection);
        }
    }
}

/* Does what the core wants of this connection now. */
static void carry_out(struct connection *connection)
{
    note_session(connection);
    enum zkl_ending ending = zkl_connection_ending(connection->core);
    if (ending == ZKL_CLOSE_AT_ONCE) {
        cut(connection);
        return;
    }
    write_output(connection);
    if (connection->core == NULL) return;
    if (ending == ZKL_STAYS) {
        set_reading(connection,
                    zkl_connection_reads(connection->core) && !connection->host->stopping);
    } else if (connection->write_size == 0) {
        hang_up(connection);
    } else if (connection->state == STATE_SERVED) {
        enter(connection, STATE_DRAINING, &connection->host->draining,
              zkl_host_clock().now_ms + ZKL_DRAIN_MS);
    }
}

bool zkl_host_flush(struct zkl_host *host)
{
    bool any = false;
    struct zkl_connection *core;
    while ((core = zkl_server_next_connection(host->server)) != NULL) {
        struct connection *connection = zkl_connection_user(core);
        if (connection != NULL) carry_out(connection);
        any = true;
    }
    return any;
}

/* --- the beginning ---------------------------------------------------------------- */

/* false: the peer has reset it already. What it sent could still be read, but nobody says whose
 * it is, and a peer without an address is a local one. */
static bool describe_peer(const struct connection *connection, struct zkl_peer *peer)
{
    memset(peer, 0, sizeof *peer);
    if (connection->socket.handle.type != UV_TCP) return true; /* a Unix socket */
    struct sockaddr_storage name;
    int size = sizeof name;
    if (uv_tcp_getpeername(&connection->socket.tcp, (struct sockaddr *)&name, &size) != 0) {
        return false;
    }
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff }; /* ::ffff:1.2.3.4 */
    if (name.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&name;
        memcpy(peer->address, &v4->sin_addr, 4);
        peer->address_size = 4;
        peer->port = ntohs(v4->sin_port);
    } else if (name.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&name;
        bool is_v4 = memcmp(&v6->sin6_addr, mapped, sizeof mapped) == 0;
        peer->address_size = is_v4 ? 4 : 16;
        memcpy(peer->address, (const uint8_t *)&v6->sin6_addr + (is_v4 ? 12 : 0),
               peer->address_size);
        peer->port = ntohs(v6->sin6_port);
    }
    return peer->address_size > 0;
}

/* Who is at the other end of a Unix socket. false: nobody who may be there. */
static bool admit_process(struct connection *connection)
{
    struct zkl_host *host = connection->host;
    struct ucred peer;
    socklen_t size = sizeof peer;
    int socket;
    if (host->owners == NULL || connection->socket.handle.type == UV_TCP) return true;
    if (uv_fileno(&connection->socket.handle, &socket) != 0
        || getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return false;
    }
    if (peer.uid != geteuid() && peer.uid != 0) {
        zkl_log(ZKL_LOG_CHATTER, "process %ld turned away: it is user id %lu's, and this server is "
                "for user id %lu alone", (long)peer.pid, (unsigned long)peer.uid,
                (unsigned long)geteuid());
        return false;
    }
    connection->owner = zkl_owners_enter(host->owners, peer.pid);
    return true;
}

static size_t count_descriptors(const struct zkl_host *host)
{
    return host->open_count + (host->owners != NULL ? zkl_owners_count(host->owners) : 0);
}

/* Descriptors that the log's next file needs are worth more than one more client. */
static void shed(struct zkl_host *host, int64_t now_ms)
{
    host->shed++;
    if (now_ms - host->shed_told_ms < 1000) return;
    zkl_log(ZKL_LOG_WARNING,
            "%llu connections turned away: %zu are open, and this process may have no more "
            "(ulimit -n)",
            (unsigned long long)host->shed, host->open_count - 1);
    host->shed = 0;
    host->shed_told_ms = now_ms;
}

static int init_socket(struct connection *connection, int accepted, bool is_unix)
{
    uv_loop_t *loop = &connection->host->loop;
    int status;
    if (is_unix) {
        status = uv_pipe_init(loop, &connection->socket.pipe, 0);
        if (status == 0) status = uv_pipe_open(&connection->socket.pipe, accepted);
    } else {
        status = uv_tcp_init(loop, &connection->socket.tcp);
        if (status == 0) status = uv_tcp_open(&connection->socket.tcp, accepted);
        if (status == 0) uv_tcp_nodelay(&connection->socket.tcp, 1);
    }
    return status;
}

/* Begins to serve an accepted socket, or turns it away. */
static void begin(struct connection *connection)
{
    struct zkl_host *host = connection->host;
    struct zkl_clock clock = zkl_host_clock();
    if (count_descriptors(host) > host->open_max) {
        shed(host, clock.now_ms);
        cut(connection);
        return;
    }
    struct zkl_peer peer;
    if (!describe_peer(connection, &peer) || !admit_process(connection)
        || zkl_server_accept(host->server, &peer, clock, &connection->core) != ZKL_OK) {
        connection->core = NULL;
        cut(connection);
        return;
    }
    zkl_connection_set_user(connection->core, connection);
    zkl_list_push(&host->connections, &connection->link);
    set_reading(connection, true);
}

/* Whoever waits stays where it is, in the kernel; the others are served as ever. */
static void let_wait(struct zkl_host *host, int failure)
{
    if (host->accept_failure == 0) {
        zkl_log(ZKL_LOG_WARNING, "new connections have to wait: %s", uv_strerror(failure));
    }
    host->accept_failure = failure;
    host->accept_at_ms = zkl_host_clock().now_ms + ACCEPT_AGAIN_MS;
    zkl_listeners_pause(host->listeners);
}

int64_t zkl_host_accept_again(struct zkl_host *host, int64_t now_ms)
{
    if (now_ms >= host->accept_at_ms) {
        host->accept_at_ms = ZKL_NEVER;
        zkl_listeners_resume(host->listeners);
    }
    return host->accept_at_ms;
}

/* What a client needs is there before it is accepted: afterwards it could only be lost. */
static int accept_one(struct zkl_host *host, struct zkl_listener *listener)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) return UV_ENOMEM;
    int accepted = zkl_listener_accept(listener);
    if (accepted < 0) {
        free(connection);
        return accepted;
    }
    connection->host = host;
    connection->socket.handle.data = connection;
    zkl_list_init(&connection->link);
    host->open_count++;
    if (init_socket(connection, accepted, zkl_listener_is_unix(listener)) == 0) {
        begin(connection);
    } else {
        close(accepted);
        cut(connection);
    }
    return 0;
}

void zkl_host_accept(struct zkl_listener *listener, void *user)
{
    struct zkl_host *host = user;
    for (int i = 0; i < ACCEPT_MAX; i++) {
        int status = accept_one(host, listener);
        if (status == UV_EAGAIN) return;
        if (status != 0) {
            let_wait(host, status);
            return;
        }
        if (host->accept_failure != 0) {
            host->accept_failure = 0;
            zkl_log(ZKL_LOG_INFO, "new connections are accepted again");
        }
        zkl_host_report(host, zkl_host_clock().now_ms);
    }
}

/* --- all of them ------------------------------------------------------------------- */

void zkl_host_stop_reading(struct zkl_host *host)
{
    for (struct zkl_list *i = host->connections.next; i != &host->connections; i = i->next) {
        set_reading(ZKL_LIST_ELEMENT(i, struct connection, link), false);
    }
}

void zkl_host_close_all(struct zkl_host *host)
{
    struct zkl_list *const lists[] = { &host->connections, &host->draining, &host->lingering };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        while (!zkl_list_empty(lists[i])) {
            cut(ZKL_LIST_ELEMENT(lists[i]->next, struct connection, link));
        }
    }
}

#define _POSIX_C_SOURCE 200809L
#define _GNU_SOURCE /* accept4 */

#include "uv/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    HOST_MAX = 255,
    GONE_MAX = 64 /* clients in a row that went before they were accepted */
};

#define UNIX_PREFIX "unix:"

struct zkl_listener {
    uv_poll_t poll; /* of `socket`, once it listens */
    int socket;
    bool is_unix, polled;
    struct stat file; /* of a Unix socket: it may be another's by the time that we remove it */
    struct zkl_listeners *all;
    char name[HOST_MAX + 64]; /* as bound */
};

struct zkl_listeners {
    uv_loop_t *loop;
    zkl_waiting_fn *on_waiting;
    void *user;
    size_t count;
    size_t polled; /* handles that the loop has not closed yet */
    struct zkl_listener each[ZKL_LISTENERS_MAX];
};

/* An address in its parts. */
struct address {
    const char *path;        /* of a Unix socket, else NULL */
    char host[HOST_MAX + 1]; /* "": every address */
    int port;
};

__attribute__((format(printf, 2, 3)))
static int fail(struct zkl_listener_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return -1;
}

/* --- reading addresses ------------------------------------------------------- */

static int parse_port(const char *text, const char *whole, int *port,
                      struct zkl_listener_error *error)
{
    long value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && digits <= 5 && text[digits] == '\0') value = strtol(text, NULL, 10);
    else value = -1;
    if (value < 0 || value > 65535) {
        return fail(error, "%s: the port must be a number from 0 to 65535", whole);
    }
    *port = (int)value;
    return 0;
}

static int parse_unix(const char *path, const char *whole, struct address *address,
                      struct zkl_listener_error *error)
{
    size_t max = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (path[0] == '\0') return fail(error, "%s: names no file", whole);
    if (strlen(path) > max) {
        return fail(error, "%s: the name of a Unix socket has at most %zu bytes", whole, max);
    }
    address->path = path;
    return 0;
}

static int parse(const char *text, struct address *address, struct zkl_listener_error *error)
{
    memset(address, 0, sizeof *address);
    address->port = ZKL_PORT_DEFAULT;
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        return parse_unix(text + strlen(UNIX_PREFIX), text, address, error);
    }

    const char *host = text;
    size_t host_size;
    const char *rest;
    if (text[0] == '[') {
        const char *bracket = strchr(text, ']');
        if (bracket == NULL) return fail(error, "%s: the bracket is not closed", text);
        host = text + 1;
        host_size = (size_t)(bracket - host);
        rest = bracket + 1;
        if (host_size == 0) return fail(error, "%s: no address in the brackets", text);
        if (rest[0] != '\0' && rest[0] != ':') {
            return fail(error, "%s: a port is written [HOST]:PORT", text);
        }
    } else {
        rest = strchr(text, ':');
        if (rest == NULL) rest = text + strlen(text);
        host_size = (size_t)(rest - host);
        if (rest[0] != '\0' && strchr(rest + 1, ':') != NULL) {
            return fail(error, "%s: an IPv6 address stands in brackets", text);
        }
    }
    if (host_size > HOST_MAX) return fail(error, "%.40s...: too long for a host", text);
    if (text[0] == '\0') return fail(error, "an address is empty");
    if (!(host_size == 1 && host[0] == '*')) memcpy(address->host, host, host_size);
    return rest[0] == ':' ? parse_port(rest + 1, text, &address->port, error) : 0;
}

bool zkl_listen_address_check(const char *text, struct zkl_listener_error *error)
{
    struct address address;
    return parse(text, &address, error) == 0;
}

/* --- binding ------------------------------------------------------------------- */

static int last_error(void)
{
    return uv_translate_sys_error(errno);
}

static void on_closed(uv_handle_t *handle)
{
    struct zkl_listener *listener = handle->data;
    struct zkl_listeners *all = listener->all;
    if (--all->polled == 0) free(all);
}

static void remove_file(const struct zkl_listener *listener)
{
    const char *path = listener->name + strlen(UNIX_PREFIX);
    const struct stat *own = &listener->file;
    struct stat there;
    if (!listener->is_unix || lstat(path, &there) != 0) return;
    /* The number of a file that was removed is given to the next one. */
    bool same = there.st_dev == own->st_dev && there.st_ino == own->st_ino
                && there.st_mtim.tv_sec == own->st_mtim.tv_sec
                && there.st_mtim.tv_nsec == own->st_mtim.tv_nsec;
    if (same) unlink(path);
}

void zkl_listeners_close(struct zkl_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        struct zkl_listener *listener = &listeners->each[i];
        if (listener->polled) uv_close((uv_handle_t *)&listener->poll, on_closed);
        remove_file(listener);
        close(listener->socket);
    }
    if (listeners->polled == 0) free(listeners);
}

/* A new socket. < 0: an error of libuv's. */
static int make_socket(int family)
{
    const int on = 1;
    const int off = 0;
    int made = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0) return last_error();
    /* A server that starts again is not to wait for connections of the one before. */
    bool set = family == AF_UNIX || setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    if (set && family == AF_INET6) {
        set = setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0;
    }
    if (set) return made;
    int status = last_error();
    close(made);
    return status;
}

/* A listener bound to `address`, whose name is the caller's to write; NULL: *status says why. */
static struct zkl_listener *bind_socket(struct zkl_listeners *all, const struct sockaddr *address,
                                        socklen_t size, int *status)
{
    *status = UV_ENOBUFS;
    if (all->count == ZKL_LISTENERS_MAX) return NULL;
    int made = *status = make_socket(address->sa_family);
    if (made < 0) return NULL;
    if (bind(made, address, size) != 0) {
        *status = last_error();
        close(made);
        return NULL;
    }
    struct zkl_listener *listener = &all->each[all->count++];
    listener->all = all;
    listener->socket = made;
    listener->is_unix = address->sa_family == AF_UNIX;
    return listener;
}

static int bind_tcp(struct zkl_listeners *all, const struct sockaddr *address, socklen_t size)
{
    int status;
    struct zkl_listener *listener = bind_socket(all, address, size, &status);
    if (listener == NULL) return status;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name;
    socklen_t name_size = sizeof name;
    char host[HOST_MAX];
    if (getsockname(listener->socket, &name.any, &name_size) != 0) return last_error();
    bool is_v6 = name.any.sa_family == AF_INET6;
    if (is_v6) uv_ip6_name(&name.v6, host, sizeof host);
    else uv_ip4_name(&name.v4, host, sizeof host);
    snprintf(listener->name, sizeof listener->name, is_v6 ? "[%s]:%d" : "%s:%d", host,
             ntohs(is_v6 ? name.v6.sin6_port : name.v4.sin_port));
    return 0;
}

/* Both families with one socket; a machine without IPv6 gets the other alone. */
static int bind_any(struct zkl_listeners *all, int port)
{
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;
    uv_ip6_addr("::", port, &v6);
    int status = bind_tcp(all, (const struct sockaddr *)&v6, sizeof v6);
    if (status != UV_EAFNOSUPPORT && status != UV_EADDRNOTAVAIL) return status;
    uv_ip4_addr("0.0.0.0", port, &v4);
    return bind_tcp(all, (const struct sockaddr *)&v4, sizeof v4);
}

static int bind_host(struct zkl_listeners *all, const char *text, const struct address *address,
                     struct zkl_listener_error *error)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%d", address->port);
    int status = getaddrinfo(address->host, port, &hints, &found);
    if (status != 0) return fail(error, "%s: %s", text, gai_strerror(status));
    int uv_status = 0;
    for (struct addrinfo *i = found; i != NULL && uv_status == 0; i = i->ai_next) {
        uv_status = bind_tcp(all, i->ai_addr, i->ai_addrlen);
    }
    freeaddrinfo(found);
    return uv_status == 0 ? 0 : fail(error, "%s: %s", text, uv_strerror(uv_status));
}

/* Whether a server has this Unix socket; -1 with errno set: it cannot be known. A socket file that
 * a dead server has left refuses. One that does not accept, and has no room, is not waited for. */
static int is_served(const struct sockaddr_un *name)
{
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) return -1;
    int status = connect(probe, (const struct sockaddr *)name, sizeof *name);
    int reason = errno;
    close(probe);
    if (status == 0 || reason == EAGAIN) return 1;
    errno = reason;
    return reason == ECONNREFUSED ? 0 : -1;
}

static int clear_old_socket(const struct sockaddr_un *name)
{
    struct stat there;
    if (lstat(name->sun_path, &there) != 0) return errno == ENOENT ? 0 : last_error();
    if (!S_ISSOCK(there.st_mode)) return UV_EEXIST;
    int served = is_served(name);
    if (served != 0) return served > 0 ? UV_EADDRINUSE : last_error();
    return unlink(name->sun_path) == 0 ? 0 : last_error();
}

static int bind_unix(struct zkl_listeners *all, const char *path)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    memcpy(name.sun_path, path, strlen(path));
    int status = clear_old_socket(&name);
    if (status != 0) return status;
    struct zkl_listener *listener = bind_socket(all, (const struct sockaddr *)&name, sizeof name,
                                                &status);
    if (listener == NULL) return status;
    snprintf(listener->name, sizeof listener->name, UNIX_PREFIX "%s", path);
    if (lstat(path, &listener->file) != 0) return last_error();
    /* At once, or it looks left behind to a server that starts while we still read our data. */
    return listen(listener->socket, ZKL_LISTEN_BACKLOG) == 0 ? 0 : last_error();
}

static int bind_one(struct zkl_listeners *all, const char *text, struct zkl_listener_error *error)
{
    struct address address;
    if (parse(text, &address, error) != 0) return -1;
    if (address.path == NULL && address.host[0] != '\0') {
        return bind_host(all, text, &address, error);
    }
    int status = address.path != NULL ? bind_unix(all, address.path)
                                      : bind_any(all, address.port);
    if (status == 0) return 0;
    return fail(error, "%s: %s", text,
                status == UV_ENOBUFS ? "too many addresses" : uv_strerror(status));
}

struct zkl_listeners *zkl_listeners_bind(uv_loop_t *loop, const char *const *addresses,
                                         size_t count, struct zkl_listener_error *error)
{
    struct zkl_listeners *all = calloc(1, sizeof *all);
    if (all == NULL) {
        fail(error, "out of memory");
        return NULL;
    }
    all->loop = loop;
    for (size_t i = 0; i < count; i++) {
        if (bind_one(all, addresses[i], error) == 0) continue;
        zkl_listeners_close(all);
        return NULL;
    }
    return all;
}

/* --- accepting --------------------------------------------------------------------
 *
 * libuv's own uv_listen tries again without end what fails for want of descriptors or memory,
 * and nobody is served meanwhile: so the sockets are polled, and accept() is ours. */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct zkl_listener *listener = poll->data;
    (void)status; /* accept() will say it */
    (void)events;
    listener->all->on_waiting(listener, listener->all->user);
}

static int open_one(struct zkl_listener *listener, int backlog)
{
    if (listen(listener->socket, backlog) != 0) return last_error();
    int status = uv_poll_init(listener->all->loop, &listener->poll, listener->socket);
    if (status != 0) return status;
    listener->poll.data = listener;
    listener->polled = true;
    listener->all->polled++;
    return uv_poll_start(&listener->poll, UV_READABLE, on_poll);
}

int zkl_listeners_open(struct zkl_listeners *listeners, int backlog, zkl_waiting_fn *on_waiting,
                       void *user, struct zkl_listener_error *error)
{
    listeners->on_waiting = on_waiting;
    listeners->user = user;
    for (size_t i = 0; i < listeners->count; i++) {
        int status = open_one(&listeners->each[i], backlog);
        if (status != 0) {
            return fail(error, "%s: %s", listeners->each[i].name, uv_strerror(status));
        }
    }
    return 0;
}

int zkl_listener_accept(struct zkl_listener *listener)
{
    for (int gone = 0; gone < GONE_MAX; gone++) {
        int accepted = accept4(listener->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (accepted >= 0) return accepted;
        switch (errno) {
        case EAGAIN: return UV_EAGAIN;
        case EMFILE: case ENFILE: case ENOBUFS: case ENOMEM: return last_error();
        case EBADF: case EFAULT: case EINVAL: case ENOTSOCK:
            ZKL_ASSERT(false); /* ours */
            return last_error();
        default: break; /* it was about a client, which has gone: the next one */
        }
    }
    return last_error();
}

bool zkl_listener_is_unix(const struct zkl_listener *listener)
{
    return listener->is_unix;
}

void zkl_listeners_pause(struct zkl_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) uv_poll_stop(&listeners->each[i].poll);
}

void zkl_listeners_resume(struct zkl_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        int status = uv_poll_start(&listeners->each[i].poll, UV_READABLE, on_poll);
        ZKL_ASSERT(status == 0); /* it fails for handles that are being closed alone */
    }
}

/* A shutdown makes sure of those who have looked the name up before it went: they are either in
 * the queue or refused. */
void zkl_listeners_refuse(struct zkl_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        struct zkl_listener *listener = &listeners->each[i];
        if (!listener->is_unix) continue;
        remove_file(listener);
        shutdown(listener->socket, SHUT_RDWR);
    }
}

void zkl_listeners_ask(struct zkl_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        listeners->on_waiting(&listeners->each[i], listeners->user);
    }
}

/* --- what they are called ----------------------------------------------------------- */

int zkl_listeners_port(const struct zkl_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        const struct zkl_listener *listener = &listeners->each[i];
        if (listener->is_unix) continue;
        return atoi(strrchr(listener->name, ':') + 1);
    }
    return -1;
}

void zkl_listeners_describe(const struct zkl_listeners *listeners, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < listeners->count && used < size; i++) {
        int more = snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "",
                            listeners->each[i].name);
        used += (size_t)more;
    }
}

#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE /* SOCK_CLOEXEC */

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

enum { HOST_MAX = 255 };

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } as;
    bool is_pipe;
    struct zkl_listeners *all;
    char name[HOST_MAX + 64]; /* as bound; "" while it is not */
};

struct zkl_listeners {
    uv_loop_t *loop;
    size_t count, open; /* open: handles that the loop has not closed yet */
    struct listener each[ZKL_LISTENERS_MAX];
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
    if (strncmp(text, "unix:", 5) == 0) return parse_unix(text + 5, text, address, error);

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

static void on_closed(uv_handle_t *handle)
{
    struct listener *listener = (struct listener *)(void *)handle;
    struct zkl_listeners *all = listener->all;
    if (--all->open == 0) free(all);
}

void zkl_listeners_close(struct zkl_listeners *listeners)
{
    if (listeners->open == 0) {
        free(listeners);
        return;
    }
    for (size_t i = 0; i < listeners->count; i++) {
        uv_close(&listeners->each[i].as.handle, on_closed);
    }
}

/* The next listener, whose handle the caller initializes: then it counts. NULL: no room. */
static struct listener *reserve(struct zkl_listeners *all)
{
    if (all->count == ZKL_LISTENERS_MAX) return NULL;
    struct listener *listener = &all->each[all->count];
    listener->all = all;
    return listener;
}

static void commit(struct zkl_listeners *all)
{
    all->count++;
    all->open++;
}

/* Writes the address of a bound TCP listener into its name. libuv tells here that the port was in
 * use when it was bound. */
static int name_tcp(struct listener *listener)
{
    struct sockaddr_storage bound;
    int size = sizeof bound;
    int status = uv_tcp_getsockname(&listener->as.tcp, (struct sockaddr *)&bound, &size);
    if (status != 0) return status;
    char host[HOST_MAX];
    if (bound.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&bound;
        uv_ip6_name(v6, host, sizeof host);
        snprintf(listener->name, sizeof listener->name, "[%s]:%d", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&bound;
        uv_ip4_name(v4, host, sizeof host);
        snprintf(listener->name, sizeof listener->name, "%s:%d", host, ntohs(v4->sin_port));
    }
    return 0;
}

static int bind_tcp(struct zkl_listeners *all, const struct sockaddr *socket_address)
{
    struct listener *listener = reserve(all);
    if (listener == NULL) return UV_ENOBUFS;
    int status = uv_tcp_init(all->loop, &listener->as.tcp);
    if (status != 0) return status;
    commit(all);
    status = uv_tcp_bind(&listener->as.tcp, socket_address, 0);
    return status != 0 ? status : name_tcp(listener);
}

/* Both families with one socket; a machine without IPv6 gets the other alone. */
static int bind_any(struct zkl_listeners *all, int port)
{
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;
    uv_ip6_addr("::", port, &v6);
    int status = bind_tcp(all, (const struct sockaddr *)&v6);
    if (status != UV_EAFNOSUPPORT && status != UV_EADDRNOTAVAIL) return status;
    uv_ip4_addr("0.0.0.0", port, &v4);
    return bind_tcp(all, (const struct sockaddr *)&v4);
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
        uv_status = bind_tcp(all, i->ai_addr);
    }
    freeaddrinfo(found);
    return uv_status == 0 ? 0 : fail(error, "%s: %s", text, uv_strerror(uv_status));
}

/* Whether a server answers at this Unix socket; -1 with errno set: it cannot be known. A socket
 * file that a dead server has left refuses. */
static int is_served(const char *path)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    memcpy(name.sun_path, path, strlen(path));
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return -1;
    int status = connect(probe, (const struct sockaddr *)&name, sizeof name);
    int reason = errno;
    close(probe);
    if (status == 0) return 1;
    errno = reason;
    return reason == ECONNREFUSED ? 0 : -1;
}

static int clear_old_socket(const char *path)
{
    struct stat there;
    if (lstat(path, &there) != 0) return errno == ENOENT ? 0 : uv_translate_sys_error(errno);
    if (!S_ISSOCK(there.st_mode)) return UV_EEXIST;
    int served = is_served(path);
    if (served != 0) return served > 0 ? UV_EADDRINUSE : uv_translate_sys_error(errno);
    return unlink(path) == 0 ? 0 : uv_translate_sys_error(errno);
}

static int bind_unix(struct zkl_listeners *all, const char *path)
{
    struct listener *listener = reserve(all);
    if (listener == NULL) return UV_ENOBUFS;
    int status = clear_old_socket(path);
    if (status != 0) return status;
    status = uv_pipe_init(all->loop, &listener->as.pipe, 0);
    if (status != 0) return status;
    listener->is_pipe = true;
    commit(all);
    status = uv_pipe_bind(&listener->as.pipe, path);
    if (status == 0) snprintf(listener->name, sizeof listener->name, "unix:%s", path);
    return status;
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
        uv_run(loop, UV_RUN_NOWAIT); /* the handles' memory goes with their last turn */
        return NULL;
    }
    return all;
}

int zkl_listeners_open(struct zkl_listeners *listeners, int backlog,
                       uv_connection_cb on_connection, void *user,
                       struct zkl_listener_error *error)
{
    for (size_t i = 0; i < listeners->count; i++) {
        struct listener *listener = &listeners->each[i];
        if (listener->name[0] == '\0') continue;
        listener->as.handle.data = user;
        int status = uv_listen(&listener->as.stream, backlog, on_connection);
        if (status != 0) return fail(error, "%s: %s", listener->name, uv_strerror(status));
    }
    return 0;
}

int zkl_listeners_port(const struct zkl_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *listener = &listeners->each[i];
        if (listener->is_pipe || listener->name[0] == '\0') continue;
        return atoi(strrchr(listener->name, ':') + 1);
    }
    return -1;
}

void zkl_listeners_describe(const struct zkl_listeners *listeners, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < listeners->count && used < size; i++) {
        const char *name = listeners->each[i].name;
        if (name[0] == '\0') continue;
        int more = snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", name);
        used += (size_t)more;
    }
}

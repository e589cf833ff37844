/* Where clients connect: TCP on IPv4 and IPv6, and Unix sockets.
 *
 * An address is written
 *     HOST:PORT   [IPV6]:PORT   HOST   :PORT   *:PORT   unix:PATH
 * without a port: ZKL_PORT_DEFAULT; port 0: any that is free; no host or `*`: every address of
 * this machine, of both families. A name stands for all of its addresses. */
#ifndef ZKLUA_UV_LISTEN_H
#define ZKLUA_UV_LISTEN_H

#include <uv.h>

#include "zklua/wire.h"

#define ZKL_LISTENERS_MAX 16
#define ZKL_LISTEN_BACKLOG 1024 /* the kernel's net.core.somaxconn bounds it, too */

struct zkl_listener;
struct zkl_listeners;

struct zkl_listener_error {
    char text[512];
};

/* Binds all, listens at none: a port in use is told before anything else is begun. NULL: the
 * error says which address and why, and nothing is bound. */
struct zkl_listeners *zkl_listeners_bind(uv_loop_t *loop, const char *const *addresses,
                                         size_t count, struct zkl_listener_error *error);
/* Somebody waits at `listener`: to be told again while that is so. */
typedef void zkl_waiting_fn(struct zkl_listener *listener, void *user);
/* Listens at all of them. 0, or -1 and the error says why. */
int zkl_listeners_open(struct zkl_listeners *listeners, int backlog, zkl_waiting_fn *on_waiting,
                       void *user, struct zkl_listener_error *error);
/* The socket of the next one who waits. UV_EAGAIN: nobody does; another error of libuv's: there
 * are no descriptors or no memory for it, and those who wait go on waiting. */
int zkl_listener_accept(struct zkl_listener *listener);
bool zkl_listener_is_unix(const struct zkl_listener *listener);
/* `on_waiting` is not called between the two. */
void zkl_listeners_pause(struct zkl_listeners *listeners);
void zkl_listeners_resume(struct zkl_listeners *listeners);
/* Takes Unix sockets away: whoever comes from now on finds none, or is refused. Those who have come
 * already wait to be accepted. The beginning of a close. */
void zkl_listeners_refuse(struct zkl_listeners *listeners);
/* Calls `on_waiting` for each, whether anybody waits or not. */
void zkl_listeners_ask(struct zkl_listeners *listeners);
/* The port of the first TCP address, -1: there is none. */
int zkl_listeners_port(const struct zkl_listeners *listeners);
/* "127.0.0.1:2181, unix:/run/x", as they are bound. */
void zkl_listeners_describe(const struct zkl_listeners *listeners, char *text, size_t size);
/* No more connections. The loop closes what it polls, and then frees it all. */
void zkl_listeners_close(struct zkl_listeners *listeners);

/* Whether `text` is an address at all; else why not. Asks no name server. */
bool zkl_listen_address_check(const char *text, struct zkl_listener_error *error);

#endif

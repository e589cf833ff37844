/* Sessions that end with their process: of clients at Unix sockets, on this machine.
 *
 * A session belongs to the process that attached it last. When that has ended, in whatever way,
 * its sessions end as by an expiry, in the same turn of the loop: cut off or not, and also when a
 * child of it keeps the socket open. A process is watched by one pidfd, as long as it has a
 * connection or a session.
 *
 * What cannot be watched is left to the sessions' timeouts, as over TCP: a process of another pid
 * namespace, one too many, one for which there is no descriptor or no memory. */
#ifndef ZKLUA_UV_OWNERS_H
#define ZKLUA_UV_OWNERS_H

#include <sys/types.h>
#include <uv.h>

#include "zklua/server.h"

#define ZKL_OWNERS_MAX 16384 /* processes; at most half of the descriptors besides */
#define ZKL_OWNED_SLACK 1024 /* sessions that are remembered beyond twice those that live */

struct zkl_owners;
struct zkl_owner;

/* NULL: out of memory. */
struct zkl_owners *zkl_owners_new(uv_loop_t *loop, struct zkl_server *server,
                                  const struct zkl_allocator *allocator, size_t most);
/* Once no connection has one any more. The loop closes its handles, and then frees it all. */
void zkl_owners_close(struct zkl_owners *owners);
/* Descriptors that it has open. */
size_t zkl_owners_count(const struct zkl_owners *owners);

/* A connection of process `pid` more; NULL: it cannot be watched. One that has ended already is
 * an owner, too: what it attaches ends. */
struct zkl_owner *zkl_owners_enter(struct zkl_owners *owners, pid_t pid);
/* One less. */
void zkl_owner_leave(struct zkl_owner *owner);

/* The session belongs to `owner` from now on; NULL: to no process that is watched. */
void zkl_owners_attached(struct zkl_owners *owners, struct zkl_owner *owner, int64_t session_id);
/* Polling is over, and so what they had sent has counted: the end of the sessions whose processes
 * have ended. */
void zkl_owners_settle(struct zkl_owners *owners, struct zkl_clock clock);

#endif

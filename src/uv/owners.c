/* The table of processes and that of their sessions: see owners.h.
 *
 * A number of a process is given again once that has ended and was waited for. A pidfd is not:
 * so an owner found by its number is taken only while its pidfd says that it lives. A process that
 * ends, and whose number is taken, between its connect and our accept goes unnoticed: then the
 * wrong one is watched, and the session is left to its timeout.
 *
 * Sessions that ended otherwise are not told of. They are swept out when more are remembered than
 * twice as many as there are, so that each costs a few steps whatever their number. */
#define _GNU_SOURCE /* pidfd_open */

#include "uv/owners.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "uv/log.h"

struct zkl_owner {
    union {
        uv_handle_t handle;
        uv_poll_t poll;
    } end; /* of the process */
    struct zkl_owners *all;
    int pidfd;                   /* open as long as the loop has `end`: it goes by the number */
    pid_t pid;
    struct zkl_map_node by_pid;  /* while it lives */
    struct zkl_list sessions;    /* of struct owned */
    struct zkl_list ended;       /* in owners->ended: to be settled */
    size_t connection_count;
    bool has_ended;
    bool is_watched;             /* the loop has `end` */
};

struct owned {
    struct zkl_map_node by_id;
    struct zkl_list link;
    int64_t session_id;
    struct zkl_owner *owner;
};

struct zkl_owners {
    uv_loop_t *loop;
    struct zkl_server *server;
    struct zkl_allocator allocator;
    struct zkl_map by_pid; /* of owners that live */
    struct zkl_map by_id;  /* of sessions */
    struct zkl_list ended;
    size_t most;
    size_t watched;        /* with a pidfd */
    size_t closing;        /* handles that the loop has not closed yet */
    bool closed;
};

/* --- processes --------------------------------------------------------------------------- */

static uint64_t hash_number(uint64_t number)
{
    return zkl_hash_end(zkl_hash_begin(number));
}

static void free_owners(struct zkl_owners *owners)
{
    struct zkl_allocator allocator = owners->allocator;
    zkl_map_free(&owners->by_pid);
    zkl_map_free(&owners->by_id);
    zkl_release(&allocator, owners, sizeof *owners);
}

static void on_closed(uv_handle_t *handle)
{
    struct zkl_owner *owner = handle->data;
    struct zkl_owners *owners = owner->all;
    zkl_release(&owners->allocator, owner, sizeof *owner);
    if (--owners->closing == 0 && owners->closed) free_owners(owners);
}

/* Nobody needs it: neither a connection nor a session. */
static void drop_unneeded(struct zkl_owner *owner)
{
    if (owner->connection_count > 0 || !zkl_list_empty(&owner->sessions)) return;
    struct zkl_owners *owners = owner->all;
    zkl_list_remove(&owner->ended);
    if (!owner->has_ended) zkl_map_remove(&owners->by_pid, &owner->by_pid);
    if (!owner->is_watched) {
        zkl_release(&owners->allocator, owner, sizeof *owner);
        return;
    }
    uv_close(&owner->end.handle, on_closed);
    close(owner->pidfd);
    owners->watched--;
    owners->closing++;
}

/* Its number may be another's from here on. */
static void note_end(struct zkl_owner *owner)
{
    if (owner->has_ended) return;
    owner->has_ended = true;
    zkl_map_remove(&owner->all->by_pid, &owner->by_pid);
    zkl_list_push(&owner->all->ended, &owner->ended);
    uv_poll_stop(&owner->end.poll);
}

static void on_end(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    note_end(poll->data);
}

static bool lives(const struct zkl_owner *owner)
{
    struct pollfd end = { .fd = owner->pidfd, .events = POLLIN };
    return poll(&end, 1, 0) == 0;
}

static struct zkl_owner *find_living(struct zkl_owners *owners, pid_t pid)
{
    uint64_t hash = hash_number((uint64_t)pid);
    struct zkl_map_node *node = zkl_map_first(&owners->by_pid, hash);
    for (; node != NULL; node = zkl_map_next(node, hash)) {
        struct zkl_owner *owner = ZKL_LIST_ELEMENT(node, struct zkl_owner, by_pid);
        if (owner->pid != pid) continue;
        if (lives(owner)) return owner;
        note_end(owner);
        return NULL;
    }
    return NULL;
}

/* false: it cannot be. */
static bool watch(struct zkl_owner *owner, int pidfd)
{
    struct zkl_owners *owners = owner->all;
    if (!zkl_map_reserve(&owners->by_pid)) return false;
    if (uv_poll_init(owners->loop, &owner->end.poll, pidfd) != 0) return false;
    owner->end.handle.data = owner;
    owner->is_watched = true;
    owners->watched++;
    owner->pidfd = pidfd;
    zkl_map_insert(&owners->by_pid, &owner->by_pid, hash_number((uint64_t)owner->pid));
    int status = uv_poll_start(&owner->end.poll, UV_READABLE, on_end);
    ZKL_ASSERT(status == 0); /* it fails for handles that are being closed alone */
    return true;
}

static struct zkl_owner *unwatched(pid_t pid, const char *why)
{
    zkl_log(ZKL_LOG_CHATTER, "the end of process %ld will not be noticed (%s): its sessions end "
            "by their timeouts", (long)pid, why);
    return NULL;
}

static struct zkl_owner *make(struct zkl_owners *owners, pid_t pid)
{
    if (owners->watched >= owners->most) return unwatched(pid, "too many processes");
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0 && errno != ESRCH) return unwatched(pid, strerror(errno));
    struct zkl_owner *owner = zkl_allocate(&owners->allocator, sizeof *owner);
    if (owner != NULL) {
        *owner = (struct zkl_owner) { .all = owners, .pid = pid, .pidfd = -1 };
        owner->has_ended = pidfd < 0;
        zkl_list_init(&owner->sessions);
        zkl_list_init(&owner->ended);
        if (owner->has_ended || watch(owner, pidfd)) return owner;
        zkl_release(&owners->allocator, owner, sizeof *owner);
    }
    if (pidfd >= 0) close(pidfd);
    return unwatched(pid, "no memory");
}

struct zkl_owner *zkl_owners_enter(struct zkl_owners *owners, pid_t pid)
{
    if (pid <= 0) return NULL;
    struct zkl_owner *owner = find_living(owners, pid);
    if (owner == NULL) owner = make(owners, pid);
    if (owner != NULL) owner->connection_count++;
    return owner;
}

void zkl_owner_leave(struct zkl_owner *owner)
{
    ZKL_ASSERT(owner->connection_count > 0);
    owner->connection_count--;
    drop_unneeded(owner);
}

/* --- their sessions ---------------------------------------------------------------------- */

static struct owned *find_session(struct zkl_owners *owners, int64_t id)
{
    uint64_t hash = hash_number((uint64_t)id);
    struct zkl_map_node *node = zkl_map_first(&owners->by_id, hash);
    for (; node != NULL; node = zkl_map_next(node, hash)) {
        struct owned *owned = ZKL_LIST_ELEMENT(node, struct owned, by_id);
        if (owned->session_id == id) return owned;
    }
    return NULL;
}

static void take_from(struct owned *owned)
{
    struct zkl_owner *owner = owned->owner;
    zkl_list_remove(&owned->link);
    owned->owner = NULL;
    drop_unneeded(owner);
}

static void forget(struct zkl_owners *owners, struct owned *owned)
{
    zkl_map_remove(&owners->by_id, &owned->by_id);
    take_from(owned);
    zkl_release(&owners->allocator, owned, sizeof *owned);
}

static void sweep(struct zkl_owners *owners)
{
    struct zkl_server_counts counts;
    zkl_server_count(owners->server, &counts);
    if (owners->by_id.count < 2 * counts.sessions + ZKL_OWNED_SLACK) return;
    struct zkl_map_node *next, *node = zkl_map_each(&owners->by_id, NULL);
    for (; node != NULL; node = next) {
        struct owned *owned = ZKL_LIST_ELEMENT(node, struct owned, by_id);
        next = zkl_map_each(&owners->by_id, node);
        if (!zkl_server_has_session(owners->server, owned->session_id)) forget(owners, owned);
    }
}

static struct owned *remember(struct zkl_owners *owners, int64_t session_id)
{
    sweep(owners);
    if (!zkl_map_reserve(&owners->by_id)) return NULL;
    struct owned *owned = zkl_allocate(&owners->allocator, sizeof *owned);
    if (owned == NULL) return NULL;
    *owned = (struct owned) { .session_id = session_id };
    zkl_list_init(&owned->link);
    zkl_map_insert(&owners->by_id, &owned->by_id, hash_number((uint64_t)session_id));
    return owned;
}

void zkl_owners_attached(struct zkl_owners *owners, struct zkl_owner *owner, int64_t session_id)
{
    struct owned *owned = find_session(owners, session_id);
    if (owner == NULL) {
        if (owned != NULL) forget(owners, owned);
        return;
    }
    if (owned == NULL) owned = remember(owners, session_id);
    if (owned == NULL) return; /* no memory: its timeout remains */
    struct zkl_owner *before = owned->owner;
    zkl_list_remove(&owned->link);
    zkl_list_push(&owner->sessions, &owned->link);
    owned->owner = owner;
    if (before != NULL) drop_unneeded(before);
    if (owner->has_ended && zkl_list_empty(&owner->ended)) {
        zkl_list_push(&owners->ended, &owner->ended);
    }
}

static void end_sessions(struct zkl_owners *owners, struct zkl_owner *owner,
                         struct zkl_clock clock)
{
    size_t count = 0;
    owner->connection_count++; /* it stays until we are done */
    while (!zkl_list_empty(&owner->sessions)) {
        struct owned *owned = ZKL_LIST_ELEMENT(owner->sessions.next, struct owned, link);
        int64_t id = owned->session_id;
        forget(owners, owned);
        count += zkl_server_expire(owners->server, id, clock) ? 1 : 0;
    }
    if (count > 0) {
        zkl_log(ZKL_LOG_CHATTER, "process %ld has ended, and with it %zu session%s",
                (long)owner->pid, count, count == 1 ? "" : "s");
    }
    zkl_owner_leave(owner);
}

void zkl_owners_settle(struct zkl_owners *owners, struct zkl_clock clock)
{
    while (!zkl_list_empty(&owners->ended)) {
        struct zkl_owner *owner = ZKL_LIST_ELEMENT(owners->ended.next, struct zkl_owner, ended);
        zkl_list_remove(&owner->ended);
        end_sessions(owners, owner, clock);
    }
}

/* --- all of them ------------------------------------------------------------------------- */

struct zkl_owners *zkl_owners_new(uv_loop_t *loop, struct zkl_server *server,
                                  const struct zkl_allocator *allocator, size_t most)
{
    struct zkl_owners *owners = zkl_allocate(allocator, sizeof *owners);
    if (owners == NULL) return NULL;
    *owners = (struct zkl_owners) {
        .loop = loop, .server = server, .allocator = *allocator,
        .most = most / 2 < ZKL_OWNERS_MAX ? most / 2 : ZKL_OWNERS_MAX,
    };
    zkl_map_init(&owners->by_pid, allocator);
    zkl_map_init(&owners->by_id, allocator);
    zkl_list_init(&owners->ended);
    return owners;
}

size_t zkl_owners_count(const struct zkl_owners *owners)
{
    return owners->watched;
}

void zkl_owners_close(struct zkl_owners *owners)
{
    struct zkl_map_node *next, *node = zkl_map_each(&owners->by_id, NULL);
    for (; node != NULL; node = next) {
        next = zkl_map_each(&owners->by_id, node);
        forget(owners, ZKL_LIST_ELEMENT(node, struct owned, by_id));
    }
    ZKL_ASSERT(owners->by_pid.count == 0); /* no connection, no session */
    owners->closed = true;
    if (owners->closing == 0) free_owners(owners);
}

/* The table of sessions and its clock: see sessions.h.
 *
 * The ring has a list for each of the next `bucket_count` ticks. A session is in the list of
 * the tick in which its bucket is over, or of the same tick of a later round. When a tick is
 * over, its whole list becomes `due`; from there each session is given out, or goes back for
 * one more round.
 *
 * All times in here are the table's own, which falls behind the caller's by what was granted. */
#include "server/sessions.h"

#include <string.h>

#include "base/memory.h"

enum {
    BUCKETS_MAX = 4096, /* longer timeouts only go round more often */
    ID_BITS = 56        /* below the server's byte */
};

static uint64_t server_part(int64_t id)
{
    return (uint64_t)id >> ID_BITS << ID_BITS;
}

/* The id behind this one, of the same server. */
static int64_t id_after(int64_t id)
{
    uint64_t low = ((uint64_t)id + 1) & ((UINT64_C(1) << ID_BITS) - 1);
    return (int64_t)(server_part(id) | low);
}

bool zkl_sessions_init(struct zkl_sessions *sessions, const struct zkl_allocator *allocator,
                       const struct zkl_server_options *options)
{
    ZKL_ASSERT(options->tick_time_ms > 0 && options->session_timeout_max_ms >= 0);
    size_t ticks = (size_t)(options->session_timeout_max_ms / options->tick_time_ms) + 2;
    *sessions = (struct zkl_sessions) {
        .allocator = *allocator,
        .bucket_count = ticks < BUCKETS_MAX ? ticks : BUCKETS_MAX,
        .tick_ms = options->tick_time_ms,
        .next_id = (int64_t)((uint64_t)options->server_id << ID_BITS),
        .seed = options->seed,
        .keep = options->sessions_keep,
    };
    zkl_map_init(&sessions->map, allocator);
    zkl_list_init(&sessions->due);
    sessions->buckets =
        zkl_allocate(allocator, sessions->bucket_count * sizeof sessions->buckets[0]);
    if (sessions->buckets == NULL) return false;
    for (size_t i = 0; i < sessions->bucket_count; i++) zkl_list_init(&sessions->buckets[i]);
    return true;
}

void zkl_sessions_free(struct zkl_sessions *sessions)
{
    struct zkl_map_node *next, *node = zkl_map_each(&sessions->map, NULL);
    for (; node != NULL; node = next) {
        next = zkl_map_each(&sessions->map, node);
        zkl_release(&sessions->allocator, ZKL_LIST_ELEMENT(node, struct zkl_session, entry),
                    sizeof(struct zkl_session));
    }
    zkl_map_free(&sessions->map);
    zkl_release(&sessions->allocator, sessions->buckets,
                sessions->bucket_count * sizeof sessions->buckets[0]);
    sessions->buckets = NULL;
}

void zkl_sessions_begin(struct zkl_sessions *sessions, uint8_t server_id, struct zkl_clock clock)
{
    ZKL_ASSERT(server_id <= 254); /* 255 marks nodes with a time to live */
    uint64_t time = ((uint64_t)clock.wall_ms << 24) >> 8;
    int64_t first = (int64_t)((uint64_t)server_id << ID_BITS | time);
    int64_t seen = sessions->next_id;
    bool goes_on = server_part(seen) == server_part(first) && (uint64_t)seen > (uint64_t)first;
    sessions->next_id = goes_on ? seen : first;
}

/* 0 means "none" on the wire and INT64_MIN a container's owner; others can only be taken
 * after all 2^56 numbers were, or where the wall clock went back. */
int64_t zkl_sessions_take_id(struct zkl_sessions *sessions)
{
    int64_t id = sessions->next_id;
    while (id == 0 || id == INT64_MIN || zkl_sessions_find(sessions, id) != NULL) {
        id = id_after(id);
    }
    sessions->next_id = id_after(id);
    return id;
}

/* --- the table ------------------------------------------------------------------------ */

static uint64_t hash_id(const struct zkl_sessions *sessions, int64_t id)
{
    return zkl_hash_end(sessions->seed ^ (uint64_t)id);
}

struct zkl_session *zkl_sessions_find(const struct zkl_sessions *sessions, int64_t id)
{
    uint64_t hash = hash_id(sessions, id);
    struct zkl_map_node *node = zkl_map_first(&sessions->map, hash);
    for (; node != NULL; node = zkl_map_next(node, hash)) {
        struct zkl_session *session = ZKL_LIST_ELEMENT(node, struct zkl_session, entry);
        if (session->id == id) return session;
    }
    return NULL;
}

struct zkl_session *zkl_sessions_reserve(struct zkl_sessions *sessions, size_t ahead)
{
    if (!zkl_map_reserve_ahead(&sessions->map, ahead + 1)) return NULL;
    struct zkl_session *session = zkl_allocate(&sessions->allocator, sizeof *session);
    if (session == NULL) return NULL;
    memset(session, 0, sizeof *session);
    zkl_list_init(&session->in_bucket);
    zkl_list_init(&session->close_waiters);
    return session;
}

void zkl_sessions_release(struct zkl_sessions *sessions, struct zkl_session *session)
{
    zkl_release(&sessions->allocator, session, sizeof *session);
}

void zkl_sessions_insert(struct zkl_sessions *sessions, struct zkl_session *session, int64_t id,
                         int32_t timeout_ms, int64_t now_ms)
{
    ZKL_ASSERT(zkl_sessions_find(sessions, id) == NULL);
    session->id = id;
    session->timeout_ms = session->logged_timeout_ms = timeout_ms;
    /* Also one that is closed again in the same log is never given to another client. */
    int64_t next = sessions->next_id;
    bool is_ours = server_part(id) == server_part(next);
    if (is_ours && (uint64_t)id >= (uint64_t)next) sessions->next_id = id_after(id);
    zkl_map_insert(&sessions->map, &session->entry, hash_id(sessions, id));
    zkl_sessions_touch(sessions, session, now_ms);
}

/* --- time ------------------------------------------------------------------------------ */

static struct zkl_list *bucket_of(const struct zkl_sessions *sessions, int64_t expires_ms)
{
    uint64_t tick = (uint64_t)expires_ms / (uint64_t)sessions->tick_ms;
    return &sessions->buckets[tick % sessions->bucket_count];
}

/* The end of the tick after `time_ms`: never `time_ms` itself. */
static int64_t tick_after(const struct zkl_sessions *sessions, int64_t time_ms)
{
    int64_t begin_ms = time_ms - time_ms % sessions->tick_ms;
    if (begin_ms > time_ms) begin_ms -= sessions->tick_ms; /* before the clock's zero */
    return begin_ms + sessions->tick_ms;
}

static void take_out(struct zkl_sessions *sessions, struct zkl_session *session)
{
    if (zkl_list_empty(&session->in_bucket)) return;
    zkl_list_remove(&session->in_bucket);
    sessions->waiting_count--;
}

void zkl_sessions_remove(struct zkl_sessions *sessions, struct zkl_session *session)
{
    ZKL_ASSERT(zkl_list_empty(&session->close_waiters));
    take_out(sessions, session);
    zkl_map_remove(&sessions->map, &session->entry);
    zkl_sessions_release(sessions, session);
}

void zkl_sessions_touch(struct zkl_sessions *sessions, struct zkl_session *session,
                        int64_t now_ms)
{
    if (session->closing || sessions->keep) return;
    int64_t own_ms = now_ms - sessions->granted_ms;
    int64_t timeout_ms = session->timeout_ms > 0 ? session->timeout_ms : 0;
    int64_t expires_ms = tick_after(sessions, own_ms + timeout_ms);
    bool waits = !zkl_list_empty(&session->in_bucket);
    if (waits && expires_ms == session->expires_ms) return;
    /* Looked at every tick, also when nothing can expire yet: that is how a driver that was away
     * is noticed. */
    if (sessions->waiting_count == 0) sessions->next_bucket_ms = tick_after(sessions, own_ms);
    if (sessions->next_bucket_ms > expires_ms) sessions->next_bucket_ms = expires_ms;
    take_out(sessions, session);
    session->expires_ms = expires_ms;
    zkl_list_push(bucket_of(sessions, expires_ms), &session->in_bucket);
    sessions->waiting_count++;
}

/* Moves what is in buckets that are over to `due`. After a leap of more than a round, each
 * bucket is looked at once. false: no bucket is over. */
static bool collect(struct zkl_sessions *sessions, int64_t own_ms)
{
    if (sessions->waiting_count == 0 || own_ms < sessions->next_bucket_ms) return false;
    int64_t round_ms = (int64_t)sessions->bucket_count * sessions->tick_ms;
    int64_t oldest_ms = tick_after(sessions, own_ms) - round_ms;
    if (sessions->next_bucket_ms < oldest_ms) sessions->next_bucket_ms = oldest_ms;
    zkl_list_join(&sessions->due, bucket_of(sessions, sessions->next_bucket_ms));
    sessions->next_bucket_ms += sessions->tick_ms;
    return true;
}

struct zkl_session *zkl_sessions_next_expired(struct zkl_sessions *sessions, int64_t now_ms)
{
    int64_t own_ms = now_ms - sessions->granted_ms;
    do {
        while (!zkl_list_empty(&sessions->due)) {
            struct zkl_session *session =
                ZKL_LIST_ELEMENT(sessions->due.next, struct zkl_session, in_bucket);
            take_out(sessions, session);
            if (session->closing) continue;
            if (session->expires_ms <= own_ms) return session;
            zkl_list_push(bucket_of(sessions, session->expires_ms), &session->in_bucket);
            sessions->waiting_count++;
        }
    } while (collect(sessions, own_ms));
    return NULL;
}

int64_t zkl_sessions_deadline(const struct zkl_sessions *sessions)
{
    if (sessions->waiting_count == 0) return ZKL_NEVER;
    return sessions->next_bucket_ms + sessions->granted_ms;
}

void zkl_sessions_grant(struct zkl_sessions *sessions, int64_t missed_ms)
{
    ZKL_ASSERT(missed_ms >= 0);
    sessions->granted_ms += missed_ms;
}

void zkl_sessions_restart(struct zkl_sessions *sessions, int64_t now_ms)
{
    struct zkl_map_node *node = zkl_map_each(&sessions->map, NULL);
    for (; node != NULL; node = zkl_map_each(&sessions->map, node)) {
        take_out(sessions, ZKL_LIST_ELEMENT(node, struct zkl_session, entry));
    }
    for (node = zkl_map_each(&sessions->map, NULL); node != NULL;
         node = zkl_map_each(&sessions->map, node)) {
        zkl_sessions_touch(sessions, ZKL_LIST_ELEMENT(node, struct zkl_session, entry), now_ms);
    }
}

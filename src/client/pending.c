/* Requests between submit and reply: see pending.h. */
#include "client/pending.h"

#include <string.h>

#include "base/memory.h"

void zkl_pendings_init(struct zkl_pendings *pendings, const struct zkl_allocator *allocator,
                       size_t count_max)
{
    *pendings = (struct zkl_pendings) {
        .allocator = *allocator, .count_max = count_max, .next_xid = 1
    };
    zkl_list_init(&pendings->queue);
    zkl_list_init(&pendings->sent);
    zkl_list_init(&pendings->lost);
    zkl_list_init(&pendings->ended);
    zkl_list_init(&pendings->early);
    zkl_list_init(&pendings->spare);
    zkl_map_init(&pendings->by_xid, allocator);
    zkl_heap_init(&pendings->deadlines, allocator);
    zkl_chunks_init(&pendings->chunks, allocator);
}

static void release_list(struct zkl_pendings *pendings, struct zkl_list *list)
{
    while (!zkl_list_empty(list)) {
        struct zkl_pending *pending = zkl_pendings_first(list);
        zkl_list_remove(&pending->link);
        zkl_list_remove(&pending->early);
        zkl_release(&pendings->allocator, pending, sizeof *pending);
    }
}

void zkl_pendings_free(struct zkl_pendings *pendings)
{
    release_list(pendings, &pendings->queue);
    release_list(pendings, &pendings->sent);
    release_list(pendings, &pendings->lost);
    release_list(pendings, &pendings->ended);
    /* What is left there was in no list but waited for its REPLY to be taken. */
    while (!zkl_list_empty(&pendings->early)) {
        struct zkl_pending *pending =
            ZKL_LIST_ELEMENT(pendings->early.next, struct zkl_pending, early);
        zkl_list_remove(&pending->early);
        zkl_release(&pendings->allocator, pending, sizeof *pending);
    }
    release_list(pendings, &pendings->spare);
    zkl_map_free(&pendings->by_xid);
    zkl_heap_free(&pendings->deadlines);
    zkl_chunks_free(&pendings->chunks);
}

/* xids count up, so that neighbours fall into neighbouring buckets. */
static uint64_t hash_xid(int32_t xid)
{
    return (uint64_t)(uint32_t)xid;
}

static struct zkl_pending *take_spare(struct zkl_pendings *pendings)
{
    struct zkl_pending *pending = zkl_pendings_first(&pendings->spare);
    if (pending == NULL) return zkl_allocate(&pendings->allocator, sizeof *pending);
    zkl_list_remove(&pending->link);
    pendings->spare_count--;
    return pending;
}

static void recycle(struct zkl_pendings *pendings, struct zkl_pending *pending)
{
    pendings->count--;
    if (pendings->spare_count == ZKL_PENDING_SPARE_MAX) {
        zkl_release(&pendings->allocator, pending, sizeof *pending);
        return;
    }
    zkl_list_push(&pendings->spare, &pending->link);
    pendings->spare_count++;
}

int zkl_pendings_reserve(struct zkl_pendings *pendings, struct zkl_pending **pending)
{
    if (pendings->count >= pendings->count_max) return ZKL_E_LIMIT;
    if (!zkl_map_reserve(&pendings->by_xid)) return ZKL_E_NOMEM;
    if (!zkl_heap_reserve(&pendings->deadlines)) return ZKL_E_NOMEM;
    struct zkl_pending *new = take_spare(pendings);
    if (new == NULL) return ZKL_E_NOMEM;
    memset(new, 0, sizeof *new);
    zkl_list_init(&new->link);
    zkl_list_init(&new->early);
    new->deadline.index = ZKL_HEAP_NOWHERE;
    new->place = ZKL_PLACE_NONE;
    new->xid = pendings->next_xid;
    pendings->count++;
    *pending = new;
    return ZKL_OK;
}

void zkl_pendings_discard(struct zkl_pendings *pendings, struct zkl_pending *pending)
{
    recycle(pendings, pending);
}

static void take_xid(struct zkl_pendings *pendings)
{
    /* Never 0 or negative: those have meanings of their own. */
    pendings->next_xid = pendings->next_xid == INT32_MAX ? 1 : pendings->next_xid + 1;
}

void zkl_pendings_open(struct zkl_pendings *pendings, struct zkl_pending *pending,
                       int64_t deadline_ms)
{
    take_xid(pendings);
    if (pending->answered) return; /* our own: nobody waits for it */
    zkl_map_insert(&pendings->by_xid, &pending->node, hash_xid(pending->xid));
    if (deadline_ms != ZKL_NEVER) {
        zkl_heap_insert(&pendings->deadlines, &pending->deadline, deadline_ms);
    }
    pendings->open_count++;
}

void zkl_pendings_queue(struct zkl_pendings *pendings, struct zkl_pending *pending, size_t size)
{
    size_t room;
    pending->frame = zkl_chunks_room(&pendings->chunks, &room);
    pending->frame_size = size;
    pending->chunk = zkl_chunks_take(&pendings->chunks, size);
    pending->place = ZKL_PLACE_QUEUE;
    pendings->queued_bytes += size;
    zkl_list_push(&pendings->queue, &pending->link);
}

static void drop_frame(struct zkl_pendings *pendings, struct zkl_pending *pending)
{
    if (pending->chunk == NULL) return;
    zkl_chunks_give_back(&pendings->chunks, pending->chunk);
    pendings->queued_bytes -= pending->frame_size;
    pending->chunk = NULL;
    pending->frame = NULL;
}

void zkl_pendings_close(struct zkl_pendings *pendings, struct zkl_pending *pending)
{
    if (pending->answered) return;
    pending->answered = true;
    zkl_map_remove(&pendings->by_xid, &pending->node);
    zkl_heap_remove(&pendings->deadlines, &pending->deadline);
    pendings->open_count--;
}

void zkl_pendings_leave(struct zkl_pendings *pendings, struct zkl_pending *pending)
{
    ZKL_ASSERT(pending->watch == NULL);
    drop_frame(pendings, pending);
    zkl_list_remove(&pending->link);
    pending->place = ZKL_PLACE_NONE;
    if (pending->answered && zkl_list_empty(&pending->early)) recycle(pendings, pending);
}

void zkl_pendings_answer_early(struct zkl_pendings *pendings, struct zkl_pending *pending,
                               int32_t code)
{
    ZKL_ASSERT(!pending->answered);
    zkl_pendings_close(pendings, pending);
    pendings->open_count++; /* until the REPLY is taken */
    pending->code = code;
    zkl_list_push(&pendings->early, &pending->early);
}

bool zkl_pendings_take_early(struct zkl_pendings *pendings, struct zkl_event *event)
{
    if (zkl_list_empty(&pendings->early)) return false;
    struct zkl_pending *pending =
        ZKL_LIST_ELEMENT(pendings->early.next, struct zkl_pending, early);
    zkl_list_remove(&pending->early);
    pendings->open_count--;
    *event = (struct zkl_event) {
        .kind = ZKL_EVENT_REPLY,
        .xid = pending->xid,
        .user = pending->user,
        .code = pending->code,
        .result = { .op = pending->op },
    };
    if (pending->place == ZKL_PLACE_NONE) recycle(pendings, pending);
    return true;
}

struct zkl_pending *zkl_pendings_find(const struct zkl_pendings *pendings, int32_t xid)
{
    struct zkl_map_node *node = zkl_map_first(&pendings->by_xid, hash_xid(xid));
    return node != NULL ? ZKL_LIST_ELEMENT(node, struct zkl_pending, node) : NULL;
}

struct zkl_pending *zkl_pendings_due(const struct zkl_pendings *pendings, int64_t now_ms)
{
    const struct zkl_heap_item *first = zkl_heap_first(&pendings->deadlines);
    if (first == NULL || first->deadline_ms > now_ms) return NULL;
    return ZKL_LIST_ELEMENT(first->place, struct zkl_pending, deadline);
}

void zkl_pendings_compact(struct zkl_pendings *pendings)
{
    struct zkl_chunks *chunks = &pendings->chunks;
    for (struct zkl_list *at = pendings->queue.next; at != &pendings->queue; at = at->next) {
        struct zkl_pending *pending = ZKL_LIST_ELEMENT(at, struct zkl_pending, link);
        if (pending->place == ZKL_PLACE_SHOWN) continue; /* the driver may be reading it */
        if (!zkl_chunks_reserve(chunks, pending->frame_size)) return;
        size_t room;
        uint8_t *frame = zkl_chunks_room(chunks, &room);
        memcpy(frame, pending->frame, pending->frame_size);
        struct zkl_chunk *chunk = zkl_chunks_take(chunks, pending->frame_size);
        zkl_chunks_give_back(chunks, pending->chunk);
        pending->chunk = chunk;
        pending->frame = frame;
    }
}

/* --- output ----------------------------------------------------------------- */

static void show(struct zkl_pendings *pendings, struct zkl_pending *pending)
{
    pending->place = ZKL_PLACE_SHOWN;
    pendings->run_last = pending;
}

struct zkl_slice zkl_pendings_output(struct zkl_pendings *pendings)
{
    if (pendings->run_last == NULL) {
        struct zkl_pending *first = zkl_pendings_first(&pendings->queue);
        if (first == NULL) return (struct zkl_slice) { NULL, 0 };
        pendings->run = (struct zkl_slice) { first->frame, first->frame_size };
        show(pendings, first);
    }
    for (;;) {
        struct zkl_list *next = pendings->run_last->link.next;
        if (next == &pendings->queue) break;
        struct zkl_pending *pending = ZKL_LIST_ELEMENT(next, struct zkl_pending, link);
        if (pending->chunk != pendings->run_last->chunk) break;
        if (pending->frame != pendings->run.base + pendings->run.size) break;
        pendings->run.size += pending->frame_size;
        show(pendings, pending);
    }
    return pendings->run;
}

static void move_to_sent(struct zkl_pendings *pendings, struct zkl_pending *pending,
                         int64_t now_ms)
{
    drop_frame(pendings, pending);
    pending->sent_ms = now_ms;
    zkl_list_remove(&pending->link);
    if (pending->one_way) {
        pending->place = ZKL_PLACE_NONE;
        if (pending->answered && zkl_list_empty(&pending->early)) recycle(pendings, pending);
        return;
    }
    pending->place = ZKL_PLACE_SENT;
    zkl_list_push(&pendings->sent, &pending->link);
}

void zkl_pendings_sent(struct zkl_pendings *pendings, size_t size, int64_t now_ms,
                       uint64_t *frames)
{
    ZKL_ASSERT(size <= pendings->run.size);
    pendings->run.base += size;
    pendings->run.size -= size;
    pendings->run_sent += size;
    for (;;) {
        struct zkl_pending *first = zkl_pendings_first(&pendings->queue);
        if (first == NULL || pendings->run_sent < first->frame_size) break;
        if (first->place != ZKL_PLACE_SHOWN) break;
        pendings->run_sent -= first->frame_size;
        if (first == pendings->run_last) pendings->run_last = NULL;
        move_to_sent(pendings, first, now_ms);
        (*frames)++;
    }
}

/* --- the end of a link, and of everything ----------------------------------- */

/* Shown requests are at the head of the queue, as many as one run has. */
static void unshow(struct zkl_pendings *pendings)
{
    struct zkl_list *at = pendings->run_last != NULL ? pendings->queue.next : &pendings->queue;
    while (at != &pendings->queue) {
        struct zkl_pending *pending = ZKL_LIST_ELEMENT(at, struct zkl_pending, link);
        at = pending == pendings->run_last ? &pendings->queue : at->next;
        pending->place = ZKL_PLACE_QUEUE;
        if (pending->answered) {
            zkl_list_remove(&pending->link);
            zkl_list_push(&pendings->lost, &pending->link);
        }
    }
    pendings->run = (struct zkl_slice) { NULL, 0 };
    pendings->run_last = NULL;
    pendings->run_sent = 0;
}

void zkl_pendings_lose(struct zkl_pendings *pendings)
{
    unshow(pendings);
    zkl_list_join(&pendings->lost, &pendings->sent);
}

void zkl_pendings_end(struct zkl_pendings *pendings, int32_t code)
{
    zkl_pendings_lose(pendings);
    zkl_list_join(&pendings->ended, &pendings->queue);
    pendings->ended_code = code;
}

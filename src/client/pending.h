/* Requests between submit and their one reply, and the bytes of those that were not sent.
 *
 * A request moves along one way, in order:
 *
 *     queue  its frame waits to be sent (also through disconnections)
 *     sent   its frame is with the driver; replies come in this order
 *     lost   the link went down: CONNECTIONLOSS
 *     ended  the session is over: the final code
 *
 * Whole lists join in one step, so that losing a link costs the same with one request and
 * with a million; the replies are then taken one by one. A request that is answered early
 * (deadline, cancel) stays in its place as a husk if its frame is out already, to swallow
 * the late reply; if not, it is taken off and never sent. */
#ifndef ZKLUA_CLIENT_PENDING_H
#define ZKLUA_CLIENT_PENDING_H

#include "base/chunks.h"
#include "base/heap.h"
#include "base/map.h"
#include "zklua/client.h"

#define ZKL_PENDING_SPARE_MAX 1024

struct zkl_watch;
struct zkl_credential;

enum zkl_place { ZKL_PLACE_QUEUE, ZKL_PLACE_SHOWN, ZKL_PLACE_SENT, ZKL_PLACE_NONE };

struct zkl_pending {
    struct zkl_list link;  /* queue, sent, lost or ended */
    struct zkl_list early; /* in `early` while a reply of our own waits to be taken */
    struct zkl_map_node node;
    struct zkl_heap_place deadline;
    enum zkl_place place;
    bool answered;         /* its REPLY is out or in `early`; internal ones are born so */
    bool one_way;          /* its reply does not come in order (auth) */
    bool flagged;          /* the watch flag is in the frame */
    int32_t xid;
    int32_t op;
    int32_t code;          /* in `early` */
    uint32_t watch_kind;   /* what is reserved in `watch` */
    struct zkl_watch *watch;
    struct zkl_credential *credential;
    uint64_t user;
    int64_t sent_ms;
    struct zkl_chunk *chunk; /* of `frame`, NULL once sent */
    const uint8_t *frame;
    size_t frame_size;
};

struct zkl_pendings {
    struct zkl_allocator allocator;
    struct zkl_list queue, sent, lost, ended, early;
    int32_t ended_code;
    struct zkl_list spare;
    size_t spare_count;
    struct zkl_map by_xid;
    struct zkl_heap deadlines;
    struct zkl_chunks chunks;
    size_t queued_bytes;
    size_t count;          /* all, husks too */
    size_t open_count;     /* without a reply */
    size_t count_max;
    int32_t next_xid;

    /* What the driver has been shown: frames from the head of the queue that are
     * neighbours in memory. */
    struct zkl_slice run;
    struct zkl_pending *run_last;
    size_t run_sent;       /* bytes of the queue's head that were sent already */
};

void zkl_pendings_init(struct zkl_pendings *pendings, const struct zkl_allocator *allocator,
                       size_t count_max);
void zkl_pendings_free(struct zkl_pendings *pendings);

/* A new element with the next xid, in no list; all that later steps need is reserved.
 * ZKL_E_LIMIT, ZKL_E_NOMEM. */
int zkl_pendings_reserve(struct zkl_pendings *pendings, struct zkl_pending **pending);
/* Undoes that. */
void zkl_pendings_discard(struct zkl_pendings *pendings, struct zkl_pending *pending);
/* It is a request from now on, with its deadline. */
void zkl_pendings_open(struct zkl_pendings *pendings, struct zkl_pending *pending,
                       int64_t deadline_ms);
/* Its frame was written to the end of the chunks: it waits to be sent. */
void zkl_pendings_queue(struct zkl_pendings *pendings, struct zkl_pending *pending, size_t size);
/* Answers that come from us. The REPLY is taken with zkl_pendings_take_early. */
void zkl_pendings_answer_early(struct zkl_pendings *pendings, struct zkl_pending *pending,
                               int32_t code);
/* The next of them as an event; false if there is none. */
bool zkl_pendings_take_early(struct zkl_pendings *pendings, struct zkl_event *event);
/* The REPLY was given: no deadline, no cancel any more. */
void zkl_pendings_close(struct zkl_pendings *pendings, struct zkl_pending *pending);
/* It leaves its list and, with its REPLY given, the world; the watch must be settled. */
void zkl_pendings_leave(struct zkl_pendings *pendings, struct zkl_pending *pending);
struct zkl_pending *zkl_pendings_find(const struct zkl_pendings *pendings, int32_t xid);
/* The request whose deadline is due, or NULL. */
struct zkl_pending *zkl_pendings_due(const struct zkl_pendings *pendings, int64_t now_ms);

/* Brings frames that wait together: those between them that were taken off leave holes,
 * and a chunk with one frame in it costs as much as a full one. */
void zkl_pendings_compact(struct zkl_pendings *pendings);

struct zkl_slice zkl_pendings_output(struct zkl_pendings *pendings);
/* Counts `size` bytes of the output as sent; *frames grows by the whole frames. */
void zkl_pendings_sent(struct zkl_pendings *pendings, size_t size, int64_t now_ms,
                       uint64_t *frames);
/* The link is gone: what was sent is lost, what was only shown waits again (or, when it
 * was answered meanwhile, is lost too: it must not be sent any more). */
void zkl_pendings_lose(struct zkl_pendings *pendings);
/* Nothing will be sent or answered any more. */
void zkl_pendings_end(struct zkl_pendings *pendings, int32_t code);
static inline struct zkl_pending *zkl_pendings_first(const struct zkl_list *list)
{
    return zkl_list_empty(list) ? NULL : ZKL_LIST_ELEMENT(list->next, struct zkl_pending, link);
}

#endif

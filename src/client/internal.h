/* The client as its own files see it: the parts, and which file does what with them.
 *
 *   requests.c  takes requests in: checks, encodes, queues
 *   replies.c   takes frames in: matches, decodes, makes events
 *   links.c     what is written beside requests: handshake, credentials, watches, pings;
 *               and what happens when a link or the session ends
 *   events.c    the order in which things become events, and what time brings
 *   client.c    the other public calls: they note what happened */
#ifndef ZKLUA_CLIENT_INTERNAL_H
#define ZKLUA_CLIENT_INTERNAL_H

#include "base/buffer.h"
#include "client/auth.h"
#include "client/pending.h"
#include "client/session.h"
#include "client/watches.h"
#include "zklua/client.h"

#define ZKL_HANDSHAKE_SIZE_MAX 1024     /* a ConnectResponse has 37 bytes */
#define ZKL_REARM_PATH_BYTES_MAX (128 * 1024)
#define ZKL_CLOSE_FRAME_SIZE 12

struct zkl_link {
    struct zkl_buffer input;
    struct zkl_buffer prelude; /* bytes of this link alone; goes out before requests, and is
                                  filled only when it is empty, so that it never moves */
    int64_t asked_zxid;        /* in its ConnectRequest */
    bool ended;                /* lost as soon as the whole frames in `input` are taken */
    enum zkl_reason reason;
    const char *detail;
};

struct zkl_client {
    struct zkl_allocator allocator;
    struct zkl_slice chroot; /* ours */
    size_t reply_size_max, request_size_max, output_size_max;
    int64_t now_ms;

    struct zkl_session session;
    struct zkl_pendings pendings;
    struct zkl_watches watches;
    struct zkl_auth auth;
    struct zkl_link links[ZKL_LINK_COUNT];
    struct zkl_buffer scratch; /* watch lists, while a piece is being put together */
    size_t rearm_count;        /* setWatches pieces without an answer */

    struct zkl_event event;    /* shown by peek_event while event_ready */
    bool event_ready;
    size_t held_link;          /* whose input the event's slices are in; ZKL_LINK_COUNT: none */
    struct zkl_watch *pinned;  /* whose path the event shows */
    bool end_said;

    uint8_t close_frame[ZKL_CLOSE_FRAME_SIZE];
    size_t close_left;         /* bytes of it that were not sent */
    bool close_queued;         /* it goes out behind the last request */
    int32_t close_xid;

    uint64_t bytes_in, bytes_out, frames_in, frames_out;
};

static inline void zkl_client_note_time(struct zkl_client *client, int64_t now_ms)
{
    if (now_ms > client->now_ms) client->now_ms = now_ms;
}
static inline uint32_t zkl_client_main_link(const struct zkl_client *client)
{
    return client->session.attempts[client->session.main].link;
}

/* closeSession goes behind everything else. */
static inline bool zkl_client_close_is_next(const struct zkl_client *client)
{
    return client->close_queued && client->close_left > 0 &&
           zkl_list_empty(&client->pendings.queue);
}

/* client.c */
/* One reference less to a watch; the server is told when the last one on its path goes. */
void zkl_client_release_watch(struct zkl_client *client, struct zkl_watch *watch, uint32_t kind);

/* requests.c */
int zkl_client_queue_remove_watches(struct zkl_client *client, struct zkl_slice server_path);
/* The server's path as two slices: what stands in front of `path`, and what is left of it. */
struct zkl_slice zkl_client_prefix(const struct zkl_client *client, int32_t op,
                                   struct zkl_slice path);

/* replies.c: one whole frame of a link; true: client->event was made. */
bool zkl_client_take_frame(struct zkl_client *client, size_t index, struct zkl_slice body);
/* A REPLY for `pending`, which leaves. */
void zkl_client_reply(struct zkl_client *client, struct zkl_pending *pending, int32_t code);
void zkl_client_settle_watch(struct zkl_client *client, struct zkl_pending *pending,
                             uint32_t kind);

/* links.c */
void zkl_client_send_handshake(struct zkl_client *client, size_t index);
/* Moves the main link through AUTH and REARM to READY, as far as it goes now. */
void zkl_client_advance(struct zkl_client *client);
void zkl_client_send_ping(struct zkl_client *client);
/* The link will be lost; `at_once`: without looking at what it has sent. */
void zkl_client_fail_link(struct zkl_client *client, size_t index, enum zkl_reason reason,
                          const char *detail, bool at_once);
void zkl_client_lose_link(struct zkl_client *client, size_t index);
/* The main link's requests, watches and credentials have no server any more. */
void zkl_client_main_gone(struct zkl_client *client, size_t index);
void zkl_client_finish(struct zkl_client *client, enum zkl_state state, enum zkl_reason reason,
                       const char *detail);
/* Whether close has to wait for a new link. */
bool zkl_client_close_waits(const struct zkl_client *client);

#endif

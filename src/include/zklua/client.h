/* A ZooKeeper client without I/O: bytes and the time go in, events and bytes come out.
 *
 * The driver's loop, the same under every event loop:
 *
 *     feed / connected / disconnected      what happened on the links
 *     tick                                 after polling: bytes that wait count first
 *     peek_event, pop_event until NONE     obey CONNECT and DISCONNECT, hand on the rest
 *     output, sent for each open link      write what there is to write
 *     wait until deadline, or for bytes
 *
 * A link is one connection attempt, named by a number that is never used again:
 * calls that name a link which the client has given up are ignored, so a driver
 * need not order its callbacks. There is one link, and in read-only mode a second
 * one that looks for a writable server and takes the first one's place. Every CONNECT is
 * followed by exactly one DISCONNECT of its link, also when the driver reported the end.
 *
 * Promises (each is an assertion and a property of the simulation):
 *  - every accepted submit is answered by exactly one REPLY event;
 *  - replies and watch events come in the order the server sent them;
 *  - after a terminal STATE (EXPIRED, AUTH_FAILED, CLOSED) come only the outstanding
 *    replies, then END, then nothing;
 *  - when peek_event gives NONE, everything that was due is done: the deadline is later
 *    than the time that was passed last;
 *  - events do not depend on how the input was split;
 *  - a failed call leaves the client as it was.
 * One client belongs to one thread at a time. */
#ifndef ZKLUA_CLIENT_H
#define ZKLUA_CLIENT_H

#include "zklua/wire.h"

struct zkl_client;

struct zkl_client_options {
    struct zkl_allocator allocator;
    uint64_t seed;            /* of shuffle, back-off and rebalance; random in production */
    struct zkl_slice chroot;  /* "/app", or empty */
    const struct zkl_slice *endpoints; /* "host:port", copied; opaque, compared as bytes */
    size_t endpoint_count;    /* 1..ZKL_ENDPOINTS_MAX */
    int32_t session_timeout_ms; /* what to ask for; the server negotiates */
    bool readonly_allowed;    /* a read-only server will do until a writable one is found */
    int64_t session_id;       /* != 0: re-attach to this session */
    uint8_t session_password[ZKL_PASSWORD_SIZE];
    /* Limits; 0 takes the default. */
    size_t reply_size_max;    /* ZKL_REPLY_SIZE_MAX_DEFAULT: a longer frame costs the link */
    size_t request_size_max;  /* ZKL_REQUEST_SIZE_MAX_DEFAULT: a longer one is ZKL_E_LIMIT */
    size_t pending_max;       /* ZKL_PENDING_MAX_DEFAULT: requests without a reply */
    size_t output_size_max;   /* ZKL_OUTPUT_SIZE_MAX_DEFAULT: bytes that wait to be sent */
    size_t watch_max;         /* ZKL_WATCH_MAX_DEFAULT: watched (path, kind) pairs */
};
#define ZKL_ENDPOINTS_MAX 1024
#define ZKL_PENDING_MAX_DEFAULT 1000000
#define ZKL_OUTPUT_SIZE_MAX_DEFAULT (64 * 1024 * 1024)
#define ZKL_WATCH_MAX_DEFAULT 1000000
#define ZKL_CREDENTIALS_MAX 64
#define ZKL_SESSION_TIMEOUT_MS_DEFAULT 30000

enum zkl_state {
    ZKL_CONNECTING,   /* no session yet: until the first attach */
    ZKL_CONNECTED,    /* attached, authenticated, watches asked for again */
    ZKL_READONLY,     /* attached to a server that is cut off from its quorum */
    ZKL_DISCONNECTED, /* the session may live; re-attaching */
    ZKL_EXPIRED,      /* terminal: the server said so, or our own clock did */
    ZKL_AUTH_FAILED,  /* terminal: a credential was refused */
    ZKL_CLOSED        /* terminal: close() has ended */
};

enum zkl_reason {
    ZKL_REASON_NONE,
    ZKL_REASON_DRIVER,    /* the driver reported it: refused, unresolved, reset, end of file */
    ZKL_REASON_TIMEOUT,   /* no answer within the connect or read timeout */
    ZKL_REASON_REFUSED,   /* closed before a session was granted: not serving, too many
                             connections, behind our zxid, read-only */
    ZKL_REASON_PROTOCOL,  /* bytes that are not ZooKeeper's: `detail` says which rule */
    ZKL_REASON_NOMEM,     /* the allocator refused while a reply was taken in */
    ZKL_REASON_EXPIRED,   /* the server no longer knows the session */
    ZKL_REASON_EXPIRED_HERE, /* our own clock: nothing heard for 4/3 of the timeout */
    ZKL_REASON_AUTH,      /* a credential was refused */
    ZKL_REASON_REBALANCE, /* we move to another server on purpose */
    ZKL_REASON_CLOSE      /* close() was called */
};

enum zkl_event_kind {
    ZKL_EVENT_NONE,
    ZKL_EVENT_CONNECT,    /* to the driver: open `link` to `endpoint`, not before `not_before_ms` */
    ZKL_EVENT_DISCONNECT, /* to the driver: close `link`; it is forgotten */
    ZKL_EVENT_STATE,
    ZKL_EVENT_REPLY,
    ZKL_EVENT_WATCH,
    ZKL_EVENT_END         /* nothing follows; the client can be freed */
};

enum zkl_watch_kind { /* bits of zkl_event.kinds; index of a list in setWatches is the bit number */
    ZKL_KIND_DATA = 1,
    ZKL_KIND_EXIST = 2,
    ZKL_KIND_CHILD = 4,
    ZKL_KIND_PERSISTENT = 8,
    ZKL_KIND_RECURSIVE = 16
};
/* Beside enum zkl_watch_type in a WATCH event: this persistent watch was armed again
 * after a reconnection; servers do not replay what it missed. */
#define ZKL_WATCH_GAP 100
/* (One-shot kinds in a gap: the watch was to be served by a lasting one on the same path,
 * which the server then refused. It is gone.) */

/* Codes of a REPLY that no server sends, below all of Apache's. */
enum zkl_local_code {
    ZKL_CODE_TIMEOUT = -1001,      /* deadline passed after sending: a write may have happened */
    ZKL_CODE_CANCELLED = -1002,    /* cancelled; a write may have happened if it was sent */
    ZKL_CODE_NOTCONNECTED = -1003, /* surely not sent */
    ZKL_CODE_CLOSED = -1004        /* the client was closed first */
};

struct zkl_event {
    enum zkl_event_kind kind;
    uint32_t link;         /* CONNECT, DISCONNECT */
    size_t endpoint;       /* CONNECT: index into the current list */
    int64_t not_before_ms; /* CONNECT */
    enum zkl_state state;  /* STATE */
    enum zkl_reason reason; /* STATE, DISCONNECT */
    const char *detail;    /* STATE, DISCONNECT: static text or NULL */
    int32_t xid;           /* REPLY */
    uint64_t user;         /* REPLY: as given to submit */
    int32_t code;          /* REPLY: enum zkl_code or zkl_local_code */
    int64_t zxid;          /* REPLY, WATCH: 0 where the server gave none */
    struct zkl_result result; /* REPLY: result.op is always set (the op submitted), the rest
                                 only when code is 0; paths are without chroot */
    int32_t type;          /* WATCH: enum zkl_watch_type or ZKL_WATCH_GAP */
    uint32_t kinds;        /* WATCH: which of our watches it matches (enum zkl_watch_kind);
                              one-shot kinds among them are gone now */
    struct zkl_slice path; /* WATCH: without chroot */
};

/* NULL: out of memory or unusable options (see zkl_client_options; a malformed chroot
 * or timeout is the caller's mistake, check before). The first CONNECT waits at once. */
struct zkl_client *zkl_client_new(const struct zkl_client_options *options, int64_t now_ms);
void zkl_client_free(struct zkl_client *client);

/* --- links ------------------------------------------------------------------ */

/* The link is open in both directions. */
void zkl_client_connected(struct zkl_client *client, uint32_t link, int64_t now_ms);
/* The link failed or ended. Whole frames that were fed before are still delivered. Requests
 * that were wholly sent end with CONNECTIONLOSS; the others, a half-sent one too, wait for
 * the next link. */
void zkl_client_disconnected(struct zkl_client *client, uint32_t link, int64_t now_ms);
/* Stores bytes, parses nothing: take the events before feeding on and on, for what waits
 * here is bounded by the driver alone. A frame in the making takes up to three times
 * reply_size_max at its worst. ZKL_E_NOMEM: nothing was stored; the driver gives the link up
 * by calling disconnected. */
int zkl_client_feed(struct zkl_client *client, uint32_t link, const void *bytes, size_t size,
                    int64_t now_ms);
/* Bytes to write, base NULL if none; ask again after sent, there may be more elsewhere. They
 * keep their address until sent, submit or tick may append behind them. What was shown here
 * may be on its way for all the client knows: its requests end as if they had been sent. */
struct zkl_slice zkl_client_output(struct zkl_client *client, uint32_t link);
/* `size` of them are on their way: from now on the requests inside may have happened. Call
 * it before the bytes leave, or at once: valid_until_ms counts from here. */
void zkl_client_sent(struct zkl_client *client, uint32_t link, size_t size, int64_t now_ms);

/* --- events ----------------------------------------------------------------- */

/* The next event; the same one, with the same slices, until pop_event. NONE when the
 * client waits for the driver. Decodes up to the next frame that concerns the user. */
const struct zkl_event *zkl_client_peek_event(struct zkl_client *client);
/* Takes the event off. Its slices end here. Without an event it does nothing. */
void zkl_client_pop_event(struct zkl_client *client);

/* --- time ------------------------------------------------------------------- */

/* When tick wants to be called, or ZKL_NEVER; not later than now while events wait. */
int64_t zkl_client_deadline(const struct zkl_client *client);
void zkl_client_tick(struct zkl_client *client, int64_t now_ms);

/* --- requests --------------------------------------------------------------- */

struct zkl_submit_options {
    int64_t deadline_ms; /* of the reply; ZKL_NEVER for none */
    bool fail_fast;      /* ZKL_E_OFFLINE instead of waiting for a connection */
    uint64_t user;       /* comes back in the REPLY */
};
/* Queues a request; *xid names it until its REPLY. Waits for a connection until the
 * deadline. chroot is ours to set. All operations of the protocol but ping, setWatches,
 * closeSession and the servers' own. auth: the credential is remembered, sent on every
 * connection (ZKL_CREDENTIALS_MAX of them), and answered when the server has accepted it; its
 * xid is positive here and -4 on the wire. A watch flag or addWatch registers a watch when
 * the reply arrives.
 * Errors: ZKL_E_ARGUMENT (path, flags, ttl, ACL; nothing that could harm a server is ever
 * sent), ZKL_E_LIMIT, ZKL_E_OFFLINE, ZKL_E_ENDED, ZKL_E_NOMEM. */
int zkl_client_submit(struct zkl_client *client, int64_t now_ms, const struct zkl_request *request,
                      const struct zkl_submit_options *options, int32_t *xid);
/* Paths are translated by the client but in these places, which it does not look into:
 *  - a multi's operations carry whole server paths: give zkl_multi_write_operation the chroot;
 *  - the created paths inside a multi's results, and the names that getEphemerals gives, are
 *    server paths: zkl_client_strip_chroot makes them local (ephemerals outside are not ours
 *    to see);
 *  - getData of "/zookeeper/config" means that very path whatever the chroot, so that its
 *    watch and unwatch do too.
 * removeWatches is not for submit (see unwatch), nor is sasl, nor a check outside a multi. */
/* Takes the chroot off a server path. false, and no change: the path is not inside. */
bool zkl_client_strip_chroot(const struct zkl_client *client, struct zkl_slice *path);
/* Ends a request now with ZKL_CODE_CANCELLED (NOTCONNECTED if never sent). An xid that is
 * not outstanding is ignored. */
void zkl_client_cancel(struct zkl_client *client, int32_t xid, int64_t now_ms);
/* One reference less to a watch on `path` (without chroot); the server is told when the
 * last one on the path goes. Unknown watches are ignored. */
void zkl_client_unwatch(struct zkl_client *client, struct zkl_slice path, uint32_t kind,
                        int64_t now_ms);

/* Ends the session: what was submitted is still answered, closeSession goes last, and at
 * `deadline_ms` the link is dropped whatever came of it. Then STATE CLOSED and END. Without
 * a session on the link there is nothing to send: it ends at once and leaves a session that
 * may live to expire, unless requests wait for that session; for them, and no longer, it
 * goes on looking for a server. */
void zkl_client_close(struct zkl_client *client, int64_t now_ms, int64_t deadline_ms);

/* A new server list: stays, or moves with the probability that keeps the load even. */
int zkl_client_set_endpoints(struct zkl_client *client, const struct zkl_slice *endpoints,
                             size_t count, int64_t now_ms);

/* --- to look at ------------------------------------------------------------- */

struct zkl_client_info {
    enum zkl_state state;
    int64_t session_id;   /* 0: none yet */
    uint8_t session_password[ZKL_PASSWORD_SIZE];
    int32_t session_timeout_ms; /* negotiated; what was asked for before that */
    int64_t last_zxid;    /* of ordinary replies only: a multi sends several notifications
                             with one zxid, following them would skip the rest after a
                             reconnection (ZOOKEEPER-4655) */
    int64_t valid_until_ms; /* send time of the last answered request plus the timeout; up to
                               then the session cannot have expired. 0 without a session */
    size_t endpoint;      /* of the current link */
    size_t pending_count; /* requests without a reply */
    size_t watch_count;
    uint64_t bytes_in, bytes_out, frames_in, frames_out, attempts, attaches;
};
void zkl_client_info(const struct zkl_client *client, struct zkl_client_info *info);

#endif

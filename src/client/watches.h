/* What is watched: one entry per server path with a count per kind.
 *
 * A watch is reserved when its request is submitted and counts when the reply says that
 * the server has set it, so that nothing can fail when the reply arrives. Entries wait in
 * two lists: `asked`, which the server of the current link knows, and `unasked`, which it
 * has to be told after a reconnection. */
#ifndef ZKLUA_CLIENT_WATCHES_H
#define ZKLUA_CLIENT_WATCHES_H

#include "base/list.h"
#include "base/map.h"
#include "zklua/client.h"

enum {
    ZKL_KINDS_ONCE = ZKL_KIND_DATA | ZKL_KIND_EXIST | ZKL_KIND_CHILD,
    ZKL_KINDS_LASTING = ZKL_KIND_PERSISTENT | ZKL_KIND_RECURSIVE
};

struct zkl_watch {
    struct zkl_map_node node;
    struct zkl_list link; /* in asked or unasked while anything is counted */
    struct zkl_list gap;  /* in gaps while the user is to be told of a gap */
    uint32_t counts[ZKL_WATCH_LIST_COUNT];
    uint32_t reserved[ZKL_WATCH_LIST_COUNT]; /* by requests on their way */
    uint32_t pins;        /* events that show `path` */
    uint32_t armed_link;  /* the link that `armed` is true of */
    uint32_t armed;       /* lasting kinds that its server has */
    uint32_t missed;      /* one-shot kinds that no server watches after all: told as a gap */
    size_t path_size;
    uint8_t path[];       /* the server's */
};

struct zkl_watches {
    struct zkl_allocator allocator;
    struct zkl_map map;
    struct zkl_list asked, unasked, gaps;
    uint64_t hash_seed;
    size_t pair_max;
    size_t pair_count;     /* (path, kind) pairs that count */
    size_t reserved_count; /* reservations */
    size_t lasting_count;  /* pairs of lasting kinds */
};

void zkl_watches_init(struct zkl_watches *watches, const struct zkl_allocator *allocator,
                      size_t pair_max, uint64_t hash_seed);
void zkl_watches_free(struct zkl_watches *watches);

/* The entry of `chroot` .. `path`, or NULL. */
struct zkl_watch *zkl_watches_find(const struct zkl_watches *watches, struct zkl_slice chroot,
                                   struct zkl_slice path);
/* Finds or makes the entry and reserves one watch of `kind` in it. ZKL_E_LIMIT,
 * ZKL_E_NOMEM: nothing was changed. */
int zkl_watches_reserve(struct zkl_watches *watches, struct zkl_slice chroot,
                        struct zkl_slice path, uint32_t kind, struct zkl_watch **watch);
/* Ends a reservation of `reserved_kind`; it counts as `kind` from now on (0: it does not). */
void zkl_watches_settle(struct zkl_watches *watches, struct zkl_watch *watch,
                        uint32_t reserved_kind, uint32_t kind);
/* One reference less. true: nothing at all is watched on the path any more, and the entry
 * has to be dropped with zkl_watches_drop after its path was used. */
bool zkl_watches_unwatch(struct zkl_watches *watches, struct zkl_watch *watch, uint32_t kind);
void zkl_watches_drop(struct zkl_watches *watches, struct zkl_watch *watch);

/* Kinds that are counted, or reserved, on the entry. */
uint32_t zkl_watch_kinds(const struct zkl_watch *watch);
uint32_t zkl_watch_reserved(const struct zkl_watch *watch);

/* Which kinds an event of the server concerns; one-shot kinds among them are gone. */
uint32_t zkl_watches_match(struct zkl_watches *watches, struct zkl_slice path, int32_t type);

/* The link is gone and its server with it. */
void zkl_watches_forget_server(struct zkl_watches *watches);
/* Encodes the next unasked entries, up to `path_bytes_max` of paths (at least one entry),
 * into `lists` over `writer`, and counts them as asked on `link`. The caller has measured
 * with zkl_watches_piece_size. */
size_t zkl_watches_piece_size(const struct zkl_watches *watches, size_t path_bytes_max);
void zkl_watches_take_piece(struct zkl_watches *watches, size_t path_bytes_max, uint32_t link,
                            struct zkl_writer *writer,
                            struct zkl_vector lists[ZKL_WATCH_LIST_COUNT]);
/* Whether the server of `link` has a lasting watch on the path whose events serve a one-shot
 * watch of `kind` too. */
bool zkl_watch_is_served(const struct zkl_watch *watch, uint32_t link, uint32_t kind);
/* addWatch was answered on `link`. */
void zkl_watch_armed(struct zkl_watch *watch, uint32_t link, uint32_t kind);
/* A one-shot watch of `kind` counts, but no server watches for it. */
void zkl_watches_missed(struct zkl_watches *watches, struct zkl_watch *watch, uint32_t kind);
/* The next entry with a gap to tell, and of which kinds, or NULL; pinned until
 * zkl_watches_unpin. */
struct zkl_watch *zkl_watches_take_gap(struct zkl_watches *watches, uint32_t *kinds);
void zkl_watches_unpin(struct zkl_watches *watches, struct zkl_watch *watch);

#endif

/* What prep believes of each path that a proposal touches: the tree as it will be once all that
 * was prepared before is applied.
 *
 * An entry holds the latest belief and is listed with the last proposal that touched its path;
 * when that one is applied the tree says the same, and the entry goes. So an entry never outlives
 * its reason, and what a proposal costs does not depend on how many wait.
 *
 * Touching happens inside of a transaction: `touch` opens one, and all that was touched is either
 * kept (and listed with a proposal) or forgotten. That is also the roll back of a multi. */
#ifndef ZKLUA_SERVER_OVERLAY_H
#define ZKLUA_SERVER_OVERLAY_H

#include "base/list.h"
#include "base/map.h"
#include "base/pool.h"
#include "server/tree.h"

#define ZKL_OVERLAY_KEPT_MAX (1024 * 1024) /* bytes that stay when it runs empty */

struct zkl_record {
    bool exists;
    bool usage_known;     /* of a quota's stats node: what it will say (usage.c) */
    uint32_t acl;
    uint32_t crc;         /* of path and data, as in zkl_node */
    struct zkl_stat stat; /* as on disk */
    uint64_t digest;      /* its part in the tree's digest; set when it is touched */
    int64_t usage_count, usage_bytes;
};

struct zkl_overlay_entry {
    struct zkl_map_node by_path;
    struct zkl_list link;     /* in its last proposal's list, or among the touched */
    bool touched;             /* in the transaction that is open */
    struct zkl_list *home;    /* where it was before that; NULL: it is new */
    struct zkl_record record;
    struct zkl_record before; /* that transaction */
    size_t path_size;
    char path[];
};

struct zkl_overlay {
    struct zkl_pool pool;
    struct zkl_map entries;
    struct zkl_list touched;  /* oldest first */
};

/* A path that was looked at. */
struct zkl_place {
    struct zkl_slice path;
    uint64_t hash;
    struct zkl_overlay_entry *entry; /* NULL: nothing waits for this path */
    struct zkl_record record;        /* as it is believed to be now */
};

void zkl_overlay_init(struct zkl_overlay *overlay, const struct zkl_allocator *allocator);
/* Nothing may be left in it. */
void zkl_overlay_free(struct zkl_overlay *overlay);
/* "" is "/". */
void zkl_overlay_look(const struct zkl_overlay *overlay, const struct zkl_tree *tree,
                      struct zkl_slice path, struct zkl_place *place);
/* Makes place->record what is believed of its path. `place` was looked at after the last touch
 * of the same path. false: out of memory. */
bool zkl_overlay_touch(struct zkl_overlay *overlay, struct zkl_place *place);
/* The end of a transaction: its entries belong to a proposal's list, or it has not happened. */
void zkl_overlay_keep(struct zkl_overlay *overlay, struct zkl_list *list);
void zkl_overlay_forget(struct zkl_overlay *overlay);
/* The proposal with this list was applied. */
void zkl_overlay_drop(struct zkl_overlay *overlay, struct zkl_list *list);

static inline struct zkl_overlay_entry *zkl_overlay_entry_of(struct zkl_list *link)
{
    return ZKL_LIST_ELEMENT(link, struct zkl_overlay_entry, link);
}
static inline struct zkl_slice zkl_overlay_path(const struct zkl_overlay_entry *entry)
{
    return (struct zkl_slice) { (const uint8_t *)entry->path, entry->path_size };
}

#endif

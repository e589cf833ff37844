/* Which connection watches which path, and in what way.
 *
 * One entry per (path, connection, kind), so modes coexist (3.9's rule). Adding, removing and
 * firing cost what they touch: nothing grows with the number of other watches, except that a
 * recursive watch anywhere makes every change look at its ancestors' paths. */
#ifndef ZKLUA_SERVER_WATCHES_H
#define ZKLUA_SERVER_WATCHES_H

#include "base/list.h"
#include "base/map.h"
#include "base/pool.h"
#include "zklua/server.h"

enum zkl_server_watch {
    ZKL_WATCHES_DATA = 1,       /* one-shot, by getData and exists */
    ZKL_WATCHES_CHILD = 2,      /* one-shot, by getChildren */
    ZKL_WATCHES_PERSISTENT = 4,
    ZKL_WATCHES_RECURSIVE = 8
};

#define ZKL_WATCHES_KIND_COUNT 4

/* What one connection watches: a part of it. */
struct zkl_watch_list {
    struct zkl_connection *connection;
    struct zkl_list entries;    /* of zkl_server_watch_entry.on_connection */
    size_t count;               /* at most ZKL_WATCHES_PER_CONNECTION */
    size_t data_count;          /* paths with any but child watches */
    uint64_t told;              /* the last trigger that reached it */
};

struct zkl_watched_path {
    struct zkl_map_node entry;
    struct zkl_list watches[ZKL_WATCHES_KIND_COUNT]; /* of zkl_server_watch_entry.on_path */
    size_t path_size;
    uint8_t path[];
};

struct zkl_server_watch_entry {
    struct zkl_map_node entry;  /* by path, connection and kind */
    struct zkl_list on_path;
    struct zkl_list on_connection;
    struct zkl_watched_path *path;
    struct zkl_watch_list *list;
    uint32_t kind;              /* one bit */
};

struct zkl_watches_table {
    struct zkl_pool pool;        /* of both: a million small blocks that come and go */
    struct zkl_map paths, entries; /* entries.count: all watches */
    uint64_t seed;
    size_t kind_counts[ZKL_WATCHES_KIND_COUNT]; /* of entries */
    /* As Apache counts, which has two tables of pairs of path and connection: a persistent watch
     * is in both, all kinds of the data table are one pair. And the paths and connections that
     * are in the data table. */
    size_t data_pairs, child_pairs, data_paths, data_connections;
    uint64_t trigger;
};

void zkl_watches_table_init(struct zkl_watches_table *table,
                            const struct zkl_allocator *allocator, uint64_t seed);
void zkl_watches_table_free(struct zkl_watches_table *table);
void zkl_watch_list_init(struct zkl_watch_list *list, struct zkl_connection *connection);
/* One kind. Adding what is there changes nothing. false: out of memory, or the connection has
 * ZKL_WATCHES_PER_CONNECTION already and is to be closed; nothing changed. */
bool zkl_watch_add(struct zkl_watches_table *table, struct zkl_watch_list *list,
                   struct zkl_slice path, uint32_t kind);
/* Takes kinds away; returns those that were there. */
uint32_t zkl_watch_remove(struct zkl_watches_table *table, struct zkl_watch_list *list,
                          struct zkl_slice path, uint32_t kinds);
uint32_t zkl_watches_kinds(const struct zkl_watches_table *table,
                           const struct zkl_watch_list *list, struct zkl_slice path);
void zkl_watch_remove_all(struct zkl_watches_table *table, struct zkl_watch_list *list);

/* Who is to be told of one event, each connection once, one-shot watches gone afterwards:
 *
 *     struct zkl_firing firing;
 *     for (connection = zkl_fire_first(table, &firing, event, path); connection;
 *          connection = zkl_fire_next(table, &firing)) deliver
 *
 * Deliver may not change the table. `event` is enum zkl_watch_type: which kinds it reaches is
 * server-semantics 3.2 and 3.4. A deletion is one event for data and child watches together. */
struct zkl_firing {
    int32_t event;
    struct zkl_slice path, at;  /* `at`: what is being looked at, the path or an ancestor */
    size_t above;               /* the size of the last ancestor that was, 0: none yet */
    uint64_t hash;              /* of its bytes, not yet ended */
    struct zkl_watched_path *watched;
    unsigned kind;              /* the number of its list */
    struct zkl_list *next;
    uint64_t trigger;
};
struct zkl_connection *zkl_fire_first(struct zkl_watches_table *table, struct zkl_firing *firing,
                                      int32_t event, struct zkl_slice path);
struct zkl_connection *zkl_fire_next(struct zkl_watches_table *table, struct zkl_firing *firing);

#endif

/* Who watches what: see watches.h.
 *
 * Each watched path has a list per kind, so that an event walks only those that it reaches. The
 * one-shot watches among them are gone when it has passed, told or not. */
#include "server/watches.h"

#include <string.h>

#include "base/memory.h"

enum { KIND_DATA, KIND_CHILD, KIND_PERSISTENT, KIND_RECURSIVE }; /* numbers of the bits */

static const uint32_t ONE_SHOT = ZKL_WATCHES_DATA | ZKL_WATCHES_CHILD;
/* The kinds in Apache's two tables. */
static const uint32_t DATA_TABLE =
    ZKL_WATCHES_DATA | ZKL_WATCHES_PERSISTENT | ZKL_WATCHES_RECURSIVE;
static const uint32_t CHILD_TABLE = ZKL_WATCHES_CHILD | ZKL_WATCHES_PERSISTENT;

void zkl_watches_table_init(struct zkl_watches_table *table,
                            const struct zkl_allocator *allocator, uint64_t seed)
{
    *table = (struct zkl_watches_table) { .seed = seed };
    zkl_pool_init(&table->pool, allocator);
    zkl_map_init(&table->paths, allocator);
    zkl_map_init(&table->entries, allocator);
}

void zkl_watch_list_init(struct zkl_watch_list *list, struct zkl_connection *connection)
{
    *list = (struct zkl_watch_list) { .connection = connection };
    zkl_list_init(&list->entries);
}

static unsigned kind_number(uint32_t kind)
{
    switch (kind) {
    case ZKL_WATCHES_DATA:
        return KIND_DATA;
    case ZKL_WATCHES_CHILD:
        return KIND_CHILD;
    case ZKL_WATCHES_PERSISTENT:
        return KIND_PERSISTENT;
    default:
        ZKL_ASSERT(kind == ZKL_WATCHES_RECURSIVE);
        return KIND_RECURSIVE;
    }
}

/* --- paths ----------------------------------------------------------------------------- */

static uint64_t hash_path(const struct zkl_watches_table *table, struct zkl_slice path)
{
    return zkl_hash_end(zkl_hash_add(zkl_hash_begin(table->seed), path.base, path.size));
}

static struct zkl_watched_path *find_hashed(const struct zkl_watches_table *table,
                                            struct zkl_slice path, uint64_t hash)
{
    struct zkl_map_node *node = zkl_map_first(&table->paths, hash);
    for (; node != NULL; node = zkl_map_next(node, hash)) {
        struct zkl_watched_path *watched = ZKL_LIST_ELEMENT(node, struct zkl_watched_path, entry);
        if (watched->path_size != path.size) continue;
        if (path.size == 0 || memcmp(watched->path, path.base, path.size) == 0) return watched;
    }
    return NULL;
}

static struct zkl_watched_path *find_path(const struct zkl_watches_table *table,
                                          struct zkl_slice path)
{
    return find_hashed(table, path, hash_path(table, path));
}

static struct zkl_watched_path *make_path(struct zkl_watches_table *table, struct zkl_slice path)
{
    if (!zkl_map_reserve(&table->paths)) return NULL;
    struct zkl_watched_path *watched =
        zkl_pool_take(&table->pool, sizeof *watched + path.size);
    if (watched == NULL) return NULL;
    for (unsigned i = 0; i < ZKL_WATCHES_KIND_COUNT; i++) zkl_list_init(&watched->watches[i]);
    watched->path_size = path.size;
    if (path.size > 0) memcpy(watched->path, path.base, path.size);
    zkl_map_insert(&table->paths, &watched->entry, hash_path(table, path));
    return watched;
}

/* Drops the path if nobody watches it any more. */
static void close_path(struct zkl_watches_table *table, struct zkl_watched_path *watched)
{
    for (unsigned i = 0; i < ZKL_WATCHES_KIND_COUNT; i++) {
        if (!zkl_list_empty(&watched->watches[i])) return;
    }
    zkl_map_remove(&table->paths, &watched->entry);
    zkl_pool_give_back(&table->pool, watched, sizeof *watched + watched->path_size);
}

/* --- entries --------------------------------------------------------------------------- */

static uint64_t hash_entry(const struct zkl_watches_table *table,
                           const struct zkl_watched_path *path, const struct zkl_watch_list *list,
                           uint32_t kind)
{
    uint64_t hash = zkl_hash_begin(table->seed);
    hash = zkl_hash_add(hash, &path, sizeof path);
    hash = zkl_hash_add(hash, &list, sizeof list);
    return zkl_hash_end(zkl_hash_add(hash, &kind, sizeof kind));
}

static struct zkl_server_watch_entry *find_entry(const struct zkl_watches_table *table,
                                                 const struct zkl_watched_path *path,
                                                 const struct zkl_watch_list *list, uint32_t kind)
{
    uint64_t hash = hash_entry(table, path, list, kind);
    struct zkl_map_node *node = zkl_map_first(&table->entries, hash);
    for (; node != NULL; node = zkl_map_next(node, hash)) {
        struct zkl_server_watch_entry *entry =
            ZKL_LIST_ELEMENT(node, struct zkl_server_watch_entry, entry);
        if (entry->path == path && entry->list == list && entry->kind == kind) return entry;
    }
    return NULL;
}

/* Whether its connection watches its path in another way of these kinds. Where nobody uses them,
 * nothing is looked up. */
static bool has_other(const struct zkl_watches_table *table,
                      const struct zkl_server_watch_entry *entry, uint32_t kinds)
{
    for (unsigned i = 0; i < ZKL_WATCHES_KIND_COUNT; i++) {
        uint32_t kind = UINT32_C(1) << i;
        if (kind == entry->kind || !(kinds & kind) || table->kind_counts[i] == 0) continue;
        if (find_entry(table, entry->path, entry->list, kind) != NULL) return true;
    }
    return false;
}

static bool in_data_table(const struct zkl_watched_path *path)
{
    return !zkl_list_empty(&path->watches[KIND_DATA]) ||
           !zkl_list_empty(&path->watches[KIND_PERSISTENT]) ||
           !zkl_list_empty(&path->watches[KIND_RECURSIVE]);
}

/* An entry that is not on its path's list, before it comes or when it has gone. */
static void count_entry(struct zkl_watches_table *table,
                        const struct zkl_server_watch_entry *entry, bool comes)
{
    size_t one = comes ? 1 : (size_t)0 - 1; /* to be added: these wrap */
    struct zkl_watch_list *list = entry->list;
    list->count += one;
    table->kind_counts[kind_number(entry->kind)] += one;
    if ((entry->kind & DATA_TABLE) != 0 && !has_other(table, entry, DATA_TABLE)) {
        if (list->data_count == (comes ? 0 : 1)) table->data_connections += one;
        list->data_count += one;
        table->data_pairs += one;
    }
    if ((entry->kind & CHILD_TABLE) != 0 && !has_other(table, entry, CHILD_TABLE)) {
        table->child_pairs += one;
    }
    if ((entry->kind & DATA_TABLE) != 0 && !in_data_table(entry->path)) table->data_paths += one;
}

/* The path stays, even if this was its last one. */
static void drop_entry(struct zkl_watches_table *table, struct zkl_server_watch_entry *entry)
{
    zkl_list_remove(&entry->on_path);
    count_entry(table, entry, false);
    zkl_list_remove(&entry->on_connection);
    zkl_map_remove(&table->entries, &entry->entry);
    zkl_pool_give_back(&table->pool, entry, sizeof *entry);
}

static bool add_entry(struct zkl_watches_table *table, struct zkl_watched_path *path,
                      struct zkl_watch_list *list, uint32_t kind)
{
    if (!zkl_map_reserve(&table->entries)) return false;
    struct zkl_server_watch_entry *entry = zkl_pool_take(&table->pool, sizeof *entry);
    if (entry == NULL) return false;
    memset(entry, 0, sizeof *entry);
    entry->path = path;
    entry->list = list;
    entry->kind = kind;
    count_entry(table, entry, true);
    zkl_map_insert(&table->entries, &entry->entry, hash_entry(table, path, list, kind));
    zkl_list_push(&path->watches[kind_number(kind)], &entry->on_path);
    zkl_list_push(&list->entries, &entry->on_connection);
    return true;
}

bool zkl_watch_add(struct zkl_watches_table *table, struct zkl_watch_list *list,
                   struct zkl_slice path, uint32_t kind)
{
    struct zkl_watched_path *watched = find_path(table, path);
    if (watched != NULL && find_entry(table, watched, list, kind) != NULL) return true;
    if (list->count >= ZKL_WATCHES_PER_CONNECTION) return false;
    if (watched == NULL) watched = make_path(table, path);
    if (watched == NULL) return false;
    if (add_entry(table, watched, list, kind)) return true;
    close_path(table, watched);
    return false;
}

uint32_t zkl_watch_remove(struct zkl_watches_table *table, struct zkl_watch_list *list,
                          struct zkl_slice path, uint32_t kinds)
{
    struct zkl_watched_path *watched = find_path(table, path);
    uint32_t removed = 0;
    if (watched == NULL) return 0;
    for (unsigned i = 0; i < ZKL_WATCHES_KIND_COUNT; i++) {
        uint32_t kind = UINT32_C(1) << i;
        if (!(kinds & kind)) continue;
        struct zkl_server_watch_entry *entry = find_entry(table, watched, list, kind);
        if (entry == NULL) continue;
        drop_entry(table, entry);
        removed |= kind;
    }
    close_path(table, watched);
    return removed;
}

uint32_t zkl_watches_kinds(const struct zkl_watches_table *table,
                           const struct zkl_watch_list *list, struct zkl_slice path)
{
    const struct zkl_watched_path *watched = find_path(table, path);
    uint32_t kinds = 0;
    if (watched == NULL) return 0;
    for (unsigned i = 0; i < ZKL_WATCHES_KIND_COUNT; i++) {
        uint32_t kind = UINT32_C(1) << i;
        if (find_entry(table, watched, list, kind) != NULL) kinds |= kind;
    }
    return kinds;
}

void zkl_watch_remove_all(struct zkl_watches_table *table, struct zkl_watch_list *list)
{
    while (!zkl_list_empty(&list->entries)) {
        struct zkl_server_watch_entry *entry =
            ZKL_LIST_ELEMENT(list->entries.next, struct zkl_server_watch_entry, on_connection);
        struct zkl_watched_path *path = entry->path;
        drop_entry(table, entry);
        close_path(table, path);
    }
}

void zkl_watches_table_free(struct zkl_watches_table *table)
{
    ZKL_ASSERT(table->entries.count == 0); /* connections go first and take theirs along */
    zkl_map_free(&table->paths);
    zkl_map_free(&table->entries);
    zkl_pool_free(&table->pool);
}

/* --- events ----------------------------------------------------------------------------- */

/* Which kinds an event reaches on its own path, and on the paths above. */
static uint32_t reached(int32_t event, bool above)
{
    if (event == ZKL_WATCH_CHILDREN) {
        return above ? 0 : ZKL_WATCHES_CHILD | ZKL_WATCHES_PERSISTENT;
    }
    if (above) return ZKL_WATCHES_RECURSIVE;
    uint32_t kinds = ZKL_WATCHES_DATA | ZKL_WATCHES_PERSISTENT | ZKL_WATCHES_RECURSIVE;
    return event == ZKL_WATCH_DELETED ? kinds | ZKL_WATCHES_CHILD : kinds;
}

/* The next ancestor, from the root down, so that all of them cost one pass over the path; false:
 * that was the last. */
static bool next_above(struct zkl_firing *firing)
{
    struct zkl_slice path = firing->path;
    size_t done = firing->above, size = 1; /* "/" */
    if (done > 0) {
        size = done > 1 ? done + 1 : 1; /* behind the '/' */
        while (size < path.size && path.base[size] != '/') size++;
    }
    if (size >= path.size) return false;
    firing->hash = zkl_hash_add(firing->hash, path.base + done, size - done);
    firing->at.size = firing->above = size;
    return true;
}

static void start_list(struct zkl_firing *firing, unsigned kind)
{
    firing->kind = kind;
    if (kind < ZKL_WATCHES_KIND_COUNT) firing->next = firing->watched->watches[kind].next;
}

static void open_path(struct zkl_watches_table *table, struct zkl_firing *firing, uint64_t hash)
{
    firing->watched = find_hashed(table, firing->at, hash);
    if (firing->watched != NULL) start_list(firing, 0);
}

/* The next watch on the current path that is reached; NULL: none is left. */
static struct zkl_server_watch_entry *next_on_path(struct zkl_firing *firing)
{
    uint32_t kinds = reached(firing->event, firing->at.size != firing->path.size);
    while (firing->kind < ZKL_WATCHES_KIND_COUNT) {
        struct zkl_list *link = firing->next;
        if (!(kinds >> firing->kind & 1) || link == &firing->watched->watches[firing->kind]) {
            start_list(firing, firing->kind + 1);
            continue;
        }
        firing->next = link->next;
        return ZKL_LIST_ELEMENT(link, struct zkl_server_watch_entry, on_path);
    }
    return NULL;
}

struct zkl_connection *zkl_fire_next(struct zkl_watches_table *table, struct zkl_firing *firing)
{
    for (;;) {
        struct zkl_server_watch_entry *entry =
            firing->watched != NULL ? next_on_path(firing) : NULL;
        if (entry != NULL) {
            struct zkl_watch_list *list = entry->list;
            if (entry->kind & ONE_SHOT) drop_entry(table, entry);
            if (list->told == firing->trigger) continue;
            list->told = firing->trigger;
            return list->connection;
        }
        if (firing->watched != NULL) close_path(table, firing->watched);
        firing->watched = NULL;
        if (reached(firing->event, true) == 0 || table->kind_counts[KIND_RECURSIVE] == 0) {
            return NULL;
        }
        if (!next_above(firing)) return NULL;
        open_path(table, firing, zkl_hash_end(firing->hash));
    }
}

struct zkl_connection *zkl_fire_first(struct zkl_watches_table *table, struct zkl_firing *firing,
                                      int32_t event, struct zkl_slice path)
{
    *firing = (struct zkl_firing) { .event = event, .path = path, .at = path,
                                    .trigger = ++table->trigger,
                                    .hash = zkl_hash_begin(table->seed) };
    open_path(table, firing, hash_path(table, path));
    return zkl_fire_next(table, firing);
}

/* The watch table: see watches.h. */
#include "client/watches.h"

#include <string.h>

#include "base/memory.h"

void zkl_watches_init(struct zkl_watches *watches, const struct zkl_allocator *allocator,
                      size_t pair_max, uint64_t hash_seed)
{
    *watches = (struct zkl_watches) {
        .allocator = *allocator, .hash_seed = hash_seed, .pair_max = pair_max
    };
    zkl_map_init(&watches->map, allocator);
    zkl_list_init(&watches->asked);
    zkl_list_init(&watches->unasked);
    zkl_list_init(&watches->gaps);
}

static void release(struct zkl_watches *watches, struct zkl_watch *watch)
{
    zkl_release(&watches->allocator, watch, sizeof *watch + watch->path_size);
}

void zkl_watches_free(struct zkl_watches *watches)
{
    /* Entries that are only reserved or pinned are in no list, but in the map. */
    for (size_t i = 0; i < watches->map.bucket_count; i++) {
        struct zkl_map_node *node = watches->map.buckets[i];
        while (node != NULL) {
            struct zkl_map_node *next = node->next;
            release(watches, ZKL_LIST_ELEMENT(node, struct zkl_watch, node));
            node = next;
        }
    }
    zkl_map_free(&watches->map);
}

static unsigned bit_number(uint32_t kind)
{
    unsigned number = 0;
    while (kind >> number != 1) number++;
    ZKL_ASSERT(number < ZKL_WATCH_LIST_COUNT);
    return number;
}

static uint32_t kinds_of(const uint32_t counts[ZKL_WATCH_LIST_COUNT])
{
    uint32_t kinds = 0;
    for (unsigned i = 0; i < ZKL_WATCH_LIST_COUNT; i++) {
        if (counts[i] > 0) kinds |= UINT32_C(1) << i;
    }
    return kinds;
}

uint32_t zkl_watch_kinds(const struct zkl_watch *watch)
{
    return kinds_of(watch->counts);
}

uint32_t zkl_watch_reserved(const struct zkl_watch *watch)
{
    return kinds_of(watch->reserved);
}

static uint64_t hash_path(const struct zkl_watches *watches, struct zkl_slice chroot,
                          struct zkl_slice path)
{
    uint64_t hash = zkl_hash_begin(watches->hash_seed);
    hash = zkl_hash_add(hash, chroot.base, chroot.size);
    return zkl_hash_end(zkl_hash_add(hash, path.base, path.size));
}

static bool has_path(const struct zkl_watch *watch, struct zkl_slice chroot, struct zkl_slice path)
{
    if (watch->path_size != chroot.size + path.size) return false;
    if (chroot.size > 0 && memcmp(watch->path, chroot.base, chroot.size) != 0) return false;
    return path.size == 0 || memcmp(watch->path + chroot.size, path.base, path.size) == 0;
}

struct zkl_watch *zkl_watches_find(const struct zkl_watches *watches, struct zkl_slice chroot,
                                   struct zkl_slice path)
{
    uint64_t hash = hash_path(watches, chroot, path);
    struct zkl_map_node *node = zkl_map_first(&watches->map, hash);
    for (; node != NULL; node = zkl_map_next(node, hash)) {
        struct zkl_watch *watch = ZKL_LIST_ELEMENT(node, struct zkl_watch, node);
        if (has_path(watch, chroot, path)) return watch;
    }
    return NULL;
}

void zkl_watches_drop(struct zkl_watches *watches, struct zkl_watch *watch)
{
    bool in_use = zkl_watch_kinds(watch) != 0 || zkl_watch_reserved(watch) != 0;
    if (in_use || watch->pins > 0) return;
    zkl_list_remove(&watch->link);
    zkl_list_remove(&watch->gap);
    zkl_map_remove(&watches->map, &watch->node);
    release(watches, watch);
}

static struct zkl_watch *make(struct zkl_watches *watches, struct zkl_slice chroot,
                              struct zkl_slice path)
{
    if (!zkl_map_reserve(&watches->map)) return NULL;
    size_t size = chroot.size + path.size;
    struct zkl_watch *watch = zkl_allocate(&watches->allocator, sizeof *watch + size);
    if (watch == NULL) return NULL;
    memset(watch, 0, sizeof *watch);
    zkl_list_init(&watch->link);
    zkl_list_init(&watch->gap);
    watch->path_size = size;
    if (chroot.size > 0) memcpy(watch->path, chroot.base, chroot.size);
    if (path.size > 0) memcpy(watch->path + chroot.size, path.base, path.size);
    zkl_map_insert(&watches->map, &watch->node, hash_path(watches, chroot, path));
    return watch;
}

int zkl_watches_reserve(struct zkl_watches *watches, struct zkl_slice chroot,
                        struct zkl_slice path, uint32_t kind, struct zkl_watch **watch)
{
    if (watches->pair_count + watches->reserved_count >= watches->pair_max) return ZKL_E_LIMIT;
    *watch = zkl_watches_find(watches, chroot, path);
    if (*watch == NULL) *watch = make(watches, chroot, path);
    if (*watch == NULL) return ZKL_E_NOMEM;
    (*watch)->reserved[bit_number(kind)]++;
    watches->reserved_count++;
    return ZKL_OK;
}

static void count_pair(struct zkl_watches *watches, uint32_t kind, bool more)
{
    if (more) {
        watches->pair_count++;
        if (kind & ZKL_KINDS_LASTING) watches->lasting_count++;
    } else {
        watches->pair_count--;
        if (kind & ZKL_KINDS_LASTING) watches->lasting_count--;
    }
}

/* All references of one kind go. */
static void clear_kind(struct zkl_watches *watches, struct zkl_watch *watch, uint32_t kind)
{
    uint32_t *count = &watch->counts[bit_number(kind)];
    if (*count == 0) return;
    *count = 0;
    count_pair(watches, kind, false);
    uint32_t kinds = zkl_watch_kinds(watch);
    watch->missed &= kinds;
    if (!(kinds & ZKL_KINDS_LASTING) && watch->missed == 0) zkl_list_remove(&watch->gap);
    if (kinds == 0) zkl_list_remove(&watch->link);
}

void zkl_watches_settle(struct zkl_watches *watches, struct zkl_watch *watch,
                        uint32_t reserved_kind, uint32_t kind)
{
    uint32_t *reserved = &watch->reserved[bit_number(reserved_kind)];
    ZKL_ASSERT(*reserved > 0);
    (*reserved)--;
    watches->reserved_count--;
    if (kind != 0) {
        if (zkl_watch_kinds(watch) == 0) zkl_list_push(&watches->asked, &watch->link);
        uint32_t *count = &watch->counts[bit_number(kind)];
        if ((*count)++ == 0) count_pair(watches, kind, true);
    }
    zkl_watches_drop(watches, watch);
}

bool zkl_watches_unwatch(struct zkl_watches *watches, struct zkl_watch *watch, uint32_t kind)
{
    uint32_t *count = &watch->counts[bit_number(kind)];
    if (*count == 0) return false;
    if (*count > 1) {
        (*count)--;
        return false;
    }
    clear_kind(watches, watch, kind);
    return zkl_watch_kinds(watch) == 0 && zkl_watch_reserved(watch) == 0;
}

/* --- events ----------------------------------------------------------------- */

/* The one-shot kinds that an event on a path ends. */
static uint32_t kinds_ended_by(int32_t type)
{
    switch (type) {
    case ZKL_WATCH_CREATED:
    case ZKL_WATCH_CHANGED:
        return ZKL_KIND_DATA | ZKL_KIND_EXIST;
    case ZKL_WATCH_DELETED:
        return ZKL_KINDS_ONCE;
    case ZKL_WATCH_CHILDREN:
        return ZKL_KIND_CHILD;
    default:
        return 0; /* from a server newer than we are: it ends nothing that we know of */
    }
}

static const struct zkl_slice no_chroot = { NULL, 0 };

static bool any_recursive_above(const struct zkl_watches *watches, struct zkl_slice path)
{
    while (path.size > 1) {
        do path.size--;
        while (path.size > 0 && path.base[path.size] != '/');
        struct zkl_slice parent = { path.base, path.size > 0 ? path.size : 1 };
        const struct zkl_watch *watch = zkl_watches_find(watches, no_chroot, parent);
        if (watch != NULL && watch->counts[bit_number(ZKL_KIND_RECURSIVE)] > 0) return true;
        if (path.size == 0) break;
    }
    return false;
}

uint32_t zkl_watches_match(struct zkl_watches *watches, struct zkl_slice path, int32_t type)
{
    uint32_t kinds = 0;
    struct zkl_watch *watch = zkl_watches_find(watches, no_chroot, path);
    if (watch != NULL) {
        uint32_t ended = zkl_watch_kinds(watch) & kinds_ended_by(type);
        kinds = ended | (zkl_watch_kinds(watch) & ZKL_KINDS_LASTING);
        for (unsigned i = 0; i < ZKL_WATCH_LIST_COUNT; i++) {
            uint32_t kind = UINT32_C(1) << i;
            if (ended & kind) clear_kind(watches, watch, kind);
        }
        zkl_watches_drop(watches, watch);
    }
    /* NodeChildrenChanged reaches us because of another watch: a recursive one gets the
     * children's own events. */
    if (type == ZKL_WATCH_CHILDREN) return kinds & ~(uint32_t)ZKL_KIND_RECURSIVE;
    if (watches->lasting_count > 0 && !(kinds & ZKL_KIND_RECURSIVE) &&
        any_recursive_above(watches, path)) {
        kinds |= ZKL_KIND_RECURSIVE;
    }
    return kinds;
}

/* --- after a reconnection --------------------------------------------------- */

void zkl_watches_forget_server(struct zkl_watches *watches)
{
    zkl_list_join(&watches->unasked, &watches->asked);
}

static size_t path_bytes(const struct zkl_watch *watch)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < ZKL_WATCH_LIST_COUNT; i++) {
        if (watch->counts[i] > 0) bytes += watch->path_size;
    }
    return bytes;
}

/* The first entry that is not part of the next piece. */
static const struct zkl_list *piece_end(const struct zkl_watches *watches, size_t path_bytes_max)
{
    size_t bytes = 0;
    const struct zkl_list *at = watches->unasked.next;
    for (; at != &watches->unasked; at = at->next) {
        bytes += path_bytes(ZKL_LIST_ELEMENT(at, const struct zkl_watch, link));
        if (bytes > path_bytes_max && at != watches->unasked.next) break;
    }
    return at;
}

static void write_kind(const struct zkl_watches *watches, const struct zkl_list *end,
                       unsigned number, struct zkl_writer *writer, int32_t *count)
{
    *count = 0;
    for (const struct zkl_list *at = watches->unasked.next; at != end; at = at->next) {
        const struct zkl_watch *watch = ZKL_LIST_ELEMENT(at, const struct zkl_watch, link);
        if (watch->counts[number] == 0) continue;
        zkl_write_string(writer, (struct zkl_slice) { watch->path, watch->path_size });
        (*count)++;
    }
}

size_t zkl_watches_piece_size(const struct zkl_watches *watches, size_t path_bytes_max)
{
    const struct zkl_list *end = piece_end(watches, path_bytes_max);
    struct zkl_writer writer = { NULL, 0, 0 };
    int32_t count;
    for (unsigned i = 0; i < ZKL_WATCH_LIST_COUNT; i++) {
        write_kind(watches, end, i, &writer, &count);
    }
    return writer.size;
}

void zkl_watches_take_piece(struct zkl_watches *watches, size_t path_bytes_max, uint32_t link,
                            struct zkl_writer *writer,
                            struct zkl_vector lists[ZKL_WATCH_LIST_COUNT])
{
    const struct zkl_list *end = piece_end(watches, path_bytes_max);
    for (unsigned i = 0; i < ZKL_WATCH_LIST_COUNT; i++) {
        size_t start = writer->size;
        write_kind(watches, end, i, writer, &lists[i].count);
        lists[i].base = writer->base + start;
        lists[i].size = writer->size - start;
    }
    ZKL_ASSERT(zkl_writer_fits(writer));
    while (watches->unasked.next != end) {
        struct zkl_watch *watch =
            ZKL_LIST_ELEMENT(watches->unasked.next, struct zkl_watch, link);
        zkl_list_remove(&watch->link);
        zkl_list_push(&watches->asked, &watch->link);
        watch->armed_link = link;
        watch->armed = zkl_watch_kinds(watch) & ZKL_KINDS_LASTING;
        if (watch->armed != 0) {
            zkl_list_remove(&watch->gap);
            zkl_list_push(&watches->gaps, &watch->gap);
        }
    }
}

bool zkl_watch_is_served(const struct zkl_watch *watch, uint32_t link, uint32_t kind)
{
    if (watch->armed_link != link) return false;
    uint32_t servers = ZKL_KIND_PERSISTENT;
    if (kind & (ZKL_KIND_DATA | ZKL_KIND_EXIST)) servers |= ZKL_KIND_RECURSIVE;
    return (watch->armed & servers) != 0;
}

void zkl_watch_armed(struct zkl_watch *watch, uint32_t link, uint32_t kind)
{
    if (watch->armed_link != link) watch->armed = 0;
    watch->armed_link = link;
    watch->armed |= kind;
}

void zkl_watches_missed(struct zkl_watches *watches, struct zkl_watch *watch, uint32_t kind)
{
    watch->missed |= kind;
    zkl_list_remove(&watch->gap);
    zkl_list_push(&watches->gaps, &watch->gap);
}

struct zkl_watch *zkl_watches_take_gap(struct zkl_watches *watches, uint32_t *kinds)
{
    if (zkl_list_empty(&watches->gaps)) return NULL;
    struct zkl_watch *watch = ZKL_LIST_ELEMENT(watches->gaps.next, struct zkl_watch, gap);
    zkl_list_remove(&watch->gap);
    watch->pins++;
    *kinds = (zkl_watch_kinds(watch) & ZKL_KINDS_LASTING) | watch->missed;
    uint32_t missed = watch->missed;
    for (unsigned i = 0; i < ZKL_WATCH_LIST_COUNT; i++) {
        if (missed & (UINT32_C(1) << i)) clear_kind(watches, watch, UINT32_C(1) << i);
    }
    return watch;
}

void zkl_watches_unpin(struct zkl_watches *watches, struct zkl_watch *watch)
{
    watch->pins--;
    zkl_watches_drop(watches, watch);
}

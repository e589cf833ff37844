/* What is prepared and not yet applied, path by path: see overlay.h. */
#include "server/overlay.h"

#include <string.h>

void zkl_overlay_init(struct zkl_overlay *overlay, const struct zkl_allocator *allocator)
{
    zkl_pool_init(&overlay->pool, allocator);
    zkl_map_init(&overlay->entries, allocator);
    zkl_list_init(&overlay->touched);
}

static size_t entry_size(size_t path_size)
{
    return offsetof(struct zkl_overlay_entry, path) + path_size;
}

static void remove_entry(struct zkl_overlay *overlay, struct zkl_overlay_entry *entry)
{
    zkl_list_remove(&entry->link);
    zkl_map_remove(&overlay->entries, &entry->by_path);
    zkl_pool_give_back(&overlay->pool, entry, entry_size(entry->path_size));
}

void zkl_overlay_free(struct zkl_overlay *overlay)
{
    ZKL_ASSERT(overlay->entries.count == 0);
    zkl_map_free(&overlay->entries);
    zkl_pool_free(&overlay->pool);
}

/* --- looking ------------------------------------------------------------------- */

static struct zkl_overlay_entry *find(const struct zkl_overlay *overlay, struct zkl_slice path,
                                      uint64_t hash)
{
    struct zkl_map_node *node = zkl_map_first(&overlay->entries, hash);
    for (; node != NULL; node = zkl_map_next(node, hash)) {
        struct zkl_overlay_entry *entry =
            ZKL_LIST_ELEMENT(node, struct zkl_overlay_entry, by_path);
        if (entry->path_size == path.size && memcmp(entry->path, path.base, path.size) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void from_tree(const struct zkl_tree *tree, struct zkl_slice path,
                      struct zkl_record *record)
{
    *record = (struct zkl_record) { .exists = false };
    const struct zkl_node *node = zkl_tree_find(tree, path);
    if (node == NULL) return;
    record->exists = true;
    record->acl = node->acl;
    record->crc = node->crc;
    zkl_node_persisted(node, &record->stat);
}

void zkl_overlay_look(const struct zkl_overlay *overlay, const struct zkl_tree *tree,
                      struct zkl_slice path, struct zkl_place *place)
{
    ZKL_ASSERT(path.base != NULL);
    if (path.size == 0) path = (struct zkl_slice) { (const uint8_t *)"/", 1 };
    place->path = path;
    place->hash = zkl_tree_hash(tree, path);
    place->entry = find(overlay, path, place->hash);
    if (place->entry != NULL) {
        place->record = place->entry->record;
    } else {
        from_tree(tree, path, &place->record);
    }
}

/* --- touching ------------------------------------------------------------------ */

static struct zkl_overlay_entry *new_entry(struct zkl_overlay *overlay,
                                           const struct zkl_place *place)
{
    if (!zkl_map_reserve(&overlay->entries)) return NULL;
    struct zkl_overlay_entry *entry =
        zkl_pool_take(&overlay->pool, entry_size(place->path.size));
    if (entry == NULL) return NULL;
    zkl_list_init(&entry->link);
    entry->touched = false;
    entry->home = NULL;
    entry->record = place->record;
    entry->path_size = place->path.size;
    memcpy(entry->path, place->path.base, place->path.size);
    zkl_map_insert(&overlay->entries, &entry->by_path, place->hash);
    return entry;
}

bool zkl_overlay_touch(struct zkl_overlay *overlay, struct zkl_place *place)
{
    if (place->entry == NULL) place->entry = new_entry(overlay, place);
    struct zkl_overlay_entry *entry = place->entry;
    if (entry == NULL) return false;
    if (!entry->touched) {
        entry->touched = true;
        entry->before = entry->record;
        zkl_list_remove(&entry->link);
        zkl_list_push(&overlay->touched, &entry->link);
    }
    entry->record = place->record;
    return true;
}

void zkl_overlay_keep(struct zkl_overlay *overlay, struct zkl_list *list)
{
    struct zkl_list *link = overlay->touched.next;
    for (; link != &overlay->touched; link = link->next) {
        struct zkl_overlay_entry *entry = zkl_overlay_entry_of(link);
        entry->touched = false;
        entry->home = list;
    }
    zkl_list_join(list, &overlay->touched);
}

void zkl_overlay_forget(struct zkl_overlay *overlay)
{
    while (!zkl_list_empty(&overlay->touched)) {
        struct zkl_overlay_entry *entry = zkl_overlay_entry_of(overlay->touched.next);
        if (entry->home == NULL) {
            remove_entry(overlay, entry);
            continue;
        }
        zkl_list_remove(&entry->link);
        zkl_list_push(entry->home, &entry->link);
        entry->touched = false;
        entry->record = entry->before;
    }
}

/* One huge multi leaves nothing behind. */
static void shrink(struct zkl_overlay *overlay)
{
    if (overlay->entries.count > 0 || overlay->pool.total <= ZKL_OVERLAY_KEPT_MAX) return;
    const struct zkl_allocator allocator = overlay->pool.allocator;
    zkl_overlay_free(overlay);
    zkl_overlay_init(overlay, &allocator);
}

void zkl_overlay_drop(struct zkl_overlay *overlay, struct zkl_list *list)
{
    ZKL_ASSERT(zkl_list_empty(&overlay->touched));
    while (!zkl_list_empty(list)) remove_entry(overlay, zkl_overlay_entry_of(list->next));
    shrink(overlay);
}

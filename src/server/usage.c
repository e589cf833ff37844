/* Which quota a path is under, what is used, who is over: see usage.h. */
#include "server/usage.h"

#include <string.h>

#include "base/memory.h"

static const char QUOTAS[] = "/zookeeper/quota";
static const char LIMITS[] = "zookeeper_limits", STATS[] = "zookeeper_stats";

static struct zkl_slice text_slice(const char *text)
{
    return (struct zkl_slice) { (const uint8_t *)text, strlen(text) };
}

static bool is_text(struct zkl_slice slice, const char *text)
{
    return slice.size == strlen(text) && memcmp(slice.base, text, slice.size) == 0;
}

static bool is_below_quotas(struct zkl_slice path)
{
    size_t size = sizeof QUOTAS - 1;
    return path.size > size && memcmp(path.base, QUOTAS, size) == 0 && path.base[size] == '/';
}

static struct zkl_slice data_of(const struct zkl_node *node)
{
    return (struct zkl_slice) { node->data, node->data_size };
}

/* A client may set any number as used; it wraps as Java's does. */
static int64_t sum(int64_t used, int64_t change)
{
    return (int64_t)((uint64_t)used + (uint64_t)change);
}

bool zkl_usage_refuses(struct zkl_slice path, struct zkl_slice data)
{
    if (!is_below_quotas(path)) return false;
    struct zkl_slice name = zkl_path_name(path);
    bool limits = is_text(name, LIMITS);
    if (!limits && !is_text(name, STATS)) return false;
    if (limits && is_text(zkl_path_parent(path), QUOTAS)) return true; /* whose? */
    struct zkl_quota quota;
    return data.base == NULL || !zkl_quota_parse(data, &quota);
}

/* --- finding the quota ----------------------------------------------------------- */

/* `hash` is that of the parent's path, not yet ended; of the child's afterwards. */
static struct zkl_node *child_of(const struct zkl_tree *tree, const struct zkl_node *parent,
                                 uint64_t *hash, struct zkl_slice name)
{
    *hash = zkl_hash_add(zkl_hash_add(*hash, "/", 1), name.base, name.size);
    uint64_t ended = zkl_hash_end(*hash);
    struct zkl_map_node *entry = zkl_map_first(&tree->nodes, ended);
    for (; entry != NULL; entry = zkl_map_next(entry, ended)) {
        struct zkl_node *node = ZKL_LIST_ELEMENT(entry, struct zkl_node, entry);
        if (node->parent == parent && node->name_size == name.size &&
            memcmp(node->name, name.base, name.size) == 0) {
            return node;
        }
    }
    return NULL;
}

struct quota {
    const struct zkl_node *limits;
    struct zkl_node *stats; /* NULL: nobody counts */
    size_t path_size;       /* of the part of the path that the quota is for */
};

static bool find_limits(const struct zkl_tree *tree, const struct zkl_node *at, uint64_t hash,
                        size_t path_size, struct quota *quota)
{
    uint64_t limits_hash = hash;
    const struct zkl_node *limits = child_of(tree, at, &limits_hash, text_slice(LIMITS));
    if (limits == NULL) return false;
    quota->limits = limits;
    quota->stats = child_of(tree, at, &hash, text_slice(STATS));
    quota->path_size = path_size;
    return true;
}

/* The deepest quota that the path is in or at the top of. */
static bool find_quota(const struct zkl_tree *tree, struct zkl_slice path, struct quota *quota)
{
    const struct zkl_node *at = zkl_tree_find(tree, text_slice(QUOTAS));
    if (at == NULL || zkl_node_children_count(at) == 0) return false;
    uint64_t hash = zkl_hash_add(zkl_hash_begin(tree->seed), QUOTAS, sizeof QUOTAS - 1);
    bool found = false;
    size_t end = 0;
    while (end < path.size) {
        size_t start = end + 1; /* behind the '/' */
        end = start;
        while (end < path.size && path.base[end] != '/') end++;
        at = child_of(tree, at, &hash, (struct zkl_slice) { path.base + start, end - start });
        if (at == NULL) break;
        if (find_limits(tree, at, hash, end, quota)) found = true;
    }
    return found;
}

/* --- at prep --------------------------------------------------------------------- */

struct expected {
    struct zkl_quota limits;
    struct zkl_place stats;
    int64_t count, bytes; /* what will be used */
    uint8_t *path;        /* of the stats node */
    size_t path_size;
};

static int32_t take_stats_path(const struct zkl_server *server, struct zkl_slice top,
                               struct expected *expected)
{
    size_t quotas = sizeof QUOTAS - 1, stats = sizeof STATS - 1;
    expected->path_size = quotas + top.size + 1 + stats;
    expected->path = zkl_allocate(&server->allocator, expected->path_size);
    if (expected->path == NULL) return ZKL_PREPARE_NOMEM;
    memcpy(expected->path, QUOTAS, quotas);
    memcpy(expected->path + quotas, top.base, top.size);
    expected->path[quotas + top.size] = '/';
    memcpy(expected->path + quotas + top.size + 1, STATS, stats);
    return 0;
}

/* `*known` false: nobody counts, and that is no failure. What was taken is to be released. */
static int32_t look(struct zkl_preparing *p, struct zkl_slice path, struct expected *expected,
                    bool *known)
{
    const struct zkl_tree *tree = &p->server->tree;
    struct quota quota;
    struct zkl_quota used;
    *known = false;
    expected->path = NULL;
    if (!p->server->options.enforce_quota || !find_quota(tree, path, &quota)) return 0;
    if (quota.stats == NULL || !zkl_quota_parse(data_of(quota.stats), &used)) return 0;
    if (!zkl_quota_parse(data_of(quota.limits), &expected->limits)) return 0;
    struct zkl_slice top = { path.base, quota.path_size };
    if (take_stats_path(p->server, top, expected) != 0) return ZKL_PREPARE_NOMEM;
    zkl_prepare_look(p, (struct zkl_slice) { expected->path, expected->path_size },
                     &expected->stats);
    const struct zkl_record *record = &expected->stats.record;
    expected->count = record->usage_known ? record->usage_count : used.count;
    expected->bytes = record->usage_known ? record->usage_bytes : used.bytes;
    *known = record->exists;
    return 0;
}

static void release(const struct zkl_server *server, struct expected *expected)
{
    zkl_release(&server->allocator, expected->path, expected->path_size);
}

static bool is_over(int64_t change, int64_t used, int64_t hard_limit)
{
    return change != 0 && hard_limit > -1 && sum(used, change) > hard_limit;
}

int32_t zkl_usage_judge(struct zkl_preparing *p, struct zkl_slice path, int64_t count,
                        int64_t bytes)
{
    struct expected expected;
    bool known;
    int32_t code = look(p, path, &expected, &known);
    if (known && (is_over(count, expected.count, expected.limits.count_hard) ||
                  is_over(bytes, expected.bytes, expected.limits.bytes_hard))) {
        code = ZKL_CODE_QUOTAEXCEEDED;
    }
    release(p->server, &expected);
    return code;
}

bool zkl_usage_expect(struct zkl_preparing *p, struct zkl_slice path, int64_t count,
                      int64_t bytes)
{
    struct expected expected;
    bool known;
    bool made = look(p, path, &expected, &known) == 0;
    if (known) {
        struct zkl_record record = expected.stats.record;
        record.usage_known = true;
        record.usage_count = sum(expected.count, count);
        record.usage_bytes = sum(expected.bytes, bytes);
        made = zkl_prepare_change(p, &expected.stats, &record);
    }
    release(p->server, &expected);
    return made;
}

void zkl_usage_set(const struct zkl_preparing *p, struct zkl_slice path, struct zkl_slice data,
                   struct zkl_record *record)
{
    struct zkl_quota used;
    if (!p->server->options.enforce_quota || !is_below_quotas(path)) return;
    if (!is_text(zkl_path_name(path), STATS) || !zkl_quota_parse(data, &used)) return;
    record->usage_known = true;
    record->usage_count = used.count;
    record->usage_bytes = used.bytes;
}

/* --- at apply -------------------------------------------------------------------- */

static void set_text(struct zkl_server *server, struct zkl_node *stats,
                     const struct zkl_quota *used)
{
    char text[ZKL_QUOTA_TEXT_MAX];
    size_t size = zkl_quota_format(used, text);
    uint8_t *data = zkl_pool_take(&server->tree.pool, size);
    if (data == NULL) {
        server->prep.usage_stale = true;
        return;
    }
    memcpy(data, text, size);
    zkl_tree_set_stats(&server->tree, stats, data, size);
}

/* Without recursion: a tree may be deeper than a stack. */
static const struct zkl_node *next_below(const struct zkl_node *node, const struct zkl_node *top)
{
    const struct zkl_node *next = zkl_node_first_child(node);
    while (next == NULL && node != top) {
        next = zkl_node_next_sibling(node);
        node = node->parent;
    }
    return next;
}

/* Costs what is counted: once when a quota is made, and at a start. */
static void count_anew(struct zkl_server *server, struct zkl_slice top, struct zkl_node *stats)
{
    const struct zkl_node *first = zkl_tree_find(&server->tree, top);
    struct zkl_quota used = { 0, 0, -1, -1 };
    for (const struct zkl_node *node = first; node != NULL; node = next_below(node, first)) {
        used.count++;
        used.bytes += node->data_size;
    }
    set_text(server, stats, &used);
}

static bool is_named(const struct zkl_node *node, const char *name)
{
    return is_text((struct zkl_slice) { (const uint8_t *)node->name, node->name_size }, name);
}

/* `limits` is below the node of its quota, whose path says what the quota is for. */
static bool recount_one(struct zkl_server *server, const struct zkl_node *limits)
{
    struct zkl_node *stats = zkl_node_first_child(limits->parent);
    while (stats != NULL && !is_named(stats, STATS)) stats = zkl_node_next_sibling(stats);
    if (stats == NULL) return true;
    size_t size = zkl_node_path(limits->parent, NULL, 0), before = sizeof QUOTAS - 1;
    if (zkl_prepare_scratch(server, size) != 0) return false;
    zkl_node_path(limits->parent, (char *)server->prep.scratch, size);
    struct zkl_slice top = { server->prep.scratch + before, size - before };
    count_anew(server, top, stats);
    return true;
}

void zkl_usage_recount(struct zkl_server *server)
{
    const struct zkl_node *quotas = zkl_tree_find(&server->tree, text_slice(QUOTAS));
    server->prep.usage_stale = false;
    if (quotas == NULL) return;
    for (const struct zkl_node *node = quotas; node != NULL; node = next_below(node, quotas)) {
        if (!is_named(node, LIMITS) || node->parent == quotas) continue;
        if (!recount_one(server, node)) server->prep.usage_stale = true;
    }
}

void zkl_usage_add(struct zkl_server *server, struct zkl_slice path, int64_t count, int64_t bytes)
{
    struct quota quota;
    struct zkl_quota used;
    if (count == 0 && bytes == 0) return;
    if (!find_quota(&server->tree, path, &quota) || quota.stats == NULL) return;
    if (server->prep.usage_stale) {
        zkl_usage_recount(server);
        return;
    }
    /* A text from disk that cannot be read stays: prep lets none in. */
    if (!zkl_quota_parse(data_of(quota.stats), &used)) return;
    used.count = sum(used.count, count);
    used.bytes = sum(used.bytes, bytes);
    set_text(server, quota.stats, &used);
}

void zkl_usage_created(struct zkl_server *server, struct zkl_slice path)
{
    if (!is_below_quotas(path) || !is_text(zkl_path_name(path), STATS)) return;
    struct zkl_slice parent = zkl_path_parent(path);
    size_t before = sizeof QUOTAS - 1;
    struct zkl_slice top = { parent.base + before, parent.size - before };
    count_anew(server, top, zkl_tree_find(&server->tree, path));
}

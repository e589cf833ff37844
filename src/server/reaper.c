/* Containers that have lost their last child and TTL nodes whose time is over go by themselves
 * (server-semantics 1.12).
 *
 * A round looks at all of them, in small steps so that nobody waits, and deletes at a limited
 * rate. Between two steps a cursor stands in the tree's own list, so that nodes may come and go
 * around it. Each deletion is a transaction like any other, judged again by prep. */
#include "server/prepare.h"

enum {
    LOOK_MAX = 256,     /* nodes in one step */
    STEP_PAUSE_MS = 1,  /* before the next one */
    MINUTE_MS = 60000
};

static bool is_due(const struct zkl_server *server, const struct zkl_node *node)
{
    if (zkl_node_children_count(node) > 0) return false;
    int64_t owner = node->extra->owner;
    int64_t age_ms = server->clock.wall_ms - node->mtime_ms;
    if (owner == ZKL_OWNER_CONTAINER) {
        int32_t unused_ms = server->options.container_unused_ms;
        return node->extra->cversion > 0 || (unused_ms != 0 && age_ms > unused_ms);
    }
    return age_ms > (int64_t)((uint64_t)owner & ~ZKL_OWNER_TTL_BITS);
}

/* What other transactions touch is left to the next round: they may have changed all. false:
 * nothing was asked. */
static bool reap(struct zkl_server *server, const struct zkl_node *node)
{
    size_t size = zkl_node_path(node, NULL, 0);
    if (zkl_prepare_scratch(server, size) != 0) return false;
    zkl_node_path(node, (char *)server->prep.scratch, size);
    struct zkl_slice path = { server->prep.scratch, size };
    struct zkl_place place;
    zkl_overlay_look(server->prep.overlay, &server->tree, path, &place);
    if (place.entry != NULL) return false;
    return zkl_prep_delete_container(server, path, server->clock) == ZKL_OK;
}

/* The cursor moves behind the next node, which is given; NULL: the round is over. */
static struct zkl_node *advance(struct zkl_server *server)
{
    struct zkl_tree *tree = &server->tree;
    struct zkl_list *cursor = &server->reap_cursor;
    struct zkl_list *next = cursor->next;
    zkl_list_remove(cursor);
    if (next == server->reap_list && next == &tree->containers) {
        server->reap_list = &tree->ttls;
        next = tree->ttls.next;
    }
    if (next == server->reap_list) {
        server->reap_list = NULL;
        return NULL;
    }
    zkl_list_push(next->next, cursor); /* in front of what is behind it */
    return zkl_owned_node(next);
}

static void begin_round(struct zkl_server *server)
{
    server->reap_list = &server->tree.containers;
    zkl_list_init(&server->reap_cursor);
    zkl_list_push(server->reap_list->next, &server->reap_cursor); /* at the front */
    server->reap_round_ms = server->clock.now_ms;
}

static int64_t spacing_ms(const struct zkl_server *server)
{
    int64_t spacing = MINUTE_MS / server->options.reap_per_minute;
    return spacing > STEP_PAUSE_MS ? spacing : STEP_PAUSE_MS;
}

void zkl_reap(struct zkl_server *server)
{
    int64_t now_ms = server->clock.now_ms;
    if (server->next_reap_ms == 0) {
        server->next_reap_ms = now_ms + server->options.reap_interval_ms;
    }
    if (now_ms < server->next_reap_ms) return;
    server->next_reap_ms = now_ms + STEP_PAUSE_MS;
    if (server->prep.count >= server->options.outstanding_max) return; /* the disk is behind */
    if (server->reap_list == NULL) begin_round(server);
    for (int looked = 0; looked < LOOK_MAX; looked++) {
        const struct zkl_node *node = advance(server);
        if (node == NULL) {
            server->next_reap_ms = server->reap_round_ms + server->options.reap_interval_ms;
            if (server->next_reap_ms <= now_ms) server->next_reap_ms = now_ms + STEP_PAUSE_MS;
            return;
        }
        if (!is_due(server, node) || !reap(server, node)) continue;
        server->next_reap_ms = now_ms + spacing_ms(server);
        return;
    }
}

int64_t zkl_reap_deadline(const struct zkl_server *server)
{
    const struct zkl_tree *tree = &server->tree;
    if (server->reap_list == NULL && zkl_list_empty(&tree->containers) &&
        zkl_list_empty(&tree->ttls)) {
        return ZKL_NEVER;
    }
    if (server->next_reap_ms != 0) return server->next_reap_ms;
    return server->clock.now_ms + server->options.reap_interval_ms;
}

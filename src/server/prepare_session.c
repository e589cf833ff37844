/* closeSession: the ephemerals of a session, in the tree and on their way into it, go with it
 * (server-semantics 2.4).
 *
 * The record names them. Where that would be longer than an entry of the log may be, it names
 * as many as there is room for: whoever applies it deletes those that the tree still knows to be
 * the session's, named or not. */
#include <string.h>

#include "server/prepare.h"
#include "server/usage.h"
#include "wire/writer.h"

static int32_t take_off(struct zkl_preparing *p, struct zkl_place *node)
{
    struct zkl_place parent;
    zkl_prepare_look(p, zkl_path_parent(node->path), &parent);
    ZKL_ASSERT(parent.record.exists);
    if (!zkl_usage_expect(p, node->path, -1, -(int64_t)node->record.stat.data_length)) {
        return ZKL_PREPARE_NOMEM;
    }
    struct zkl_record above = parent.record;
    above.stat.children_count--;
    int64_t zxid = p->proposal->header.zxid;
    if (zxid > above.stat.pzxid) above.stat.pzxid = zxid; /* as the tree will do it */
    const struct zkl_record gone = { .exists = false };
    if (!zkl_prepare_change(p, &parent, &above) || !zkl_prepare_change(p, node, &gone)) {
        return ZKL_PREPARE_NOMEM;
    }
    return 0;
}

/* If it is still the session's once all is applied that was prepared before. */
static int32_t take_off_if_owned(struct zkl_preparing *p, struct zkl_slice path)
{
    struct zkl_place node;
    zkl_prepare_look(p, path, &node);
    if (!node.record.exists || node.record.stat.ephemeral_owner != p->session->id) return 0;
    return take_off(p, &node);
}

static int32_t take_off_in_tree(struct zkl_preparing *p)
{
    struct zkl_server *server = p->server;
    struct zkl_owner *owner = zkl_tree_owner(&server->tree, p->session->id);
    if (owner == NULL) return 0;
    struct zkl_list *link = owner->nodes.next;
    for (; link != &owner->nodes; link = link->next) {
        const struct zkl_node *node = zkl_owned_node(link);
        size_t size = zkl_node_path(node, NULL, 0);
        int32_t code = zkl_prepare_scratch(server, size);
        if (code != 0) return code;
        zkl_node_path(node, (char *)server->prep.scratch, size);
        code = take_off_if_owned(p, (struct zkl_slice) { server->prep.scratch, size });
        if (code != 0) return code;
    }
    return 0;
}

/* What its own earlier requests are going to create. Scratch is made as long as their paths:
 * apply uses it for those that the record does not name. */
static int32_t take_off_prepared(struct zkl_preparing *p)
{
    struct zkl_session *session = p->session;
    if (session->prepared_count == 0) return 0;
    struct zkl_list *link = session->prepared.next;
    for (; link != &session->prepared; link = link->next) {
        struct zkl_proposal *proposal = ZKL_LIST_ELEMENT(link, struct zkl_proposal, on_session);
        for (size_t i = 0; proposal->create_count > 0 && i < proposal->change_count; i++) {
            const struct zkl_txn *txn = &proposal->changes[i].txn;
            if (!txn->ephemeral) continue;
            int32_t code = zkl_prepare_scratch(p->server, txn->path.size);
            if (code == 0) code = take_off_if_owned(p, txn->path);
            if (code != 0) return code;
        }
    }
    return 0;
}

/* Of all that this transaction has touched, what does not exist any more. */
static int32_t write_paths(struct zkl_preparing *p)
{
    struct zkl_list *touched = &p->server->prep.overlay->touched;
    struct zkl_proposal *proposal = p->proposal;
    int32_t code = zkl_prepare_room(p, 4);
    if (code != 0) return code;
    size_t start = proposal->payload_size;
    int32_t count = 0;
    proposal->payload_size += 4;
    for (struct zkl_list *link = touched->next; link != touched; link = link->next) {
        const struct zkl_overlay_entry *entry = zkl_overlay_entry_of(link);
        if (entry->record.exists) continue;
        code = zkl_prepare_room(p, 4 + entry->path_size);
        if (code == ZKL_PREPARE_NOMEM) return code;
        if (code != 0) break; /* the limit */
        struct zkl_writer writer = zkl_prepare_writer(p);
        zkl_write_slice(&writer, zkl_overlay_path(entry));
        proposal->payload_size = writer.size;
        count++;
    }
    zkl_store_i32(proposal->payload + start, count);
    return 0;
}

int32_t zkl_prepare_close_session(struct zkl_preparing *p)
{
    int32_t code = take_off_in_tree(p);
    if (code == 0) code = take_off_prepared(p);
    if (code == 0) code = write_paths(p);
    return code;
}

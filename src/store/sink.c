/* A server as the one who takes what is recovered: the public calls that recover into it. */
#include "store/internal.h"

static void begin(void *context)
{
    zkl_server_restore_begin(context);
}

static int take_session(void *context, int64_t id, int32_t timeout_ms)
{
    return zkl_server_restore_session(context, id, timeout_ms);
}

static int take_acl(void *context, int64_t id, struct zkl_vector acl)
{
    return zkl_server_restore_acl(context, id, acl);
}

static int take_node(void *context, const struct zkl_restored_node *node)
{
    return zkl_server_restore_node(context, node);
}

static void take_soon(void *context, struct zkl_slice path)
{
    zkl_server_restore_soon(context, path);
}

static int take_end(void *context, int64_t zxid)
{
    return zkl_server_restore_end(context, zxid);
}

static int take_digest(void *context, int64_t zxid, uint64_t digest)
{
    return zkl_server_restore_digest(context, zxid, digest);
}

static int take_replay(void *context, struct zkl_slice payload, bool *skipped)
{
    return zkl_server_replay(context, payload, skipped);
}

static const char *why(void *context)
{
    return zkl_server_why(context);
}

static struct zkl_sink server_sink(struct zkl_server *server)
{
    return (struct zkl_sink) {
        begin, take_session, take_acl, take_node, take_soon, take_end, take_digest, take_replay,
        why, server,
    };
}

/* Everything was read; what came out does not fit together. */
static int judge(const struct zkl_store_options *options, struct zkl_server *server,
                 struct zkl_store_report *report)
{
    if (!zkl_server_in_doubt(server)) return 0;
    int64_t zxid = zkl_server_zxid(server);
    return zkl_damaged(report, zxid, zxid, "%s is whole but cannot be true: %s; keep a copy; "
                       "zklua server --salvage DIR OUT writes the nodes as they are",
                       options->data_directory, zkl_server_why(server));
}

struct zkl_store *zkl_store_open(const struct zkl_store_options *options,
                                 struct zkl_server *server, struct zkl_store_report *report)
{
    struct zkl_sink sink = server_sink(server);
    struct zkl_store *store = zkl_store_open_sink(options, &sink, report);
    if (store == NULL || judge(options, server, report) == 0) return store;
    zkl_store_close(store);
    return NULL;
}

int zkl_store_check(const struct zkl_store_options *options, struct zkl_server *server,
                    struct zkl_store_report *report)
{
    struct zkl_sink sink = server_sink(server);
    int status = zkl_store_check_sink(options, &sink, report);
    return status == 0 ? judge(options, server, report) : status;
}

int zkl_store_salvage(const struct zkl_store_options *options, const char *out,
                      struct zkl_server *server, struct zkl_store_report *report)
{
    struct zkl_sink sink = server_sink(server);
    int status = zkl_store_salvage_sink(options, out, &sink, report);
    return status == 0 ? zkl_settle(options, out, server, &sink, report) : status;
}

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
        begin, take_session, take_acl, take_node, take_end, take_digest, take_replay, why,
        server,
    };
}

struct zkl_store *zkl_store_open(const struct zkl_store_options *options,
                                 struct zkl_server *server, struct zkl_store_report *report)
{
    struct zkl_sink sink = server_sink(server);
    return zkl_store_open_sink(options, &sink, report);
}

int zkl_store_check(const struct zkl_store_options *options, struct zkl_server *server,
                    struct zkl_store_report *report)
{
    struct zkl_sink sink = server_sink(server);
    return zkl_store_check_sink(options, &sink, report);
}

int zkl_store_salvage(const struct zkl_store_options *options, const char *out,
                      struct zkl_server *server, struct zkl_store_report *report)
{
    struct zkl_sink sink = server_sink(server);
    return zkl_store_salvage_sink(options, out, &sink, report);
}

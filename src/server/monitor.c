/* The four-letter word `mntr`: a line per number, by Apache's names, so that what watches Apache's
 * servers can watch this one. Not there is what only an ensemble has, Java's machine, the queues
 * between Apache's threads, percentiles and what is counted per top-level node. */
#include <string.h>

#include "server/text.h"

void zkl_tally_reset(struct zkl_tally *tally)
{
    *tally = (struct zkl_tally) {
        .answer_size_last = -1, .answer_size_min = -1, .answer_size_max = -1,
    };
}

static void put_key(struct zkl_text *text, const char *before, const char *name)
{
    zkl_text_put(text, "zk_");
    zkl_text_put(text, before);
    zkl_text_put(text, name);
    zkl_text_put(text, "\t");
}

static void put_number(struct zkl_text *text, const char *before, const char *name, int64_t number)
{
    put_key(text, before, name);
    zkl_text_i64(text, number);
    zkl_text_put(text, "\n");
}

static void put_average(struct zkl_text *text, const char *name, const struct zkl_latency *numbers)
{
    put_key(text, "avg_", name);
    zkl_text_average(text, numbers);
    zkl_text_put(text, "\n");
}

static void put_summary(struct zkl_text *text, const char *name, const struct zkl_latency *numbers)
{
    put_average(text, name, numbers);
    put_number(text, "min_", name, numbers->min_ms);
    put_number(text, "max_", name, numbers->max_ms);
    put_number(text, "cnt_", name, (int64_t)numbers->count);
    put_number(text, "sum_", name, numbers->sum_ms);
}

struct row {
    const char *name;
    int64_t number;
};

static void put_rows(struct zkl_text *text, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) put_number(text, "", rows[i].name, rows[i].number);
}

static void put_state(struct zkl_text *text)
{
    const struct zkl_server *server = text->server;
    const struct zkl_watches_table *watches = &server->watches;
    const struct row rows[] = {
        { "num_alive_connections", (int64_t)server->connection_count },
        { "outstanding_requests", (int64_t)server->outstanding },
        { "znode_count", zkl_text_node_count(text) },
        { "watch_count", (int64_t)(watches->data_pairs + watches->child_pairs) },
        { "ephemerals_count", (int64_t)server->tree.ephemeral_count },
        { "approximate_data_size", (int64_t)server->tree.data_bytes },
        { "global_sessions", (int64_t)server->sessions.map.count },
        { "local_sessions", 0 },
        { "uptime", server->clock.now_ms - server->started_ms },
        { "memory_bytes", (int64_t)zkl_memory_bytes(server) }, /* ours alone */
    };
    const struct row known_to_driver[] = {
        { "open_file_descriptor_count", server->report.open_descriptors },
        { "max_file_descriptor_count", server->report.open_descriptors_max },
    };
    put_rows(text, rows, sizeof rows / sizeof rows[0]);
    if (server->report.open_descriptors_max > 0) put_rows(text, known_to_driver, 2);
}

/* Some that are always there and always nothing: they stand for what this server has not. */
static void put_counters(struct zkl_text *text)
{
    const struct zkl_server *server = text->server;
    const struct zkl_tally *tally = &server->tally;
    const struct row rows[] = {
        { "min_latency", server->latency.min_ms },
        { "max_latency", server->latency.max_ms },
        { "packets_received", (int64_t)(server->received - server->received_before) },
        { "packets_sent", (int64_t)(server->sent - server->sent_before) },
        { "bytes_received_count", (int64_t)(server->bytes_in - server->bytes_in_before) },
        { "response_bytes", (int64_t)(server->bytes_out - server->bytes_out_before) },
        { "watch_bytes", (int64_t)tally->event_bytes },
        { "last_client_response_size", tally->answer_size_last },
        { "min_client_response_size", tally->answer_size_min },
        { "max_client_response_size", tally->answer_size_max },
        { "connection_request_count", (int64_t)tally->handshakes },
        { "connection_revalidate_count", (int64_t)tally->came_back },
        { "connection_rejected", (int64_t)tally->refused },
        { "connection_drop_count", (int64_t)tally->cut_off },
        { "sessionless_connections_expired", (int64_t)tally->late_handshakes },
        { "stale_sessions_expired", (int64_t)tally->expired },
        { "auth_failed_count", (int64_t)tally->auth_failed },
        { "digest_mismatches_count", 0 }, /* one would have ended the process */
        { "unrecoverable_error_count", 0 },
        { "outstanding_tls_handshake", 0 },
        { "non_mtls_remote_conn_count", 0 },
        { "non_mtls_local_conn_count", 0 },
        { "throttled_ops", 0 },
    };
    put_rows(text, rows, sizeof rows / sizeof rows[0]);
    put_key(text, "", "connection_drop_probability");
    zkl_text_put(text, "0.0\n");
}

void zkl_say_mntr(struct zkl_text *text)
{
    static const char *const TOLD[] = { "node_created_watch_count", "node_deleted_watch_count",
                                        "node_changed_watch_count", "node_children_watch_count" };
    static const char *const MEASURED[ZKL_MEASURED_COUNT] = {
        [ZKL_MEASURED_SYNC_MS] = "fsynctime",
        [ZKL_MEASURED_SNAPSHOT_MS] = "snapshottime",
        [ZKL_MEASURED_START_MS] = "dbinittime",
    };
    const struct zkl_server *server = text->server;
    put_key(text, "", "version");
    zkl_text_slice(text, server->options.version);
    zkl_text_put(text, "\n");
    put_key(text, "", "server_state");
    zkl_text_put(text, "standalone\n");
    put_state(text);
    put_average(text, "latency", &server->latency);
    put_counters(text);
    put_summary(text, "readlatency", &server->tally.reads);
    put_summary(text, "updatelatency", &server->tally.updates);
    for (size_t i = 0; i < sizeof TOLD / sizeof TOLD[0]; i++) {
        put_summary(text, TOLD[i], &server->tally.told[i]);
    }
    for (size_t i = 0; i < ZKL_MEASURED_COUNT; i++) {
        put_summary(text, MEASURED[i], &server->tally.measured[i]);
    }
}

/* Four-letter words: what an administrator asks with `echo mntr | nc`. The text is Apache's, as
 * far as a server without I/O can know it; what it says about directories comes from the
 * options' config_text. The connection ends behind the answer. */
#include <string.h>

#include "server/text.h"

enum { COMMAND_SIZE = 4 };

/* --- who is there ------------------------------------------------------------- */

static const char *op_name(int32_t op)
{
    static const struct {
        int32_t op;
        char name[7];
    } NAMES[] = {
        { ZKL_OP_PING, "PING" },          { ZKL_OP_CREATE_SESSION, "SESS" },
        { ZKL_OP_CREATE, "CREA" },        { ZKL_OP_CREATE2, "CREA" },
        { ZKL_OP_CREATE_TTL, "CREA" },    { ZKL_OP_CREATE_CONTAINER, "CREA" },
        { ZKL_OP_DELETE, "DELE" },        { ZKL_OP_SET_DATA, "SETD" },
        { ZKL_OP_SET_ACL, "SETA" },       { ZKL_OP_CLOSE_SESSION, "CLOS" },
        { ZKL_OP_SYNC, "SYNC" },          { ZKL_OP_CHECK, "CHEC" },
        { ZKL_OP_EXISTS, "EXIS" },        { ZKL_OP_GET_DATA, "GETD" },
        { ZKL_OP_SET_WATCHES, "SETW" },   { ZKL_OP_SET_WATCHES2, "STW2" },
        { ZKL_OP_ADD_WATCH, "ADDW" },     { ZKL_OP_GET_ACL, "GETA" },
        { ZKL_OP_GET_CHILDREN, "GETC" },  { ZKL_OP_GET_CHILDREN2, "GETC" },
        { ZKL_OP_CHECK_WATCHES, "CHKW" }, { ZKL_OP_REMOVE_WATCHES, "REMW" },
        { ZKL_OP_WHO_AM_I, "HOMI" },      { ZKL_OP_GET_EPHEMERALS, "GETE" },
        { ZKL_OP_MULTI, "MULT" },         { ZKL_OP_MULTI_READ, "MLTR" },
        { ZKL_OP_RECONFIG, "RECO" },      { ZKL_OP_GET_ALL_CHILDREN_NUMBER, "GETACN" },
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        if (NAMES[i].op == op) return NAMES[i].name;
    }
    return "NA";
}

static void put_session_part(struct zkl_text *text, const struct zkl_connection *connection)
{
    const struct zkl_latency *latency = &connection->latency;
    zkl_text_put(text, ",sid=");
    zkl_text_hex(text, connection->session_id);
    zkl_text_put(text, ",lop=");
    zkl_text_put(text, op_name(connection->last_op));
    zkl_text_named(text, ",est=", connection->established_wall_ms);
    zkl_text_named(text, ",to=", connection->session->timeout_ms);
    if (connection->last_cxid != 0) {
        zkl_text_put(text, ",lcxid=");
        zkl_text_hex(text, connection->last_cxid);
    }
    zkl_text_put(text, ",lzxid=");
    zkl_text_hex(text, connection->last_zxid);
    zkl_text_named(text, ",lresp=", connection->last_response_ms);
    zkl_text_named(text, ",llat=", latency->last_ms);
    zkl_text_named(text, ",minlat=", latency->min_ms);
    zkl_text_named(text, ",avglat=",
                   latency->count > 0 ? latency->sum_ms / (int64_t)latency->count : 0);
    zkl_text_named(text, ",maxlat=", latency->max_ms);
}

static void put_connection(struct zkl_text *text, const struct zkl_connection *connection,
                           bool brief)
{
    bool writes = zkl_buffer_size(&connection->shown) > 0;
    int64_t interest = (connection->reads ? 1 : 0) + (writes ? 4 : 0);
    zkl_text_put(text, " ");
    zkl_text_address(text, connection);
    zkl_text_named(text, "[", interest);
    zkl_text_named(text, "](queued=", (int64_t)connection->outstanding);
    zkl_text_named(text, ",recved=", (int64_t)connection->received);
    zkl_text_named(text, ",sent=", (int64_t)connection->sent);
    if (!brief && connection->session != NULL) put_session_part(text, connection);
    zkl_text_put(text, ")\n");
}

static void put_connections(struct zkl_text *text, bool brief)
{
    const struct zkl_list *list = &text->server->connections, *link;
    for (link = list->next; link != list && !text->full; link = link->next) {
        put_connection(text, ZKL_LIST_ELEMENT(link, struct zkl_connection, link), brief);
    }
    zkl_text_put(text, "\n");
}

/* --- the words: the server ---------------------------------------------------- */

static void say_ruok(struct zkl_text *text)
{
    zkl_text_put(text, "imok");
}

static void say_isro(struct zkl_text *text)
{
    zkl_text_put(text, "rw");
}

static void say_trace_mask(struct zkl_text *text)
{
    zkl_text_put(text, "306");
}

static void put_version(struct zkl_text *text)
{
    zkl_text_put(text, "Zookeeper version: ");
    zkl_text_slice(text, text->server->options.version);
    zkl_text_put(text, "\n");
}

/* The root has two names in Apache, and counts twice. */
static int64_t node_count(const struct zkl_server *server)
{
    return (int64_t)server->tree.nodes.count + 1;
}

static void put_statistics(struct zkl_text *text)
{
    const struct zkl_server *server = text->server;
    zkl_text_named(text, "Latency min/avg/max: ", server->latency.min_ms);
    zkl_text_put(text, "/");
    zkl_text_average(text, &server->latency);
    zkl_text_named(text, "/", server->latency.max_ms);
    zkl_text_named(text, "\nReceived: ", (int64_t)(server->received - server->received_before));
    zkl_text_named(text, "\nSent: ", (int64_t)(server->sent - server->sent_before));
    zkl_text_named(text, "\nConnections: ", (int64_t)server->connection_count);
    zkl_text_named(text, "\nOutstanding: ", (int64_t)server->outstanding);
    zkl_text_put(text, "\nZxid: ");
    zkl_text_hex(text, server->zxid);
    zkl_text_named(text, "\nMode: standalone\nNode count: ", node_count(server));
    zkl_text_put(text, "\n");
}

static void say_srvr(struct zkl_text *text)
{
    put_version(text);
    put_statistics(text);
}

static void say_stat(struct zkl_text *text)
{
    put_version(text);
    zkl_text_put(text, "Clients:\n");
    put_connections(text, true);
    put_statistics(text);
}

static void say_cons(struct zkl_text *text)
{
    put_connections(text, false);
}

static void say_crst(struct zkl_text *text)
{
    struct zkl_list *list = &text->server->connections, *link;
    for (link = list->next; link != list; link = link->next) {
        struct zkl_connection *connection = ZKL_LIST_ELEMENT(link, struct zkl_connection, link);
        connection->received = connection->sent = 0;
        connection->latency = (struct zkl_latency) { 0 };
    }
    zkl_text_put(text, "Connection stats reset.\n");
}

static void say_srst(struct zkl_text *text)
{
    struct zkl_server *server = text->server;
    server->received_before = server->received;
    server->sent_before = server->sent;
    server->latency = (struct zkl_latency) { 0 };
    server->read_latency = server->update_latency = server->latency;
    zkl_text_put(text, "Server stats reset.\n");
}

static void say_conf(struct zkl_text *text)
{
    struct zkl_slice config = text->server->options.config_text;
    zkl_text_slice(text, config);
    if (config.size > 0 && config.base[config.size - 1] != '\n') zkl_text_put(text, "\n");
}

static void say_envi(struct zkl_text *text)
{
    zkl_text_put(text, "Environment:\nzookeeper.version=");
    zkl_text_slice(text, text->server->options.version);
    zkl_text_put(text, "\n");
}

/* The value of `key` in config_text, or "0". */
static struct zkl_slice config_value(const struct zkl_server *server, const char *key)
{
    struct zkl_slice config = server->options.config_text;
    const struct zkl_slice zero = { (const uint8_t *)"0", 1 };
    size_t key_size = strlen(key), at = 0;
    while (at < config.size) {
        const uint8_t *line = config.base + at;
        const uint8_t *newline = memchr(line, '\n', config.size - at);
        size_t size = newline != NULL ? (size_t)(newline - line) : config.size - at;
        if (size > key_size && memcmp(line, key, key_size) == 0 && line[key_size] == '=') {
            struct zkl_slice value = { line + key_size + 1, size - key_size - 1 };
            return value;
        }
        at += size + 1;
    }
    return zero;
}

static void say_dirs(struct zkl_text *text)
{
    zkl_text_put(text, "datadir_size: ");
    zkl_text_slice(text, config_value(text->server, "dataDirSize"));
    zkl_text_put(text, "\nlogdir_size: ");
    zkl_text_slice(text, config_value(text->server, "dataLogSize"));
    zkl_text_put(text, "\n");
}

static void say_hash(struct zkl_text *text)
{
    const struct zkl_server *server = text->server;
    size_t kept = server->digest_count < ZKL_DIGESTS_KEPT ? server->digest_count
                                                          : ZKL_DIGESTS_KEPT;
    for (size_t i = server->digest_count - kept; i < server->digest_count; i++) {
        const struct zkl_digest_point *point = &server->digests[i % ZKL_DIGESTS_KEPT];
        char hex[ZKL_HEX_SIZE_MAX];
        size_t size = zkl_format_hex(hex, (uint64_t)point->zxid);
        zkl_text_bytes(text, hex + 2, size - 2); /* without "0x" */
        zkl_text_named(text, ": ", (int64_t)point->digest);
        zkl_text_put(text, "\n");
    }
}

static void put_key(struct zkl_text *text, const char *key)
{
    zkl_text_put(text, "zk_");
    zkl_text_put(text, key);
    zkl_text_put(text, "\t");
}

static void say_mntr(struct zkl_text *text)
{
    const struct zkl_server *server = text->server;
    const struct {
        const char *key;
        int64_t value;
    } rows[] = {
        { "min_latency", server->latency.min_ms },
        { "max_latency", server->latency.max_ms },
        { "packets_received", (int64_t)(server->received - server->received_before) },
        { "packets_sent", (int64_t)(server->sent - server->sent_before) },
        { "bytes_received_count", (int64_t)server->bytes_in },
        { "response_bytes", (int64_t)server->bytes_out },
        { "num_alive_connections", (int64_t)server->connection_count },
        { "outstanding_requests", (int64_t)server->outstanding },
        { "uptime", server->clock.now_ms - server->started_ms },
        { "znode_count", node_count(server) },
        { "watch_count", (int64_t)(server->watches.data_pairs + server->watches.child_pairs) },
        { "ephemerals_count", (int64_t)server->tree.ephemeral_count },
        { "approximate_data_size", (int64_t)server->tree.data_bytes },
        { "global_sessions", (int64_t)server->sessions.map.count },
        { "local_sessions", 0 },
        { "outstanding_changes_queued", (int64_t)server->prep.count },
        { "memory_bytes", (int64_t)zkl_memory_bytes(server) },
    };
    put_key(text, "version");
    zkl_text_slice(text, server->options.version);
    zkl_text_put(text, "\n");
    put_key(text, "server_state");
    zkl_text_put(text, "standalone\n");
    put_key(text, "avg_latency");
    zkl_text_average(text, &server->latency);
    zkl_text_put(text, "\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_key(text, rows[i].key);
        zkl_text_i64(text, rows[i].value);
        zkl_text_put(text, "\n");
    }
}

/* --- which is which ----------------------------------------------------------- */

static const struct word {
    char name[COMMAND_SIZE + 1];
    void (*say)(struct zkl_text *text);
} WORDS[] = {
    { "conf", say_conf }, { "cons", say_cons },       { "crst", say_crst },
    { "dirs", say_dirs }, { "dump", zkl_say_dump },       { "envi", say_envi },
    { "gtmk", say_trace_mask }, { "hash", say_hash }, { "isro", say_isro },
    { "mntr", say_mntr }, { "ruok", say_ruok },       { "srst", say_srst },
    { "srvr", say_srvr }, { "stat", say_stat },       { "wchc", zkl_say_wchc },
    { "wchp", zkl_say_wchp }, { "wchs", zkl_say_wchs },
};

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

/* A list with commas, blanks around names, "*" for all. */
static bool in_whitelist(struct zkl_slice list, const char *name)
{
    size_t at = 0;
    while (at < list.size) {
        const uint8_t *item = list.base + at;
        const uint8_t *comma = memchr(item, ',', list.size - at);
        size_t size = comma != NULL ? (size_t)(comma - item) : list.size - at;
        at += size + 1;
        while (size > 0 && is_space(*item)) {
            item++;
            size--;
        }
        while (size > 0 && is_space(item[size - 1])) size--;
        if (size == 1 && *item == '*') return true;
        if (size == COMMAND_SIZE && memcmp(item, name, COMMAND_SIZE) == 0) return true;
    }
    return false;
}

static void answer(struct zkl_connection *connection, const struct word *word)
{
    struct zkl_text text = { connection->server, connection, 0, false };
    if (word->say == say_srvr || in_whitelist(text.server->options.commands, word->name)) {
        word->say(&text);
    } else {
        zkl_text_put(&text, word->name);
        zkl_text_put(&text, " is not executed because it is not in the whitelist.\n");
    }
    if (connection->phase == ZKL_PHASE_ENDING) return;
    zkl_connection_commit(connection, 0);
    zkl_connection_end(connection, ZKL_CLOSE_AFTER_OUTPUT);
}

bool zkl_four_letter(struct zkl_connection *connection, const uint8_t bytes[COMMAND_SIZE])
{
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
        if (memcmp(WORDS[i].name, bytes, COMMAND_SIZE) != 0) continue;
        connection->received++;
        connection->server->received++;
        answer(connection, &WORDS[i]);
        return true;
    }
    return false;
}

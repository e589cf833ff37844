/* Four-letter words: what an administrator asks with `echo mntr | nc`. The text is Apache's, as
 * far as a server without I/O can know it; what it says about directories comes from the
 * options' config_text. The connection ends behind the answer. */
#include <string.h>

#include "server/text.h"
#include "wire/bytes.h"

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

static void say_gtmk(struct zkl_text *text)
{
    zkl_text_i64(text, text->server->trace_mask);
}

/* Eight bytes follow the word. */
static void say_stmk(struct zkl_text *text)
{
    text->server->trace_mask = zkl_load_i64(text->argument);
    say_gtmk(text);
}

static void put_version(struct zkl_text *text)
{
    zkl_text_put(text, "Zookeeper version: ");
    zkl_text_slice(text, text->server->options.version);
    zkl_text_put(text, "\n");
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
    zkl_text_named(text, "\nMode: standalone\nNode count: ", zkl_text_node_count(text));
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
    server->bytes_in_before = server->bytes_in;
    server->bytes_out_before = server->bytes_out;
    zkl_tally_reset(&server->tally);
    zkl_text_put(text, "Server stats reset.\n");
}

/* Lines; the last one may lack its end. */
static void put_lines(struct zkl_text *text, struct zkl_slice lines)
{
    zkl_text_slice(text, lines);
    if (lines.size > 0 && lines.base[lines.size - 1] != '\n') zkl_text_put(text, "\n");
}

static bool begins_with(const uint8_t *line, size_t size, const char *key)
{
    return size >= strlen(key) && memcmp(line, key, strlen(key)) == 0;
}

/* What changes while the server runs is as the driver has told it last. */
static void say_conf(struct zkl_text *text)
{
    static const char DATA[] = "dataDirSize=", LOGS[] = "dataLogSize=";
    struct zkl_slice config = text->server->options.config_text;
    const struct zkl_report *report = &text->server->report;
    for (size_t at = 0; at < config.size;) {
        const uint8_t *line = config.base + at;
        const uint8_t *newline = memchr(line, '\n', config.size - at);
        size_t size = newline != NULL ? (size_t)(newline - line) : config.size - at;
        if (begins_with(line, size, DATA)) {
            zkl_text_named(text, DATA, report->data_bytes);
        } else if (begins_with(line, size, LOGS)) {
            zkl_text_named(text, LOGS, report->log_bytes);
        } else {
            zkl_text_bytes(text, line, size);
        }
        zkl_text_put(text, "\n");
        at += size + 1;
    }
}

static void say_envi(struct zkl_text *text)
{
    zkl_text_put(text, "Environment:\nzookeeper.version=");
    zkl_text_slice(text, text->server->options.version);
    zkl_text_put(text, "\n");
    put_lines(text, text->server->options.environment);
}

static void say_dirs(struct zkl_text *text)
{
    zkl_text_named(text, "datadir_size: ", text->server->report.data_bytes);
    zkl_text_named(text, "\nlogdir_size: ", text->server->report.log_bytes);
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

/* --- which is which ----------------------------------------------------------- */

static const struct word {
    char name[COMMAND_SIZE + 1];
    void (*say)(struct zkl_text *text);
    size_t argument_size; /* of bytes that follow it */
} WORDS[] = {
    { "conf", say_conf, 0 },     { "cons", say_cons, 0 },     { "crst", say_crst, 0 },
    { "dirs", say_dirs, 0 },     { "dump", zkl_say_dump, 0 }, { "envi", say_envi, 0 },
    { "gtmk", say_gtmk, 0 },     { "hash", say_hash, 0 },     { "isro", say_isro, 0 },
    { "mntr", zkl_say_mntr, 0 }, { "ruok", say_ruok, 0 },     { "srst", say_srst, 0 },
    { "srvr", say_srvr, 0 },     { "stat", say_stat, 0 },     { "stmk", say_stmk, 8 },
    { "wchc", zkl_say_wchc, 0 }, { "wchp", zkl_say_wchp, 0 }, { "wchs", zkl_say_wchs, 0 },
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

static void answer(struct zkl_connection *connection, const struct word *word,
                   const uint8_t *argument)
{
    struct zkl_text text = { .server = connection->server, .connection = connection,
                             .argument = argument };
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

bool zkl_four_letter(struct zkl_connection *connection, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
        if (memcmp(WORDS[i].name, bytes, COMMAND_SIZE) != 0) continue;
        if (size < COMMAND_SIZE + WORDS[i].argument_size) return true;
        connection->received++;
        connection->server->received++;
        answer(connection, &WORDS[i], bytes + COMMAND_SIZE);
        return true;
    }
    return false;
}

/* Four-letter words: what an administrator asks with `echo mntr | nc`. The text is Apache's, as
 * far as a server without I/O can know it; what it says about directories comes from the
 * options' config_text. The answer is bounded, and the connection ends behind it. */
#include <string.h>

#include "server/internal.h"

enum { OUTPUT_MAX = ZKL_OUTPUT_STOP, COMMAND_SIZE = 4 };

/* --- text -------------------------------------------------------------------------------- */

struct text {
    struct zkl_server *server;
    struct zkl_connection *connection;
    size_t size;
    bool full;
};

static void put_bytes(struct text *text, const void *bytes, size_t size)
{
    if (text->full || size == 0) return;
    uint8_t *room = size <= OUTPUT_MAX - text->size
                        ? zkl_connection_room(text->connection, size)
                        : NULL;
    if (room == NULL) {
        text->full = true;
        return;
    }
    memcpy(room, bytes, size);
    zkl_buffer_commit(&text->connection->output, size);
    text->size += size;
}

static void put(struct text *text, const char *string)
{
    put_bytes(text, string, strlen(string));
}

static void put_slice(struct text *text, struct zkl_slice slice)
{
    put_bytes(text, slice.base, slice.size);
}

static void put_padded(struct text *text, uint64_t number, size_t digits_min)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 || sizeof digits - at < digits_min);
    put_bytes(text, digits + at, sizeof digits - at);
}

static void put_u64(struct text *text, uint64_t number)
{
    put_padded(text, number, 1);
}

static void put_i64(struct text *text, int64_t number)
{
    if (number < 0) put(text, "-");
    put_u64(text, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

static void put_hex(struct text *text, int64_t number)
{
    char hex[ZKL_HEX_SIZE_MAX];
    put_bytes(text, hex, zkl_format_hex(hex, (uint64_t)number));
}

/* As Java prints a double that was rounded to four places: "0.0", "1.25". */
static void put_average(struct text *text, const struct zkl_latency *latency)
{
    uint64_t count = latency->count > 0 ? latency->count : 1;
    uint64_t scaled = ((uint64_t)latency->sum_ms * 10000 + count / 2) / count;
    uint64_t fraction = scaled % 10000;
    size_t digits = 4;
    while (digits > 1 && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    put_u64(text, scaled / 10000);
    put(text, ".");
    put_padded(text, fraction, digits);
}

/* "Sun Nov 22 01:31:27 UTC 2026" */
static void put_date(struct text *text, int64_t wall_ms)
{
    static const char DAYS[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */
    static const char MONTHS[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
    uint64_t seconds = wall_ms > 0 ? (uint64_t)wall_ms / 1000 : 0;
    uint64_t days = seconds / 86400;
    /* Years begin in March here, so that the day of leap years is the last one. */
    uint64_t since = days + 719468, era = since / 146097, of_era = since % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153;
    put_bytes(text, DAYS + 3 * (days % 7), 3);
    put(text, " ");
    put_bytes(text, MONTHS + 3 * month, 3);
    put(text, " ");
    put_padded(text, of_year - (153 * month + 2) / 5 + 1, 2);
    put(text, " ");
    put_padded(text, seconds % 86400 / 3600, 2);
    put(text, ":");
    put_padded(text, seconds % 3600 / 60, 2);
    put(text, ":");
    put_padded(text, seconds % 60, 2);
    put(text, " UTC ");
    put_u64(text, era * 400 + year + (month >= 10 ? 1 : 0));
}

/* A session's or a bucket's time on the monotonic clock, as a date. */
static void put_due(struct text *text, int64_t at_ms)
{
    put_date(text, text->server->clock.wall_ms + (at_ms - text->server->clock.now_ms));
}

/* --- who is there --------------------------------------------------------------------------- */

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

static void put_address(struct text *text, const struct zkl_connection *connection)
{
    const struct zkl_identity *ip = ZKL_LIST_ELEMENT(connection->identities.list.next,
                                                     struct zkl_identity, link);
    put(text, "/");
    put_bytes(text, ip->text + ip->scheme_size, ip->id_size);
    put(text, ":");
    put_u64(text, connection->peer.port);
}

static void put_named(struct text *text, const char *name, int64_t number)
{
    put(text, name);
    put_i64(text, number);
}

static void put_session_part(struct text *text, const struct zkl_connection *connection)
{
    const struct zkl_latency *latency = &connection->latency;
    put(text, ",sid=");
    put_hex(text, connection->session_id);
    put(text, ",lop=");
    put(text, op_name(connection->last_op));
    put_named(text, ",est=", connection->established_wall_ms);
    put_named(text, ",to=", connection->session->timeout_ms);
    if (connection->last_cxid != 0) {
        put(text, ",lcxid=");
        put_hex(text, connection->last_cxid);
    }
    put(text, ",lzxid=");
    put_hex(text, connection->last_zxid);
    put_named(text, ",lresp=", connection->last_response_ms);
    put_named(text, ",llat=", latency->last_ms);
    put_named(text, ",minlat=", latency->min_ms);
    put_named(text, ",avglat=",
              latency->count > 0 ? latency->sum_ms / (int64_t)latency->count : 0);
    put_named(text, ",maxlat=", latency->max_ms);
}

static void put_connection(struct text *text, const struct zkl_connection *connection, bool brief)
{
    bool writes = zkl_buffer_size(&connection->shown) > 0;
    int64_t interest = (connection->reads ? 1 : 0) + (writes ? 4 : 0);
    put(text, " ");
    put_address(text, connection);
    put_named(text, "[", interest);
    put_named(text, "](queued=", (int64_t)connection->outstanding);
    put_named(text, ",recved=", (int64_t)connection->received);
    put_named(text, ",sent=", (int64_t)connection->sent);
    if (!brief && connection->session != NULL) put_session_part(text, connection);
    put(text, ")\n");
}

static void put_connections(struct text *text, bool brief)
{
    const struct zkl_list *list = &text->server->connections, *link;
    for (link = list->next; link != list && !text->full; link = link->next) {
        put_connection(text, ZKL_LIST_ELEMENT(link, struct zkl_connection, link), brief);
    }
    put(text, "\n");
}

/* --- the words: the server ------------------------------------------------------------------ */

static void say_ruok(struct text *text)
{
    put(text, "imok");
}

static void say_isro(struct text *text)
{
    put(text, "rw");
}

static void say_trace_mask(struct text *text)
{
    put(text, "306");
}

static void put_version(struct text *text)
{
    put(text, "Zookeeper version: ");
    put_slice(text, text->server->options.version);
    put(text, "\n");
}

/* The root has two names in Apache, and counts twice. */
static int64_t node_count(const struct zkl_server *server)
{
    return (int64_t)server->tree.nodes.count + 1;
}

static void put_statistics(struct text *text)
{
    const struct zkl_server *server = text->server;
    put_named(text, "Latency min/avg/max: ", server->latency.min_ms);
    put(text, "/");
    put_average(text, &server->latency);
    put_named(text, "/", server->latency.max_ms);
    put_named(text, "\nReceived: ", (int64_t)(server->received - server->received_before));
    put_named(text, "\nSent: ", (int64_t)(server->sent - server->sent_before));
    put_named(text, "\nConnections: ", (int64_t)server->connection_count);
    put_named(text, "\nOutstanding: ", (int64_t)server->outstanding);
    put(text, "\nZxid: ");
    put_hex(text, server->zxid);
    put_named(text, "\nMode: standalone\nNode count: ", node_count(server));
    put(text, "\n");
}

static void say_srvr(struct text *text)
{
    put_version(text);
    put_statistics(text);
}

static void say_stat(struct text *text)
{
    put_version(text);
    put(text, "Clients:\n");
    put_connections(text, true);
    put_statistics(text);
}

static void say_cons(struct text *text)
{
    put_connections(text, false);
}

static void say_crst(struct text *text)
{
    struct zkl_list *list = &text->server->connections, *link;
    for (link = list->next; link != list; link = link->next) {
        struct zkl_connection *connection = ZKL_LIST_ELEMENT(link, struct zkl_connection, link);
        connection->received = connection->sent = 0;
        connection->latency = (struct zkl_latency) { 0 };
    }
    put(text, "Connection stats reset.\n");
}

static void say_srst(struct text *text)
{
    struct zkl_server *server = text->server;
    server->received_before = server->received;
    server->sent_before = server->sent;
    server->latency = (struct zkl_latency) { 0 };
    put(text, "Server stats reset.\n");
}

static void say_conf(struct text *text)
{
    struct zkl_slice config = text->server->options.config_text;
    put_slice(text, config);
    if (config.size > 0 && config.base[config.size - 1] != '\n') put(text, "\n");
}

static void say_envi(struct text *text)
{
    put(text, "Environment:\nzookeeper.version=");
    put_slice(text, text->server->options.version);
    put(text, "\n");
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

static void say_dirs(struct text *text)
{
    put(text, "datadir_size: ");
    put_slice(text, config_value(text->server, "dataDirSize"));
    put(text, "\nlogdir_size: ");
    put_slice(text, config_value(text->server, "dataLogSize"));
    put(text, "\n");
}

static void say_hash(struct text *text)
{
    const struct zkl_server *server = text->server;
    size_t kept = server->digest_count < ZKL_DIGESTS_KEPT ? server->digest_count
                                                          : ZKL_DIGESTS_KEPT;
    for (size_t i = server->digest_count - kept; i < server->digest_count; i++) {
        const struct zkl_digest_point *point = &server->digests[i % ZKL_DIGESTS_KEPT];
        char hex[ZKL_HEX_SIZE_MAX];
        size_t size = zkl_format_hex(hex, (uint64_t)point->zxid);
        put_bytes(text, hex + 2, size - 2); /* without "0x" */
        put_named(text, ": ", (int64_t)point->digest);
        put(text, "\n");
    }
}

static void put_key(struct text *text, const char *key)
{
    put(text, "zk_");
    put(text, key);
    put(text, "\t");
}

static void say_mntr(struct text *text)
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
        { "watch_count", (int64_t)server->watches.entries.count },
        { "ephemerals_count", (int64_t)server->tree.ephemeral_count },
        { "approximate_data_size", (int64_t)server->tree.data_bytes },
        { "global_sessions", (int64_t)server->sessions.map.count },
        { "local_sessions", 0 },
        { "outstanding_changes_queued", (int64_t)server->prep.count },
        { "memory_bytes", (int64_t)server->memory_bytes },
    };
    put_key(text, "version");
    put_slice(text, server->options.version);
    put(text, "\n");
    put_key(text, "server_state");
    put(text, "standalone\n");
    put_key(text, "avg_latency");
    put_average(text, &server->latency);
    put(text, "\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_key(text, rows[i].key);
        put_i64(text, rows[i].value);
        put(text, "\n");
    }
}

/* --- the words: sessions and watches ------------------------------------------------------------ */

static void put_session_line(struct text *text, int64_t id, const char *end)
{
    put(text, "\t");
    put_hex(text, id);
    put(text, end);
}

static size_t list_count(const struct zkl_list *list)
{
    size_t count = 0;
    for (const struct zkl_list *link = list->next; link != list; link = link->next) count++;
    return count;
}

static void dump_sessions(struct text *text)
{
    const struct zkl_sessions *sessions = &text->server->sessions;
    size_t sets = 0;
    for (size_t i = 0; i < sessions->bucket_count; i++) {
        if (!zkl_list_empty(&sessions->buckets[i])) sets++;
    }
    put_named(text, "SessionTracker dump:\nSession Sets (", (int64_t)sets);
    put_named(text, ")/(", (int64_t)sessions->map.count);
    put(text, "):\n");
    for (size_t i = 0; i < sessions->bucket_count && !text->full; i++) {
        const struct zkl_list *bucket = &sessions->buckets[i], *link;
        if (zkl_list_empty(bucket)) continue;
        const struct zkl_session *session =
            ZKL_LIST_ELEMENT(bucket->next, struct zkl_session, in_bucket);
        put_u64(text, list_count(bucket));
        put(text, " expire at ");
        put_due(text, zkl_session_expires_ms(sessions, session));
        put(text, ":\n");
        for (link = bucket->next; link != bucket && !text->full; link = link->next) {
            session = ZKL_LIST_ELEMENT(link, struct zkl_session, in_bucket);
            put_session_line(text, session->id, "\n");
        }
    }
}

static void put_path_line(struct text *text, const struct zkl_node *node)
{
    size_t size = zkl_node_path(node, NULL, 0);
    put(text, "\t");
    uint8_t *room = text->full || size > OUTPUT_MAX - text->size
                        ? NULL
                        : zkl_connection_room(text->connection, size);
    if (room == NULL) {
        text->full = true;
        return;
    }
    zkl_node_path(node, (char *)room, size);
    zkl_buffer_commit(&text->connection->output, size);
    text->size += size;
    put(text, "\n");
}

static void dump_ephemerals(struct text *text)
{
    const struct zkl_map *owners = &text->server->tree.owners;
    put_named(text, "ephemeral nodes dump:\nSessions with Ephemerals (", (int64_t)owners->count);
    put(text, "):\n");
    const struct zkl_map_node *entry = zkl_map_each(owners, NULL);
    for (; entry != NULL && !text->full; entry = zkl_map_each(owners, entry)) {
        struct zkl_owner *owner = ZKL_LIST_ELEMENT(entry, struct zkl_owner, entry);
        put_hex(text, owner->session_id);
        put(text, ":\n");
        struct zkl_list *link = owner->nodes.next;
        for (; link != &owner->nodes && !text->full; link = link->next) {
            put_path_line(text, zkl_owned_node(link));
        }
    }
}

/* Connections have no buckets of their own here: they are one set. */
static void dump_connections(struct text *text)
{
    const struct zkl_server *server = text->server;
    const struct zkl_list *list = &server->connections, *link;
    int64_t count = (int64_t)server->connection_count;
    put_named(text, "Connections dump:\nConnections Sets (1)/(", count);
    put_named(text, "):\n", count);
    put(text, " expire at ");
    put_due(text, server->clock.now_ms + server->options.session_timeout_max_ms);
    put(text, ":\n");
    for (link = list->next; link != list && !text->full; link = link->next) {
        const struct zkl_connection *connection =
            ZKL_LIST_ELEMENT(link, struct zkl_connection, link);
        put(text, "\tip: ");
        put_address(text, connection);
        put(text, " sessionId: ");
        put_hex(text, connection->session_id);
        put(text, "\n");
    }
}

static void say_dump(struct text *text)
{
    dump_sessions(text);
    dump_ephemerals(text);
    dump_connections(text);
}

/* Apache counts watches for data only here; counting them apart would cost a walk over all. */
static void say_wchs(struct text *text)
{
    const struct zkl_server *server = text->server;
    const struct zkl_list *list = &server->connections, *link;
    int64_t watching = 0;
    for (link = list->next; link != list; link = link->next) {
        if (ZKL_LIST_ELEMENT(link, struct zkl_connection, link)->watches.count > 0) watching++;
    }
    put_i64(text, watching);
    put_named(text, " connections watching ", (int64_t)server->watches.paths.count);
    put_named(text, " paths\nTotal watches:", (int64_t)server->watches.entries.count);
    put(text, "\n");
}

/* Of the entries of one connection and path, the one that stands for them; none for one that
 * watches children only. */
static bool stands_for_path(const struct text *text, const struct zkl_server_watch_entry *entry)
{
    struct zkl_slice path = { entry->path->path, entry->path->path_size };
    uint32_t kinds = zkl_watches_kinds(&text->server->watches, entry->list, path);
    kinds &= ~(uint32_t)ZKL_WATCHES_CHILD;
    return (kinds & (0 - kinds)) == entry->kind;
}

static void put_watched_paths(struct text *text, const struct zkl_connection *connection)
{
    const struct zkl_list *list = &connection->watches.entries, *link;
    bool begun = false;
    for (link = list->next; link != list && !text->full; link = link->next) {
        const struct zkl_server_watch_entry *entry =
            ZKL_LIST_ELEMENT(link, struct zkl_server_watch_entry, on_connection);
        if (!stands_for_path(text, entry)) continue;
        if (!begun) {
            put_hex(text, connection->session_id);
            put(text, "\n");
            begun = true;
        }
        put(text, "\t");
        put_bytes(text, entry->path->path, entry->path->path_size);
        put(text, "\n");
    }
}

static void say_wchc(struct text *text)
{
    const struct zkl_list *list = &text->server->connections, *link;
    for (link = list->next; link != list && !text->full; link = link->next) {
        put_watched_paths(text, ZKL_LIST_ELEMENT(link, struct zkl_connection, link));
    }
    put(text, "\n");
}

static void put_watchers(struct text *text, const struct zkl_watched_path *watched)
{
    bool begun = false;
    for (size_t kind = 0; kind < ZKL_WATCHES_KIND_COUNT; kind++) {
        const struct zkl_list *list = &watched->watches[kind], *link;
        for (link = list->next; link != list && !text->full; link = link->next) {
            const struct zkl_server_watch_entry *entry =
                ZKL_LIST_ELEMENT(link, struct zkl_server_watch_entry, on_path);
            if (!stands_for_path(text, entry)) continue;
            if (!begun) {
                put_bytes(text, watched->path, watched->path_size);
                put(text, "\n");
                begun = true;
            }
            put_session_line(text, entry->list->connection->session_id, "\n");
        }
    }
}

static void say_wchp(struct text *text)
{
    const struct zkl_map *paths = &text->server->watches.paths;
    const struct zkl_map_node *node = zkl_map_each(paths, NULL);
    for (; node != NULL && !text->full; node = zkl_map_each(paths, node)) {
        put_watchers(text, ZKL_LIST_ELEMENT(node, struct zkl_watched_path, entry));
    }
    put(text, "\n");
}

/* --- which is which ------------------------------------------------------------------------------ */

static const struct word {
    char name[COMMAND_SIZE + 1];
    void (*say)(struct text *text);
} WORDS[] = {
    { "conf", say_conf }, { "cons", say_cons },       { "crst", say_crst },
    { "dirs", say_dirs }, { "dump", say_dump },       { "envi", say_envi },
    { "gtmk", say_trace_mask }, { "hash", say_hash }, { "isro", say_isro },
    { "mntr", say_mntr }, { "ruok", say_ruok },       { "srst", say_srst },
    { "srvr", say_srvr }, { "stat", say_stat },       { "wchc", say_wchc },
    { "wchp", say_wchp }, { "wchs", say_wchs },
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
    struct text text = { connection->server, connection, 0, false };
    if (word->say == say_srvr || in_whitelist(text.server->options.commands, word->name)) {
        word->say(&text);
    } else {
        put(&text, word->name);
        put(&text, " is not executed because it is not in the whitelist.\n");
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

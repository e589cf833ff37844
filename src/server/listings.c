/* Four-letter words that list: dump, wchs, wchc, wchp. A walk ends where its text is full. */
#include "server/text.h"

/* A session's or a bucket's time on the monotonic clock, as a date. */
static void put_due(struct zkl_text *text, int64_t at_ms)
{
    zkl_text_date(text, text->server->clock.wall_ms + (at_ms - text->server->clock.now_ms));
}

static void put_session_line(struct zkl_text *text, int64_t id, const char *end)
{
    zkl_text_put(text, "\t");
    zkl_text_hex(text, id);
    zkl_text_put(text, end);
}

static size_t list_count(const struct zkl_list *list)
{
    size_t count = 0;
    for (const struct zkl_list *link = list->next; link != list; link = link->next) count++;
    return count;
}

static void dump_sessions(struct zkl_text *text)
{
    const struct zkl_sessions *sessions = &text->server->sessions;
    size_t sets = 0;
    for (size_t i = 0; i < sessions->bucket_count; i++) {
        if (!zkl_list_empty(&sessions->buckets[i])) sets++;
    }
    zkl_text_named(text, "SessionTracker dump:\nSession Sets (", (int64_t)sets);
    zkl_text_named(text, ")/(", (int64_t)sessions->map.count);
    zkl_text_put(text, "):\n");
    for (size_t i = 0; i < sessions->bucket_count && !text->full; i++) {
        const struct zkl_list *bucket = &sessions->buckets[i], *link;
        if (zkl_list_empty(bucket)) continue;
        const struct zkl_session *session =
            ZKL_LIST_ELEMENT(bucket->next, struct zkl_session, in_bucket);
        zkl_text_u64(text, list_count(bucket));
        zkl_text_put(text, " expire at ");
        put_due(text, zkl_session_expires_ms(sessions, session));
        zkl_text_put(text, ":\n");
        for (link = bucket->next; link != bucket && !text->full; link = link->next) {
            session = ZKL_LIST_ELEMENT(link, struct zkl_session, in_bucket);
            put_session_line(text, session->id, "\n");
        }
    }
}

static void put_path_line(struct zkl_text *text, const struct zkl_node *node)
{
    zkl_text_put(text, "\t");
    uint8_t *room = zkl_text_room(text, zkl_node_path(node, NULL, 0));
    if (room != NULL) zkl_node_path(node, (char *)room, zkl_node_path(node, NULL, 0));
    zkl_text_put(text, "\n");
}

static void dump_ephemerals(struct zkl_text *text)
{
    const struct zkl_map *owners = &text->server->tree.owners;
    zkl_text_put(text, "ephemeral nodes dump:\nSessions with Ephemerals (");
    zkl_text_u64(text, owners->count);
    zkl_text_put(text, "):\n");
    const struct zkl_map_node *entry = zkl_map_each(owners, NULL);
    for (; entry != NULL && !text->full; entry = zkl_map_each(owners, entry)) {
        struct zkl_owner *owner = ZKL_LIST_ELEMENT(entry, struct zkl_owner, entry);
        zkl_text_hex(text, owner->session_id);
        zkl_text_put(text, ":\n");
        struct zkl_list *link = owner->nodes.next;
        for (; link != &owner->nodes && !text->full; link = link->next) {
            put_path_line(text, zkl_owned_node(link));
        }
    }
}

/* Connections have no buckets of their own here: they are one set. */
static void dump_connections(struct zkl_text *text)
{
    const struct zkl_server *server = text->server;
    const struct zkl_list *list = &server->connections, *link;
    int64_t count = (int64_t)server->connection_count;
    zkl_text_named(text, "Connections dump:\nConnections Sets (1)/(", count);
    zkl_text_named(text, "):\n", count);
    zkl_text_put(text, " expire at ");
    put_due(text, server->clock.now_ms + server->options.session_timeout_max_ms);
    zkl_text_put(text, ":\n");
    for (link = list->next; link != list && !text->full; link = link->next) {
        const struct zkl_connection *connection =
            ZKL_LIST_ELEMENT(link, struct zkl_connection, link);
        zkl_text_put(text, "\tip: ");
        zkl_text_address(text, connection);
        zkl_text_put(text, " sessionId: ");
        zkl_text_hex(text, connection->session_id);
        zkl_text_put(text, "\n");
    }
}

void zkl_say_dump(struct zkl_text *text)
{
    dump_sessions(text);
    dump_ephemerals(text);
    dump_connections(text);
}

/* Of the data table alone, as the two below. */
void zkl_say_wchs(struct zkl_text *text)
{
    const struct zkl_watches_table *watches = &text->server->watches;
    zkl_text_u64(text, watches->data_connections);
    zkl_text_named(text, " connections watching ", (int64_t)watches->data_paths);
    zkl_text_named(text, " paths\nTotal watches:", (int64_t)watches->data_pairs);
    zkl_text_put(text, "\n");
}

/* Of the entries of one connection and path, the one that stands for them; none for one that
 * watches children only. */
static bool stands_for_path(const struct zkl_text *text, const struct zkl_server_watch_entry *entry)
{
    struct zkl_slice path = { entry->path->path, entry->path->path_size };
    uint32_t kinds = zkl_watches_kinds(&text->server->watches, entry->list, path);
    kinds &= ~(uint32_t)ZKL_WATCHES_CHILD;
    return (kinds & (0 - kinds)) == entry->kind;
}

static void put_watched_paths(struct zkl_text *text, const struct zkl_connection *connection)
{
    const struct zkl_list *list = &connection->watches.entries, *link;
    bool begun = false;
    for (link = list->next; link != list && !text->full; link = link->next) {
        const struct zkl_server_watch_entry *entry =
            ZKL_LIST_ELEMENT(link, struct zkl_server_watch_entry, on_connection);
        if (!stands_for_path(text, entry)) continue;
        if (!begun) {
            zkl_text_hex(text, connection->session_id);
            zkl_text_put(text, "\n");
            begun = true;
        }
        zkl_text_put(text, "\t");
        zkl_text_bytes(text, entry->path->path, entry->path->path_size);
        zkl_text_put(text, "\n");
    }
}

void zkl_say_wchc(struct zkl_text *text)
{
    const struct zkl_list *list = &text->server->connections, *link;
    for (link = list->next; link != list && !text->full; link = link->next) {
        put_watched_paths(text, ZKL_LIST_ELEMENT(link, struct zkl_connection, link));
    }
    zkl_text_put(text, "\n");
}

static void put_watchers(struct zkl_text *text, const struct zkl_watched_path *watched)
{
    bool begun = false;
    for (size_t kind = 0; kind < ZKL_WATCHES_KIND_COUNT; kind++) {
        const struct zkl_list *list = &watched->watches[kind], *link;
        for (link = list->next; link != list && !text->full; link = link->next) {
            const struct zkl_server_watch_entry *entry =
                ZKL_LIST_ELEMENT(link, struct zkl_server_watch_entry, on_path);
            if (!stands_for_path(text, entry)) continue;
            if (!begun) {
                zkl_text_bytes(text, watched->path, watched->path_size);
                zkl_text_put(text, "\n");
                begun = true;
            }
            put_session_line(text, entry->list->connection->session_id, "\n");
        }
    }
}

void zkl_say_wchp(struct zkl_text *text)
{
    const struct zkl_map *paths = &text->server->watches.paths;
    const struct zkl_map_node *node = zkl_map_each(paths, NULL);
    for (; node != NULL && !text->full; node = zkl_map_each(paths, node)) {
        put_watchers(text, ZKL_LIST_ELEMENT(node, struct zkl_watched_path, entry));
    }
    zkl_text_put(text, "\n");
}

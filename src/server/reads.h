/* One request that is being served, for reads.c and own.c. */
#ifndef ZKLUA_SERVER_READS_H
#define ZKLUA_SERVER_READS_H

#include "server/internal.h"

struct zkl_read {
    struct zkl_server *server;
    struct zkl_connection *connection;
    int32_t xid;
    const struct zkl_request *request;
};

static inline void zkl_read_code(const struct zkl_read *read, int32_t code)
{
    zkl_reply_header(read->connection, read->xid, code);
}

static inline struct zkl_reply_header zkl_read_header(const struct zkl_read *read)
{
    struct zkl_reply_header header = { read->xid, read->server->zxid, ZKL_CODE_OK };
    read->connection->last_zxid = header.zxid;
    return header;
}

/* own.c */
/* false: the request is answered with why not, or the connection is ending. */
bool zkl_read_watch(const struct zkl_read *read, struct zkl_slice path, uint32_t kind);
void zkl_read_add_watch(const struct zkl_read *read);
void zkl_read_check_or_remove(const struct zkl_read *read);
void zkl_read_set_watches(const struct zkl_read *read);
void zkl_read_ephemerals(const struct zkl_read *read);
void zkl_read_who_am_i(const struct zkl_read *read);

#endif

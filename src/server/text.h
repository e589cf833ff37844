/* Text into a connection's output, piece by piece, at most ZKL_OUTPUT_STOP bytes: what is longer
 * is cut. For four-letter words. */
#ifndef ZKLUA_SERVER_TEXT_H
#define ZKLUA_SERVER_TEXT_H

#include "server/internal.h"

struct zkl_text {
    struct zkl_server *server;
    struct zkl_connection *connection;
    const uint8_t *argument; /* what follows the word */
    size_t size;
    bool full; /* nothing more is taken */
};

/* Where `size` bytes are to be written that count already; NULL: they do not fit. */
uint8_t *zkl_text_room(struct zkl_text *text, size_t size);
void zkl_text_bytes(struct zkl_text *text, const void *bytes, size_t size);
void zkl_text_put(struct zkl_text *text, const char *string);
void zkl_text_slice(struct zkl_text *text, struct zkl_slice slice);
void zkl_text_padded(struct zkl_text *text, uint64_t number, size_t digits_min); /* zeros */
void zkl_text_u64(struct zkl_text *text, uint64_t number);
void zkl_text_i64(struct zkl_text *text, int64_t number);
void zkl_text_hex(struct zkl_text *text, int64_t number); /* 0x1f */
void zkl_text_named(struct zkl_text *text, const char *name, int64_t number);
/* As Java prints a double that was rounded to four places: "0.0", "1.25". */
void zkl_text_average(struct zkl_text *text, const struct zkl_latency *latency);
/* "Sun Nov 22 01:31:27 UTC 2026" */
void zkl_text_date(struct zkl_text *text, int64_t wall_ms);
/* "/10.0.0.1:2181" */
void zkl_text_address(struct zkl_text *text, const struct zkl_connection *connection);

/* monitor.c */
void zkl_say_mntr(struct zkl_text *text);
/* The root has two names in Apache, and counts twice. */
static inline int64_t zkl_text_node_count(const struct zkl_text *text)
{
    return (int64_t)text->server->tree.nodes.count + 1;
}

/* listings.c: the words whose answers grow with what there is. */
void zkl_say_dump(struct zkl_text *text);
void zkl_say_wchs(struct zkl_text *text);
void zkl_say_wchc(struct zkl_text *text);
void zkl_say_wchp(struct zkl_text *text);

#endif

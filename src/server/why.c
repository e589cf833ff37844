/* What zkl_server_why says: one sentence, put together from pieces and cut where it is full. */
#include <string.h>

#include "server/internal.h"

int zkl_why_text(struct zkl_server *server, const char *text)
{
    size_t used = strlen(server->why);
    size_t size = strlen(text);
    size_t room = sizeof server->why - 1 - used;
    if (size > room) size = room;
    memcpy(server->why + used, text, size);
    server->why[used + size] = '\0';
    return ZKL_E_CORRUPT;
}

int zkl_why_start(struct zkl_server *server, const char *text)
{
    server->why[0] = '\0';
    return zkl_why_text(server, text);
}

/* Names come from a file that may hold anything; the sentence goes to a terminal. */
int zkl_why_slice(struct zkl_server *server, struct zkl_slice name)
{
    char text[sizeof server->why];
    size_t size = name.size < sizeof text - 1 ? name.size : sizeof text - 1;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = name.base[i];
        text[i] = byte >= 0x20 && byte != 0x7f ? (char)byte : '?';
    }
    text[size] = '\0';
    zkl_why_text(server, "'");
    zkl_why_text(server, text);
    return zkl_why_text(server, "'");
}

int zkl_why_hex(struct zkl_server *server, uint64_t number)
{
    char text[ZKL_HEX_SIZE_MAX + 1];
    text[zkl_format_hex(text, number)] = '\0';
    return zkl_why_text(server, text);
}

const char *zkl_server_why(const struct zkl_server *server)
{
    return server->why;
}

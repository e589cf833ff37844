/* canned: a ZooKeeper peer that knows its answers beforehand.
 *
 * Prints its port, then serves one connection after the other, answering each request with the
 * right xid and made-up content as fast as it can. It shows what a client can do when the
 * server costs nothing; it keeps no tree. Ends with its parent. */
#define _GNU_SOURCE
#include "jute.h"
#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_MAX (1024 * 1024)
#define REPLY_MAX 1024 /* bytes; the longest echoes a path */

struct connection {
    int socket;
    bool attached; /* the first frame has been answered */
    bool closing;
    uint8_t input[BUFFER_MAX];
    size_t input_size;
    uint8_t output[BUFFER_MAX];
    size_t output_size;
};

static struct connection connection;
static int64_t zxid = 0x100000001;

static uint8_t *put_stat(uint8_t *at)
{
    static const uint8_t data_length_at = 52;
    memset(at, 0, STAT_SIZE);
    put64(at, 0x100000001);     /* czxid */
    put64(at + 8, 0x100000001); /* mzxid */
    put32(at + data_length_at, DATA_SIZE);
    return at + STAT_SIZE;
}

static uint8_t *put_handshake(uint8_t *at)
{
    at = put32(at, 0);
    at = put32(at, 30000);
    at = put64(at, 0x100000000000001);
    at = put_bytes(at, (const uint8_t[16]){ 1 }, 16);
    *at++ = 0;
    return at;
}

static uint8_t *put_reply(uint8_t *at, const uint8_t *frame, size_t size)
{
    static const uint8_t data[DATA_SIZE];
    int32_t xid = get32(frame);
    int32_t operation = get32(frame + 4);
    const uint8_t *path = frame + 8; /* where the request has one */
    size_t path_size = size >= 12 ? (size_t)get32(path) : 0;
    if (path_size > size - 8 || path_size > REPLY_MAX / 2) path_size = 0;
    at = put32(at, xid);
    at = put64(at, operation == OP_GET || operation == OP_EXISTS ? zxid : ++zxid);
    at = put32(at, 0);
    switch (operation) {
    case OP_GET:
        at = put_bytes(at, data, DATA_SIZE);
        return put_stat(at);
    case OP_SET:
    case OP_EXISTS:
        return put_stat(at);
    case OP_CREATE:
    case OP_SYNC:
        return put_bytes(at, path + 4, path_size);
    case OP_CREATE2:
        at = put_bytes(at, path + 4, path_size);
        return put_stat(at);
    case OP_CHILDREN2:
        at = put32(at, 0);
        return put_stat(at);
    default: /* delete, ping, close and all that end with the header */
        return at;
    }
}

/* Answers the frame at the start of `input`; gives its size, or 0 while it is incomplete. */
static size_t answer_one(struct connection *c, const uint8_t *input, size_t input_size)
{
    if (input_size < 4) return 0;
    size_t size = (size_t)get32(input);
    if (size < 8 || size > BUFFER_MAX - 4) measure_fail("frame of %zu bytes", size);
    if (input_size < 4 + size) return 0;
    uint8_t *frame = c->output + c->output_size;
    uint8_t *end = c->attached ? put_reply(frame + 4, input + 4, size) : put_handshake(frame + 4);
    if (c->attached && get32(input + 8) == OP_CLOSE) c->closing = true;
    c->attached = true;
    put32(frame, (int32_t)(end - frame) - 4);
    c->output_size += (size_t)(end - frame);
    return 4 + size;
}

static void answer_all(struct connection *c)
{
    size_t offset = 0;
    while (BUFFER_MAX - c->output_size >= REPLY_MAX) {
        size_t taken = answer_one(c, c->input + offset, c->input_size - offset);
        if (taken == 0) break;
        offset += taken;
    }
    memmove(c->input, c->input + offset, c->input_size - offset);
    c->input_size -= offset;
}

static bool send_some(struct connection *c)
{
    ssize_t count = send(c->socket, c->output, c->output_size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN;
    memmove(c->output, c->output + count, c->output_size - (size_t)count);
    c->output_size -= (size_t)count;
    return true;
}

/* One read, all its answers, one write. */
static bool turn(struct connection *c)
{
    struct pollfd entry = { .fd = c->socket, .events = POLLIN };
    if (c->output_size > 0) {
        entry.events = POLLIN | POLLOUT;
        poll(&entry, 1, -1);
    }
    int flags = c->output_size > 0 ? MSG_DONTWAIT : 0;
    if (c->input_size < BUFFER_MAX) {
        ssize_t count = recv(c->socket, c->input + c->input_size, BUFFER_MAX - c->input_size, flags);
        if (count == 0 || (count < 0 && errno != EAGAIN)) return false;
        if (count > 0) c->input_size += (size_t)count;
    }
    answer_all(c);
    if (c->output_size > 0 && !send_some(c)) return false;
    return !(c->closing && c->output_size == 0);
}

int main(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };
    socklen_t length = sizeof address;
    int on = 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        measure_fail("cannot listen");
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct connection *c = &connection;
        c->socket = accept(listener, NULL, NULL);
        if (c->socket < 0) continue;
        setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->attached = c->closing = false;
        c->input_size = c->output_size = 0;
        while (turn(c)) continue;
        close(c->socket);
    }
}

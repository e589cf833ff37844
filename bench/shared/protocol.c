#define _DEFAULT_SOURCE
#include "protocol.h"

#include "jute.h"
#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint8_t data[DATA_SIZE];

/* --- ZooKeeper ------------------------------------------------------------------- */

static size_t zookeeper_greeting(uint8_t frame[REQUEST_MAX])
{
    uint8_t *at = put32(frame, CONNECT_SIZE);
    at = put32(at, 0);
    at = put64(at, 0);
    at = put32(at, SESSION_TIMEOUT_MS);
    at = put64(at, 0);
    at = put_bytes(at, data, 16);
    *at++ = 0;
    return (size_t)(at - frame);
}

static size_t take_frame(const uint8_t *input, size_t size)
{
    if (size < 4) return 0;
    size_t frame_size = (size_t)get32(input) + 4;
    return size < frame_size ? 0 : frame_size;
}

static size_t zookeeper_take_greeting(const uint8_t *input, size_t size)
{
    size_t taken = take_frame(input, size);
    if (taken == 0) return 0;
    if (taken < 40 || taken > 41) measure_fail("not a ZooKeeper server");
    if (get32(input + 8) <= 0) measure_fail("no session");
    return taken;
}

static void zookeeper_prepare(struct request *request, enum operation operation, const char *key,
                              size_t digits)
{
    static const int32_t codes[OPERATION_COUNT] = {
        [OPERATION_GET] = OP_GET,       [OPERATION_SET] = OP_SET,
        [OPERATION_CREATE] = OP_CREATE, [OPERATION_DELETE] = OP_DELETE,
        [OPERATION_WATCH] = OP_GET,     [OPERATION_TOUCH] = OP_SET,
    };
    char path[96];
    size_t path_size = strlen(key) + digits;
    snprintf(path, sizeof path, "%s%0*d", key, (int)digits, 0);
    memset(request, 0, sizeof *request);
    request->xid_at = 4;
    request->digits = digits;
    request->digits_at = 4 + 4 + 4 + 4 + strlen(key);
    uint8_t *at = put32(request->bytes + 8, codes[operation]);
    at = put_bytes(at, path, path_size);
    switch (codes[operation]) {
    case OP_GET:
        *at++ = operation == OPERATION_WATCH;
        break;
    case OP_SET:
        at = put_bytes(at, data, DATA_SIZE);
        at = put32(at, -1);
        break;
    case OP_DELETE:
        at = put32(at, -1);
        break;
    default: /* create: data, one ACL entry, persistent */
        at = put_bytes(at, data, DATA_SIZE);
        at = put32(at, 1);
        at = put32(at, 31);
        at = put_bytes(at, "world", 5);
        at = put_bytes(at, "anyone", 6);
        at = put32(at, 0);
    }
    request->size = (size_t)(at - request->bytes);
    put32(request->bytes, (int32_t)request->size - 4);
}

static size_t zookeeper_take_reply(const uint8_t *input, size_t size, int32_t xid)
{
    size_t taken = take_frame(input, size);
    if (taken == 0) return 0;
    if (get32(input + 4) != xid) measure_fail("reply to %d, not to %d", get32(input + 4), xid);
    if (get32(input + 16) != 0) measure_fail("error %d", get32(input + 16));
    return taken;
}

static size_t zookeeper_take_event(const uint8_t *input, size_t size)
{
    size_t taken = take_frame(input, size);
    if (taken != 0 && get32(input + 4) != -1) measure_fail("not an event");
    return taken;
}

/* --- Redis ------------------------------------------------------------------------- */

static size_t redis_greeting(uint8_t frame[REQUEST_MAX])
{
    memcpy(frame, "PING\r\n", 6);
    return 6;
}

/* A line without its end; 0: there is not all of it. */
static size_t line_size(const uint8_t *input, size_t size)
{
    const uint8_t *end = size > 1 ? memchr(input, '\r', size - 1) : NULL;
    return end == NULL ? 0 : (size_t)(end - input);
}

static size_t take_bulk(const uint8_t *input, size_t size, size_t line)
{
    size_t whole = line + 2 + (size_t)atoi((const char *)input + 1) + 2;
    return size < whole ? 0 : whole;
}

static size_t take_value(const uint8_t *input, size_t size)
{
    size_t line = line_size(input, size);
    if (line == 0) return 0;
    if (input[0] == '-') measure_fail("%.*s", (int)line, (const char *)input);
    if (input[0] != '$') return line + 2;
    if (input[1] == '-') measure_fail("the key is not there");
    return take_bulk(input, size, line);
}

static size_t redis_take_greeting(const uint8_t *input, size_t size)
{
    return take_value(input, size);
}

static size_t redis_take_reply(const uint8_t *input, size_t size, int32_t xid)
{
    (void)xid; /* replies have only their order */
    if (size > 0 && input[0] == '*') {
        /* To a subscription: three values. */
        size_t at = line_size(input, size) + 2;
        for (int i = 0; i < 3; i++) {
            size_t taken = at < size ? take_value(input + at, size - at) : 0;
            if (taken == 0) return 0;
            at += taken;
        }
        return at;
    }
    return take_value(input, size);
}

static size_t redis_take_event(const uint8_t *input, size_t size)
{
    return redis_take_reply(input, size, 0);
}

static uint8_t *put_argument(uint8_t *at, const void *bytes, size_t size)
{
    at += sprintf((char *)at, "$%zu\r\n", size);
    memcpy(at, bytes, size);
    memcpy(at + size, "\r\n", 2);
    return at + size + 2;
}

static void redis_prepare(struct request *request, enum operation operation, const char *key,
                          size_t digits)
{
    static const struct {
        const char *verb;
        int with_data;
    } commands[OPERATION_COUNT] = {
        [OPERATION_GET] = { "GET", 0 },         [OPERATION_SET] = { "SET", 1 },
        [OPERATION_CREATE] = { "SET", 1 },      [OPERATION_DELETE] = { "DEL", 0 },
        [OPERATION_WATCH] = { "SUBSCRIBE", 0 }, [OPERATION_TOUCH] = { "PUBLISH", 1 },
    };
    const char *verb = commands[operation].verb;
    char path[96];
    snprintf(path, sizeof path, "%s%0*d", key, (int)digits, 0);
    memset(request, 0, sizeof *request);
    uint8_t *at = request->bytes;
    at += sprintf((char *)at, "*%d\r\n", commands[operation].with_data ? 3 : 2);
    at = put_argument(at, verb, strlen(verb));
    at = put_argument(at, path, strlen(key) + digits);
    request->digits = digits;
    request->digits_at = (size_t)(at - request->bytes) - 2 - digits;
    if (commands[operation].with_data) at = put_argument(at, data, DATA_SIZE);
    request->size = (size_t)(at - request->bytes);
}

/* --- both ---------------------------------------------------------------------------- */

const struct protocol *protocol_by_name(const char *name)
{
    static const struct protocol zookeeper = {
        zookeeper_greeting, zookeeper_take_greeting, zookeeper_prepare, zookeeper_take_reply,
        zookeeper_take_event,
    };
    static const struct protocol redis = {
        redis_greeting, redis_take_greeting, redis_prepare, redis_take_reply, redis_take_event,
    };
    if (strcmp(name, "zookeeper") == 0) return &zookeeper;
    if (strcmp(name, "redis") == 0) return &redis;
    measure_fail("unknown protocol %s", name);
}

size_t request_write(const struct request *request, uint8_t *at, int32_t xid, size_t number)
{
    memcpy(at, request->bytes, request->size);
    if (request->xid_at != 0) put32(at + request->xid_at, xid);
    for (size_t i = request->digits; i > 0; i--) {
        at[request->digits_at + i - 1] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
    return request->size;
}

int connect_to(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1;
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connection < 0) measure_fail("no socket: %s", strerror(errno));
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0) {
        measure_fail("cannot connect to port %d: %s", port, strerror(errno));
    }
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return connection;
}

void send_all(int socket, const uint8_t *bytes, size_t size)
{
    if (send(socket, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) measure_fail("send failed");
}

void greet(const struct protocol *protocol, int socket)
{
    uint8_t frame[REQUEST_MAX];
    size_t size = 0;
    send_all(socket, frame, protocol->greeting(frame));
    do {
        ssize_t count = recv(socket, frame + size, sizeof frame - size, 0);
        if (count <= 0) measure_fail("the server closed the connection");
        size += (size_t)count;
    } while (protocol->take_greeting(frame, size) == 0);
}

void ask(const struct protocol *protocol, int socket, enum operation operation, const char *key,
         int32_t xid)
{
    struct request request;
    uint8_t frame[1024];
    size_t size = 0;
    protocol->prepare(&request, operation, key, 0);
    send_all(socket, frame, request_write(&request, frame, xid, 0));
    do {
        ssize_t count = recv(socket, frame + size, sizeof frame - size, 0);
        if (count <= 0) measure_fail("the server closed the connection");
        size += (size_t)count;
    } while (protocol->take_reply(frame, size, xid) == 0);
}

/* What the loader and the crowd need to know of a protocol: ZooKeeper's, and Redis's as the
 * yardstick. A request is prepared once and then copied, with its xid and the digits of its key
 * filled in: whoever measures a fast server must not spend the time on formatting. */
#ifndef BENCH_PROTOCOL_H
#define BENCH_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

enum operation {
    OPERATION_GET,
    OPERATION_SET,
    OPERATION_CREATE,
    OPERATION_DELETE,
    OPERATION_WATCH, /* get, and be told of the next set; Redis: subscribe */
    OPERATION_TOUCH, /* what those who watch are told of; Redis: publish */
    OPERATION_COUNT
};

enum {
    REQUEST_MAX = 256, /* bytes; the longest is a create: 24 + path + ACL + data */
    SESSION_TIMEOUT_MS = 600000
};

struct request {
    uint8_t bytes[REQUEST_MAX];
    size_t size;
    size_t xid_at;    /* where the xid stands; 0: the protocol has none */
    size_t digits_at; /* where the digits of the key stand */
    size_t digits;    /* how many; 0: the key is complete */
};

struct protocol {
    /* What has to be said before the first request, and its answer in whole. */
    size_t (*greeting)(uint8_t frame[REQUEST_MAX]);
    size_t (*take_greeting)(const uint8_t *input, size_t size);
    /* `key` is followed by so many digits. */
    void (*prepare)(struct request *request, enum operation operation, const char *key,
                    size_t digits);
    /* The size of the reply at the start of the input; 0: there is not all of it. A reply that is
     * an error, or not to `xid`, ends the program. */
    size_t (*take_reply)(const uint8_t *input, size_t size, int32_t xid);
    /* The same for what a watcher is told. */
    size_t (*take_event)(const uint8_t *input, size_t size);
};

const struct protocol *protocol_by_name(const char *name);

/* The request with its xid and the digits of `number` filled in; its size. */
size_t request_write(const struct request *request, uint8_t *at, int32_t xid, size_t number);

/* A blocking connection to loopback, without delay for small writes. */
int connect_to(int port);
void send_all(int socket, const uint8_t *bytes, size_t size);
/* Sends the greeting and waits for its answer. */
void greet(const struct protocol *protocol, int socket);
/* One request and its reply, for what is not measured. */
void ask(const struct protocol *protocol, int socket, enum operation operation, const char *key,
         int32_t xid);

#endif

/* crowd PROTOCOL PORT CONNECTIONS
 *
 * Many clients that do nothing but wait. It reads words from its input and answers each with a
 * line when it is done, so that whoever drives it can look at the server in between:
 *
 *   open    CONNECTIONS sessions                  seconds=
 *   watch   each watches one and the same node    seconds=
 *   fire    that node is set, by one more         first_us= last_us= (until all are told) */
#define _DEFAULT_SOURCE
#include "measure.h"
#include "protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 15000
/* At most so many at once: Apache's queue of connections to accept holds 50. */
#define BATCH 32

struct crowd {
    const struct protocol *protocol;
    int port;
    int publisher;
    int32_t publisher_xid;
    int epoll;
    int *sockets;
    size_t count;
    int32_t xid;
    char key[64];
};

static size_t receive_whole(int socket, size_t (*take)(const uint8_t *, size_t))
{
    uint8_t bytes[1024];
    size_t size = 0;
    size_t taken;
    do {
        ssize_t count = recv(socket, bytes + size, sizeof bytes - size, 0);
        if (count <= 0) measure_fail("the server closed a connection");
        size += (size_t)count;
        taken = take(bytes, size);
    } while (taken == 0);
    if (taken != size) measure_fail("more than was asked for");
    return size;
}

static void open_batch(struct crowd *crowd, size_t first, size_t last)
{
    uint8_t frame[REQUEST_MAX];
    size_t size = crowd->protocol->greeting(frame);
    for (size_t i = first; i < last; i++) {
        crowd->sockets[i] = connect_to(crowd->port);
        send_all(crowd->sockets[i], frame, size);
    }
    for (size_t i = first; i < last; i++) {
        receive_whole(crowd->sockets[i], crowd->protocol->take_greeting);
        struct epoll_event event = { .events = EPOLLIN, .data.fd = crowd->sockets[i] };
        epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, crowd->sockets[i], &event);
    }
}

static const struct protocol *protocol_now;
static int32_t xid_now;

static size_t take_reply_now(const uint8_t *bytes, size_t size)
{
    return protocol_now->take_reply(bytes, size, xid_now);
}

static void watch_batch(struct crowd *crowd, const struct request *request, size_t first,
                        size_t last)
{
    uint8_t frame[REQUEST_MAX];
    size_t size = request_write(request, frame, crowd->xid, 0);
    for (size_t i = first; i < last; i++) send_all(crowd->sockets[i], frame, size);
    for (size_t i = first; i < last; i++) receive_whole(crowd->sockets[i], take_reply_now);
}

static void in_batches(struct crowd *crowd, const struct request *request)
{
    uint64_t started_ns = measure_now_ns();
    for (size_t first = 0; first < crowd->count; first += BATCH) {
        size_t last = first + BATCH < crowd->count ? first + BATCH : crowd->count;
        if (request == NULL) {
            open_batch(crowd, first, last);
        } else {
            watch_batch(crowd, request, first, last);
        }
    }
    printf("seconds=%.3f\n", (double)(measure_now_ns() - started_ns) / 1e9);
}

static void watch(struct crowd *crowd)
{
    struct request request;
    crowd->protocol->prepare(&request, OPERATION_WATCH, crowd->key, 0);
    protocol_now = crowd->protocol;
    xid_now = ++crowd->xid;
    in_batches(crowd, &request);
}

/* The publisher's own reply is read at last: it waits for nobody and nobody for it. */
static void fire(struct crowd *crowd)
{
    struct request request;
    uint8_t frame[REQUEST_MAX];
    struct epoll_event events[256];
    uint64_t first_ns = 0;
    size_t told = 0;
    crowd->protocol->prepare(&request, OPERATION_TOUCH, crowd->key, 0);
    protocol_now = crowd->protocol;
    xid_now = ++crowd->publisher_xid;
    uint64_t started_ns = measure_now_ns();
    send_all(crowd->publisher, frame, request_write(&request, frame, xid_now, 0));
    while (told < crowd->count) {
        int count = epoll_wait(crowd->epoll, events, 256, 30000);
        if (count <= 0) measure_fail("%zu of %zu were told", told, crowd->count);
        if (first_ns == 0) first_ns = measure_now_ns();
        for (int i = 0; i < count; i++) {
            receive_whole(events[i].data.fd, crowd->protocol->take_event);
            told++;
        }
    }
    uint64_t last_ns = measure_now_ns();
    receive_whole(crowd->publisher, take_reply_now);
    printf("first_us=%.1f last_us=%.1f\n", (double)(first_ns - started_ns) / 1e3,
           (double)(last_ns - started_ns) / 1e3);
}

int main(int argc, char **argv)
{
    if (argc != 4) measure_fail("crowd zookeeper|redis PORT CONNECTIONS");
    struct crowd crowd = {
        .protocol = protocol_by_name(argv[1]),
        .port = atoi(argv[2]),
        .count = strtoul(argv[3], NULL, 10),
        .epoll = epoll_create1(0),
    };
    char word[16];
    if (crowd.count < 1 || crowd.count > CONNECTIONS_MAX) {
        measure_fail("connections: 1 to %d", CONNECTIONS_MAX);
    }
    crowd.sockets = calloc(crowd.count, sizeof *crowd.sockets);
    if (crowd.sockets == NULL) measure_fail("out of memory");
    snprintf(crowd.key, sizeof crowd.key, "/crowd-%ld", (long)getpid());
    crowd.publisher = connect_to(crowd.port);
    greet(crowd.protocol, crowd.publisher);
    ask(crowd.protocol, crowd.publisher, OPERATION_CREATE, crowd.key, ++crowd.publisher_xid);
    while (scanf("%15s", word) == 1) {
        if (strcmp(word, "open") == 0) {
            in_batches(&crowd, NULL);
        } else if (strcmp(word, "watch") == 0) {
            watch(&crowd);
        } else if (strcmp(word, "fire") == 0) {
            fire(&crowd);
        } else {
            measure_fail("unknown word %s", word);
        }
        fflush(stdout);
    }
    return 0;
}

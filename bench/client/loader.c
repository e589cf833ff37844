/* loader PORT OPERATION WINDOW COUNT
 *
 * The fastest client one can write in a page: one connection, no threads, no decoding beyond
 * the reply header, at most WINDOW requests in flight. What it reaches is what the server
 * gives; the others are measured against it. */
#define _DEFAULT_SOURCE
#include "jute.h"
#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WINDOW_MAX 1000
#define REQUEST_MAX 256 /* bytes; the longest is a create: 24 + path + ACL + data */
#define INPUT_MAX (256 * 1024)

struct loader {
    int socket;
    char root[64];
    size_t window;
    uint64_t sent_ns[WINDOW_MAX];
    uint8_t output[WINDOW_MAX * REQUEST_MAX];
    size_t output_size;
    size_t output_sent;
    uint8_t input[INPUT_MAX];
    size_t input_size;
};

static struct loader loader;

static int connect_to(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1;
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0) {
        measure_fail("cannot connect to port %d", port);
    }
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return connection;
}

static void receive_exactly(int connection, uint8_t *into, size_t size)
{
    while (size > 0) {
        ssize_t count = recv(connection, into, size, 0);
        if (count <= 0) measure_fail("the server closed the connection");
        into += count;
        size -= (size_t)count;
    }
}

static void open_session(struct loader *l)
{
    uint8_t frame[128];
    uint8_t *at = put32(frame, CONNECT_SIZE);
    at = put32(at, 0);
    at = put64(at, 0);
    at = put32(at, 30000);
    at = put64(at, 0);
    at = put_bytes(at, (const uint8_t[16]){ 0 }, 16);
    *at++ = 0;
    if (send(l->socket, frame, (size_t)(at - frame), 0) != at - frame) measure_fail("send");
    receive_exactly(l->socket, frame, 4);
    int32_t size = get32(frame);
    if (size < 36 || size > 37) measure_fail("not a ZooKeeper server");
    receive_exactly(l->socket, frame, (size_t)size);
    if (get32(frame + 4) <= 0) measure_fail("no session");
}

/* Appends request number `index`. Paths of create and delete are one node per index. */
static void append_request(struct loader *l, int32_t operation, size_t index)
{
    static const uint8_t data[DATA_SIZE];
    char path[96];
    size_t path_size;
    if (operation == OP_CREATE || operation == OP_DELETE) {
        path_size = (size_t)snprintf(path, sizeof path, "%s/n%08zu", l->root, index);
    } else {
        path_size = (size_t)snprintf(path, sizeof path, "%s", l->root);
    }
    uint8_t *frame = l->output + l->output_size;
    uint8_t *at = put32(frame + 4, (int32_t)index + 1);
    at = put32(at, operation);
    at = put_bytes(at, path, path_size);
    switch (operation) {
    case OP_GET:
        *at++ = 0; /* no watch */
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
    put32(frame, (int32_t)(at - frame) - 4);
    l->output_size += (size_t)(at - frame);
}

/* Sends what the socket takes; waits only while there is something left to send. */
static void flush_output(struct loader *l)
{
    if (l->output_sent < l->output_size) {
        ssize_t count = send(l->socket, l->output + l->output_sent, l->output_size - l->output_sent,
                             MSG_DONTWAIT);
        if (count < 0 && errno != EAGAIN) measure_fail("send failed");
        if (count > 0) l->output_sent += (size_t)count;
    }
    if (l->output_sent == l->output_size) {
        l->output_sent = l->output_size = 0;
        return;
    }
    struct pollfd poll_entry = { .fd = l->socket, .events = POLLIN | POLLOUT };
    poll(&poll_entry, 1, -1);
}

static void receive_some(struct loader *l)
{
    int flags = l->output_size > 0 ? MSG_DONTWAIT : 0;
    ssize_t count = recv(l->socket, l->input + l->input_size, INPUT_MAX - l->input_size, flags);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) measure_fail("the server closed the connection");
    l->input_size += (size_t)count;
}

/* Takes whole replies off the input; they must be in order and successful. */
static size_t take_replies(struct loader *l, size_t done, struct measure *measure)
{
    size_t offset = 0;
    while (l->input_size - offset >= 4) {
        const uint8_t *frame = l->input + offset;
        size_t size = (size_t)get32(frame) + 4;
        if (l->input_size - offset < size) break;
        if (get32(frame + 4) != (int32_t)done + 1) measure_fail("reply out of order");
        if (get32(frame + 16) != 0) measure_fail("error %d", get32(frame + 16));
        if (measure != NULL && (l->window == 1 || done % MEASURE_SAMPLE_EVERY == 0)) {
            measure_latency(measure, l->sent_ns[done % l->window]);
        }
        done++;
        offset += size;
    }
    memmove(l->input, l->input + offset, l->input_size - offset);
    l->input_size -= offset;
    return done;
}

static void run(struct loader *l, int32_t operation, size_t count, size_t window,
                struct measure *measure)
{
    size_t sent = 0;
    size_t done = 0;
    l->window = window;
    while (done < count) {
        /* New requests only behind an empty output: it never needs more room than a window. */
        while (l->output_sent == 0 && sent < count && sent - done < window) {
            if (measure != NULL && (window == 1 || sent % MEASURE_SAMPLE_EVERY == 0)) {
                l->sent_ns[sent % window] = measure_now_ns();
            }
            append_request(l, operation, sent++);
        }
        flush_output(l);
        receive_some(l);
        done = take_replies(l, done, measure);
    }
}

static void create_root(struct loader *l)
{
    static const uint8_t data[DATA_SIZE];
    uint8_t *at = put32(l->output + 4, 1);
    at = put32(at, OP_CREATE);
    at = put_bytes(at, l->root, strlen(l->root));
    at = put_bytes(at, data, DATA_SIZE);
    at = put32(at, 1);
    at = put32(at, 31);
    at = put_bytes(at, "world", 5);
    at = put_bytes(at, "anyone", 6);
    at = put32(at, 0);
    put32(l->output, (int32_t)(at - l->output) - 4);
    l->output_size = (size_t)(at - l->output);
    while (l->output_size > 0) flush_output(l);
    while (take_replies(l, 0, NULL) == 0) receive_some(l);
}

static int32_t operation_by_name(const char *name)
{
    if (strcmp(name, "get") == 0) return OP_GET;
    if (strcmp(name, "set") == 0) return OP_SET;
    if (strcmp(name, "create") == 0) return OP_CREATE;
    if (strcmp(name, "delete") == 0) return OP_DELETE;
    measure_fail("unknown operation %s", name);
}

int main(int argc, char **argv)
{
    if (argc != 5) measure_fail("loader PORT get|set|create|delete WINDOW COUNT");
    int32_t operation = operation_by_name(argv[2]);
    size_t window = strtoul(argv[3], NULL, 10);
    size_t count = strtoul(argv[4], NULL, 10);
    if (window < 1 || window > WINDOW_MAX || count < 1) measure_fail("window: 1 to %d", WINDOW_MAX);
    struct loader *l = &loader;
    struct measure measure;
    snprintf(l->root, sizeof l->root, "/bench-loader-%ld", (long)getpid());
    l->socket = connect_to(atoi(argv[1]));
    open_session(l);
    create_root(l);

    if (operation == OP_DELETE) run(l, OP_CREATE, count, WINDOW_MAX, NULL);
    if (operation == OP_GET || operation == OP_SET) run(l, operation, count / 10 + 1, window, NULL);
    measure_start(&measure, count);
    run(l, operation, count, window, &measure);
    measure_report(&measure, count);
    if (operation == OP_CREATE) run(l, OP_DELETE, count, WINDOW_MAX, NULL);
    close(l->socket);
    return 0;
}

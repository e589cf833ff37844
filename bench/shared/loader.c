/* loader PROTOCOL PORT OPERATION WINDOW COUNT [CONNECTIONS [SECONDS [PID]]]
 *
 * The fastest client one can write in a few pages: no threads, no decoding beyond the reply's
 * header, at most WINDOW requests in flight on each connection, COUNT in all or as many as
 * SECONDS allow. What it reaches is what the server gives; others are measured against it.
 *
 * PROTOCOL: zookeeper or redis. OPERATION: get, set, create, delete; mixed: nine gets, one set;
 * fill: creates /b/n0000000 and so on, and leaves them there. PID is the server's: what each
 * request costs it in CPU time is said too, which a busy machine disturbs less than the rate. */
#define _DEFAULT_SOURCE
#include "measure.h"
#include "protocol.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_MAX 1000
#define CONNECTIONS_MAX 1000
#define INPUT_MAX (256 * 1024)
#define MIXED_SETS_EVERY 10

struct connection {
    int socket;
    char root[64];
    struct request requests[OPERATION_COUNT];
    int32_t xid_sent, xid_done;
    size_t next, last; /* numbers of the requests that are still to be sent in this phase */
    bool wants_writing;
    uint64_t *sent_ns; /* by xid */
    uint8_t *output;
    size_t output_size, output_sent;
    uint8_t *input;
    size_t input_size;
};

struct loader {
    const struct protocol *protocol;
    struct connection *connections;
    size_t connection_count;
    int epoll;
    size_t window;
    enum operation operation;
    bool mixed;
    bool stopped; /* the time is over: nothing more is sent */
    struct measure *measure;
};

/* --- one connection ---------------------------------------------------------------- */

static bool is_timed(const struct loader *l, int32_t xid)
{
    return l->measure != NULL && (l->window == 1 || xid % MEASURE_SAMPLE_EVERY == 0);
}

static size_t in_flight(const struct connection *c)
{
    return (size_t)(c->xid_sent - c->xid_done);
}

/* New requests only behind an empty output: it never needs more room than a window. */
static void append_requests(struct loader *l, struct connection *c)
{
    if (c->output_size > 0 || l->stopped) return;
    while (c->next < c->last && in_flight(c) < l->window) {
        enum operation operation = l->operation;
        int32_t xid = ++c->xid_sent;
        if (l->mixed && c->next % MIXED_SETS_EVERY == 0) operation = OPERATION_SET;
        if (is_timed(l, xid)) c->sent_ns[xid % WINDOW_MAX] = measure_now_ns();
        c->output_size += request_write(&c->requests[operation], c->output + c->output_size, xid,
                                        c->next++);
    }
}

/* Sends what the socket takes, and notes whether something is left. */
static void flush_output(struct loader *l, struct connection *c)
{
    if (c->output_sent < c->output_size) {
        ssize_t count = send(c->socket, c->output + c->output_sent,
                             c->output_size - c->output_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN) measure_fail("send failed: %s", strerror(errno));
        if (count > 0) c->output_sent += (size_t)count;
    }
    bool left = c->output_sent < c->output_size;
    if (!left) c->output_sent = c->output_size = 0;
    if (left != c->wants_writing && l->connection_count > 1) {
        struct epoll_event event = { .events = left ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                     .data.ptr = c };
        epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->socket, &event);
    }
    c->wants_writing = left;
}

static void take_replies(struct loader *l, struct connection *c)
{
    size_t offset = 0;
    for (;;) {
        size_t taken = l->protocol->take_reply(c->input + offset, c->input_size - offset,
                                               c->xid_done + 1);
        if (taken == 0) break;
        c->xid_done++;
        offset += taken;
        if (is_timed(l, c->xid_done)) {
            measure_latency(l->measure, c->sent_ns[c->xid_done % WINDOW_MAX]);
        }
    }
    memmove(c->input, c->input + offset, c->input_size - offset);
    c->input_size -= offset;
}

static void receive_some(struct loader *l, struct connection *c, int flags)
{
    ssize_t count = recv(c->socket, c->input + c->input_size, INPUT_MAX - c->input_size, flags);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) measure_fail("the server closed the connection");
    c->input_size += (size_t)count;
    take_replies(l, c);
}

/* --- all of them --------------------------------------------------------------------- */

static bool is_done(const struct loader *l, const struct connection *c)
{
    return in_flight(c) == 0 && (c->next == c->last || l->stopped);
}

/* One connection needs no poll: it blocks in recv. Two system calls less in each round trip. */
static void drive_one(struct loader *l, uint64_t end_ns)
{
    struct connection *c = &l->connections[0];
    while (!is_done(l, c)) {
        append_requests(l, c);
        flush_output(l, c);
        if (c->wants_writing) {
            struct pollfd entry = { .fd = c->socket, .events = POLLIN | POLLOUT };
            poll(&entry, 1, -1);
        }
        receive_some(l, c, c->wants_writing ? MSG_DONTWAIT : 0);
        l->stopped = measure_now_ns() >= end_ns;
    }
}

static void drive_many(struct loader *l, uint64_t end_ns)
{
    struct epoll_event events[64];
    size_t busy = 0;
    for (size_t i = 0; i < l->connection_count; i++) {
        struct connection *c = &l->connections[i];
        append_requests(l, c);
        flush_output(l, c);
        busy += !is_done(l, c);
    }
    while (busy > 0) {
        int count = epoll_wait(l->epoll, events, 64, -1);
        l->stopped = measure_now_ns() >= end_ns;
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            bool was_idle = in_flight(c) == 0;
            if (events[i].events & EPOLLIN) receive_some(l, c, MSG_DONTWAIT);
            append_requests(l, c);
            flush_output(l, c);
            busy -= !was_idle && is_done(l, c);
        }
    }
}

/* Requests `next` to `last` of every connection, which it has set; at most `seconds`. */
static void drive(struct loader *l, enum operation operation, size_t window, double seconds,
                  struct measure *measure)
{
    uint64_t end_ns = measure_now_ns() + (uint64_t)(seconds * 1e9);
    l->operation = operation;
    l->window = window;
    l->measure = measure;
    l->stopped = false;
    if (l->connection_count == 1) {
        drive_one(l, end_ns);
    } else {
        drive_many(l, end_ns);
    }
}

static void set_numbers(struct loader *l, size_t first, size_t last)
{
    for (size_t i = 0; i < l->connection_count; i++) {
        l->connections[i].next = first;
        l->connections[i].last = last;
    }
}

/* --- phases ---------------------------------------------------------------------------- */

static void open_connection(struct loader *l, struct connection *c, int port, bool fill,
                            size_t index)
{
    static const enum operation operations[] = { OPERATION_GET, OPERATION_SET, OPERATION_CREATE,
                                                 OPERATION_DELETE };
    if (fill) {
        snprintf(c->root, sizeof c->root, "/b");
    } else {
        snprintf(c->root, sizeof c->root, "/bench-%ld-%zu", (long)getpid(), index);
    }
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        bool numbered = operations[i] == OPERATION_CREATE || operations[i] == OPERATION_DELETE;
        char key[80];
        snprintf(key, sizeof key, numbered ? "%s/n" : "%s", c->root);
        l->protocol->prepare(&c->requests[operations[i]], operations[i], key,
                             !numbered ? 0 : fill ? 7 : 8);
    }
    c->sent_ns = calloc(WINDOW_MAX, sizeof *c->sent_ns);
    c->output = malloc(WINDOW_MAX * REQUEST_MAX);
    c->input = malloc(INPUT_MAX);
    if (c->sent_ns == NULL || c->output == NULL || c->input == NULL) measure_fail("out of memory");
    c->socket = connect_to(port);
    greet(l->protocol, c->socket);
    c->xid_sent = c->xid_done = 1;
    ask(l->protocol, c->socket, OPERATION_CREATE, c->root, 1);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->socket, &event);
}

/* A tenth as much, not measured; what create makes and delete needs are other phases' work. */
static void warm_up(struct loader *l, size_t count, size_t window, double seconds)
{
    set_numbers(l, 0, count / 10 + 1);
    drive(l, l->operation, window, seconds / 10, NULL);
}

/* CPU time that the process has used; 0 for none. */
static double cpu_s(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    if (pid == 0) return 0;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        measure_fail("no process %ld", (long)pid);
    }
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* Numbers below each connection's `next` were sent in the phase before. */
static void undo_creates(struct loader *l)
{
    for (size_t i = 0; i < l->connection_count; i++) {
        l->connections[i].last = l->connections[i].next;
        l->connections[i].next = 0;
    }
    drive(l, OPERATION_DELETE, WINDOW_MAX, 3600, NULL);
}

static size_t sum_sent(const struct loader *l)
{
    size_t sum = 0;
    for (size_t i = 0; i < l->connection_count; i++) sum += l->connections[i].next;
    return sum;
}

static enum operation operation_by_name(const char *name)
{
    if (strcmp(name, "get") == 0 || strcmp(name, "mixed") == 0) return OPERATION_GET;
    if (strcmp(name, "set") == 0) return OPERATION_SET;
    if (strcmp(name, "create") == 0 || strcmp(name, "fill") == 0) return OPERATION_CREATE;
    if (strcmp(name, "delete") == 0) return OPERATION_DELETE;
    measure_fail("unknown operation %s", name);
}

static size_t number_argument(int argc, char **argv, int index, size_t fallback, size_t max)
{
    if (index >= argc) return fallback;
    size_t number = strtoul(argv[index], NULL, 10);
    if (number < 1 || number > max) measure_fail("%s: 1 to %zu is possible", argv[index], max);
    return number;
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        measure_fail("loader zookeeper|redis PORT get|set|create|delete|mixed|fill WINDOW COUNT "
                     "[CONNECTIONS [SECONDS [PID]]]");
    }
    static struct loader loader;
    struct loader *l = &loader;
    struct measure measure;
    int port = (int)number_argument(argc, argv, 2, 0, 65535);
    bool fill = strcmp(argv[3], "fill") == 0;
    double seconds = argc > 7 ? strtod(argv[7], NULL) : 3600;
    pid_t server = argc > 8 ? (pid_t)strtol(argv[8], NULL, 10) : 0;
    l->protocol = protocol_by_name(argv[1]);
    l->operation = operation_by_name(argv[3]);
    l->mixed = strcmp(argv[3], "mixed") == 0;
    size_t window = number_argument(argc, argv, 4, 0, WINDOW_MAX);
    l->connection_count = number_argument(argc, argv, 6, 1, CONNECTIONS_MAX);
    size_t count = number_argument(argc, argv, 5, 0, INT32_MAX / 4) / l->connection_count + 1;

    l->epoll = epoll_create1(0);
    l->connections = calloc(l->connection_count, sizeof *l->connections);
    if (l->connections == NULL) measure_fail("out of memory");
    for (size_t i = 0; i < l->connection_count; i++) {
        open_connection(l, &l->connections[i], port, fill, i);
    }
    enum operation operation = l->operation;
    if (operation == OPERATION_DELETE) {
        set_numbers(l, 0, count);
        drive(l, OPERATION_CREATE, WINDOW_MAX, 3600, NULL);
    } else if (operation != OPERATION_CREATE) {
        warm_up(l, count, window, seconds);
    }
    set_numbers(l, 0, count);
    measure_start(&measure, count * l->connection_count);
    double server_before_s = cpu_s(server);
    drive(l, operation, window, seconds, &measure);
    printf("server_us=%.3f ", (cpu_s(server) - server_before_s) * 1e6 / (double)sum_sent(l));
    measure_report(&measure, sum_sent(l));

    /* What is prepared and cleaned up need not take long. */
    if (operation == OPERATION_CREATE && !fill) undo_creates(l);
    if (operation == OPERATION_DELETE) {
        for (size_t i = 0; i < l->connection_count; i++) l->connections[i].last = count;
        drive(l, OPERATION_DELETE, WINDOW_MAX, 3600, NULL);
    }
    return 0;
}

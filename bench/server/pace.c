/* pace PROTOCOL PORT get|set RATE
 *
 * One client at a steady pace, until its input ends: RATE requests per second for the nodes that
 * `loader fill` has made, each time another one. Then it prints a line for each of them: when it
 * was due, in seconds of the monotonic clock, and how many microseconds later its reply was there.
 * Counted from when it was due: who has to wait behind a slow one waits, too. */
#define _GNU_SOURCE
#include "measure.h"
#include "protocol.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    NODES = 100000, /* there is no fill of less */
    STRIDE = 7919,  /* a prime: requests come to all of them, and not in their order */
    SAMPLES_MAX = 1000000,
    REPLY_MAX = 4096
};

struct sample {
    uint64_t due_ns;
    uint64_t took_ns;
};

static void sleep_until(uint64_t time_ns)
{
    const struct timespec time = { .tv_sec = (time_t)(time_ns / 1000000000u),
                                   .tv_nsec = (long)(time_ns % 1000000000u) };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static void ask_one(const struct protocol *protocol, int connection,
                    const struct request *request, size_t number)
{
    uint8_t bytes[REPLY_MAX];
    size_t size = 0;
    int32_t xid = (int32_t)number + 1;
    send_all(connection, bytes, request_write(request, bytes, xid, number * STRIDE % NODES));
    do {
        ssize_t count = recv(connection, bytes + size, sizeof bytes - size, 0);
        if (count <= 0) measure_fail("the server closed the connection");
        size += (size_t)count;
    } while (protocol->take_reply(bytes, size, xid) == 0);
}

static int input_is_open(void)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    return poll(&input, 1, 0) == 0;
}

int main(int argc, char **argv)
{
    if (argc != 5) measure_fail("pace zookeeper|redis PORT get|set RATE");
    const struct protocol *protocol = protocol_by_name(argv[1]);
    enum operation operation = strcmp(argv[3], "set") == 0 ? OPERATION_SET : OPERATION_GET;
    uint64_t interval_ns = 1000000000u / (uint64_t)atoi(argv[4]);
    struct sample *samples = calloc(SAMPLES_MAX, sizeof *samples);
    struct request request;
    if (samples == NULL) measure_fail("out of memory");
    protocol->prepare(&request, operation, "/b/n", 7);
    int connection = connect_to(atoi(argv[2]));
    greet(protocol, connection);
    prctl(PR_SET_TIMERSLACK, 1);
    puts("ready");
    fflush(stdout);

    size_t count = 0;
    uint64_t began_ns = measure_now_ns(), end_ns = UINT64_MAX;
    while (count < SAMPLES_MAX) {
        struct sample *sample = &samples[count];
        sample->due_ns = began_ns + count * interval_ns;
        if (end_ns == UINT64_MAX && !input_is_open()) end_ns = measure_now_ns();
        if (sample->due_ns >= end_ns) break; /* what was due before is asked, however late */
        sleep_until(sample->due_ns);
        ask_one(protocol, connection, &request, count++);
        sample->took_ns = measure_now_ns() - sample->due_ns;
    }
    for (size_t i = 0; i < count; i++) {
        printf("%.6f %.1f\n", (double)samples[i].due_ns / 1e9, (double)samples[i].took_ns / 1e3);
    }
    free(samples);
    return 0;
}

/* A client against a peer that may send anything: every promise that can be checked without
 * knowing what was sent is checked, and the sanitizers watch the rest.
 *
 *   cmake -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DZKLUA_FUZZ=ON
 *   ninja -C build/fuzz client_fuzz && build/fuzz/client_fuzz -max_total_time=60
 *
 * The input is a list of steps: a byte that says what happens, and bytes for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zklua/client.h"

_Noreturn void zkl_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, expression);
    abort();
}

static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    (void)context;
    (void)old_size;
    if (new_size > 0) return realloc(block, new_size);
    free(block);
    return NULL;
}

struct run {
    struct zkl_client *client;
    int64_t now_ms;
    uint32_t link; /* the last one that was asked for */
    int open_count;
    bool final, ended;
    volatile uint8_t checksum; /* of all slices, so that they are read */
};

static void read_slice(struct run *run, struct zkl_slice slice)
{
    for (size_t i = 0; i < slice.size; i++) run->checksum = run->checksum ^ slice.base[i];
}

static void drain(struct run *run)
{
    const struct zkl_event *event;
    while ((event = zkl_client_peek_event(run->client))->kind != ZKL_EVENT_NONE) {
        ZKL_ASSERT(!run->ended);
        ZKL_ASSERT(!run->final || event->kind == ZKL_EVENT_REPLY || event->kind == ZKL_EVENT_END);
        if (event->kind == ZKL_EVENT_CONNECT) run->link = event->link;
        if (event->kind == ZKL_EVENT_STATE) run->final = event->state >= ZKL_EXPIRED;
        if (event->kind == ZKL_EVENT_END) run->ended = true;
        if (event->kind == ZKL_EVENT_REPLY) run->open_count--;
        ZKL_ASSERT(run->open_count >= 0);
        ZKL_ASSERT(event->kind != ZKL_EVENT_END || run->open_count == 0);
        read_slice(run, event->path);
        read_slice(run, event->result.path);
        read_slice(run, event->result.data);
        zkl_client_pop_event(run->client);
    }
    ZKL_ASSERT(zkl_client_deadline(run->client) > run->now_ms);
}

static void write_all(struct run *run)
{
    struct zkl_slice output;
    while ((output = zkl_client_output(run->client, run->link)).base != NULL) {
        read_slice(run, output);
        zkl_client_sent(run->client, run->link, output.size, run->now_ms);
    }
}

static void submit(struct run *run, uint8_t choice)
{
    static const int32_t ops[] = { ZKL_OP_GET_DATA, ZKL_OP_EXISTS, ZKL_OP_GET_CHILDREN2,
                                   ZKL_OP_ADD_WATCH, ZKL_OP_AUTH, ZKL_OP_SYNC,
                                   ZKL_OP_WHO_AM_I, ZKL_OP_GET_EPHEMERALS };
    struct zkl_request request = {
        .op = ops[choice % 8],
        .path = { (const uint8_t *)"/a/b", 4 },
        .scheme = { (const uint8_t *)"digest", 6 },
        .kind = choice >> 3 & 1,
        .watch = (choice >> 4 & 1) != 0,
    };
    struct zkl_submit_options options = {
        .deadline_ms = choice & 0x20 ? run->now_ms + 500 : ZKL_NEVER
    };
    int32_t xid;
    int status = zkl_client_submit(run->client, run->now_ms, &request, &options, &xid);
    if (status == ZKL_OK) run->open_count++;
}

static void grant(struct run *run)
{
    static const uint8_t response[41] = { 0, 0, 0, 37, 0, 0, 0, 0, 0, 0, 0x27, 0x10,
                                          0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 16 };
    zkl_client_connected(run->client, run->link, run->now_ms);
    write_all(run);
    zkl_client_feed(run->client, run->link, response, sizeof response, run->now_ms);
    drain(run);
    write_all(run);
}

static void step(struct run *run, uint8_t what, const uint8_t *bytes, size_t size)
{
    switch (what % 8) {
    case 0:
        submit(run, size > 0 ? bytes[0] : 0);
        write_all(run);
        break;
    case 1: /* a frame with the right length in front */
        if (size > 0) {
            const uint8_t length[4] = { 0, 0, 0, (uint8_t)size };
            zkl_client_feed(run->client, run->link, length, 4, run->now_ms);
        }
        zkl_client_feed(run->client, run->link, bytes, size, run->now_ms);
        break;
    case 2:
        zkl_client_feed(run->client, run->link, bytes, size, run->now_ms);
        break;
    case 3:
        run->now_ms += size > 0 ? bytes[0] * 40 : 1;
        zkl_client_tick(run->client, run->now_ms);
        break;
    case 4:
        grant(run);
        break;
    case 5:
        zkl_client_disconnected(run->client, run->link, run->now_ms);
        break;
    case 6:
        zkl_client_cancel(run->client, size > 0 ? bytes[0] : 1, run->now_ms);
        zkl_client_unwatch(run->client, (struct zkl_slice) { (const uint8_t *)"/a/b", 4 },
                           UINT32_C(1) << (what >> 3) % 5, run->now_ms);
        break;
    case 7:
        if (size > 2) zkl_client_close(run->client, run->now_ms, run->now_ms + 1000);
        break;
    }
    drain(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct zkl_slice endpoints[] = { { (const uint8_t *)"a", 1 },
                                           { (const uint8_t *)"b", 1 } };
    struct zkl_client_options options = {
        .allocator = { allocate, NULL }, .endpoints = endpoints, .endpoint_count = 2,
        .session_timeout_ms = 10000, .readonly_allowed = size % 2 == 0, .seed = 1,
        .chroot = { (const uint8_t *)"/a", size % 3 == 0 ? 2 : 0 }, .reply_size_max = 4096,
    };
    struct run run = { .client = zkl_client_new(&options, 0) };
    drain(&run);
    grant(&run);
    while (size >= 2) {
        size_t count = data[1] < size - 2 ? data[1] : size - 2;
        step(&run, data[0], data + 2, count);
        data += 2 + count;
        size -= 2 + count;
    }
    zkl_client_close(run.client, run.now_ms, run.now_ms);
    run.now_ms += 1000; /* an earlier close may have given itself that long */
    zkl_client_tick(run.client, run.now_ms);
    drain(&run);
    ZKL_ASSERT(run.ended);
    zkl_client_free(run.client);
    return 0;
}

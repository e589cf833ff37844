/* What one pipelined get costs inside the core, against a peer that answers from the can:
 * submit, output and sent, feed, peek and pop. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "testing/allocator.h"
#include "testing/client_testing.h"

enum { WINDOW = 1000, REPLY_MAX = 256 };

static double cpu_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    (void)old_size;
    ++*(size_t *)context;
    if (new_size > 0) return realloc(block, new_size);
    free(block);
    return NULL;
}

static size_t write_session(uint8_t *bytes, size_t capacity)
{
    static const uint8_t password[ZKL_PASSWORD_SIZE];
    struct zkl_connect_response response = {
        .timeout_ms = 30000, .session_id = 1, .password = { password, sizeof password },
        .has_readonly = true,
    };
    struct zkl_writer writer = { bytes, capacity, 0 };
    size_t start = zkl_frame_begin(&writer);
    zkl_connect_response_write(&writer, &response);
    zkl_frame_end(&writer, start);
    return writer.size;
}

static void write_reply(struct zkl_writer *writer, int32_t xid)
{
    struct zkl_reply_header header = { xid, 7, 0 };
    struct zkl_result result = {
        .op = ZKL_OP_GET_DATA, .data = { (const uint8_t *)"0123456789abcdef", 16 }
    };
    size_t start = zkl_frame_begin(writer);
    zkl_reply_header_write(writer, &header);
    zkl_result_write(writer, &result);
    zkl_frame_end(writer, start);
}

/* One window of gets there and back; false when an answer is missing. */
static bool round_trip(struct zkl_client *client, uint32_t link, uint8_t *replies, int64_t now_ms)
{
    struct zkl_request request = {
        .op = ZKL_OP_GET_DATA, .path = { (const uint8_t *)"/bench/node-0001", 16 }
    };
    struct zkl_submit_options options = { .deadline_ms = now_ms + 10000 };
    struct zkl_writer writer = { replies, (size_t)WINDOW * REPLY_MAX, 0 };
    for (int i = 0; i < WINDOW; i++) {
        int32_t xid;
        if (zkl_client_submit(client, now_ms, &request, &options, &xid) != ZKL_OK) return false;
        write_reply(&writer, xid);
    }
    struct zkl_slice output;
    while ((output = zkl_client_output(client, link)).base != NULL) {
        zkl_client_sent(client, link, output.size, now_ms);
    }
    zkl_client_feed(client, link, replies, writer.size, now_ms);
    int answered = 0;
    const struct zkl_event *event;
    while ((event = zkl_client_peek_event(client))->kind != ZKL_EVENT_NONE) {
        if (event->kind == ZKL_EVENT_REPLY && event->code == 0) answered++;
        zkl_client_pop_event(client);
    }
    return answered == WINDOW;
}

/* bench(windows) gives nanoseconds per get and allocator calls in the steady state */
int zkl_testing_client_bench(lua_State *L)
{
    int windows = (int)luaL_checkinteger(L, 1);
    size_t allocations = 0;
    const struct zkl_slice endpoint = { (const uint8_t *)"a:2181", 6 };
    struct zkl_client_options options = {
        .allocator = { allocate, &allocations }, .endpoints = &endpoint, .endpoint_count = 1,
        .session_timeout_ms = 30000,
    };
    struct zkl_client *client = zkl_client_new(&options, 0);
    uint8_t *replies = malloc((size_t)WINDOW * REPLY_MAX);
    if (client == NULL || replies == NULL) return luaL_error(L, "no memory");
    uint32_t link = zkl_client_peek_event(client)->link;
    zkl_client_pop_event(client);
    zkl_client_connected(client, link, 0);
    zkl_client_sent(client, link, zkl_client_output(client, link).size, 0);
    zkl_client_feed(client, link, replies, write_session(replies, REPLY_MAX), 0);
    while (zkl_client_peek_event(client)->kind != ZKL_EVENT_NONE) zkl_client_pop_event(client);

    bool answered = round_trip(client, link, replies, 0);
    size_t warm = allocations;
    double start = cpu_seconds();
    for (int i = 0; i < windows; i++) answered = answered && round_trip(client, link, replies, 0);
    double seconds = cpu_seconds() - start;
    zkl_client_free(client);
    free(replies);
    if (!answered) return luaL_error(L, "a get was not answered");
    lua_pushnumber(L, seconds * 1e9 / ((double)windows * WINDOW));
    lua_pushnumber(L, (lua_Number)(allocations - warm));
    return 2;
}

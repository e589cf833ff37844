/* What one pipelined get costs inside the server core: feed, the read itself, output and sent,
 * with a committed node of 100 bytes and windows of requests from one connection. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "testing/server_testing.h"
#include "testing/testing.h"
#include "zklua/server.h"

enum { WINDOW = 1000, REQUEST_MAX = 256 };

struct bench {
    struct zkl_server *server;
    struct zkl_connection *connection;
    uint8_t *requests;
    size_t requests_size;
    uint64_t bytes_out;
};

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

static void no_random(void *context, uint8_t *bytes, size_t size)
{
    (void)context;
    memset(bytes, 7, size);
}

/* One turn of a driver's loop without a disk. */
static void turn(struct bench *bench, const uint8_t *bytes, size_t size)
{
    struct zkl_clock clock = { 0, 0 };
    struct zkl_logged logged = { .zxid = 0 };
    struct zkl_connection *connection;
    zkl_server_feed(bench->connection, bytes, size, clock);
    while (zkl_server_next_txn(bench->server, &logged)) {
    }
    if (logged.zxid > 0) zkl_server_committed(bench->server, logged.zxid, clock);
    while ((connection = zkl_server_next_connection(bench->server)) != NULL) {
        struct zkl_slice output;
        while ((output = zkl_connection_output(connection)).size > 0) {
            bench->bytes_out += output.size;
            zkl_connection_sent(connection, output.size);
        }
    }
}

static void write_request(struct zkl_writer *writer, int32_t xid,
                          const struct zkl_request *request)
{
    struct zkl_request_header header = { xid, request->op };
    size_t start = zkl_frame_begin(writer);
    zkl_request_header_write(writer, &header);
    zkl_request_write(writer, request);
    zkl_frame_end(writer, start);
}

static void prepare(struct bench *bench)
{
    static const uint8_t data[100], acl[] = "\0\0\0\37\0\0\0\5world\0\0\0\6anyone";
    struct zkl_connect_request connect = { .timeout_ms = 30000, .has_readonly = true };
    struct zkl_request request = {
        .op = ZKL_OP_CREATE, .path = { (const uint8_t *)"/bench-node-0001", 16 },
        .data = { data, sizeof data }, .acl = { acl, sizeof acl - 1, 1 },
    };
    struct zkl_writer writer = { bench->requests, (size_t)WINDOW * REQUEST_MAX, 0 };
    size_t start = zkl_frame_begin(&writer);
    zkl_connect_request_write(&writer, &connect);
    zkl_frame_end(&writer, start);
    turn(bench, writer.base, writer.size);
    writer.size = 0;
    write_request(&writer, 1, &request);
    turn(bench, writer.base, writer.size);
    writer.size = 0;
    request.op = ZKL_OP_GET_DATA;
    for (int32_t i = 0; i < WINDOW; i++) write_request(&writer, i + 2, &request);
    bench->requests_size = writer.size;
}

/* bench(windows): nanoseconds per get, allocator calls in the steady state, bytes per window */
int zkl_testing_server_bench(lua_State *L)
{
    int windows = (int)luaL_checkinteger(L, 1);
    size_t allocations = 0;
    struct zkl_server_options options = {
        .allocator = { allocate, &allocations },
        .crypto = { zkl_testing_sha1, no_random, NULL },
    };
    struct zkl_clock clock = { 0, 0 };
    struct zkl_peer peer = { .address_size = 0 };
    struct bench bench = { .server = zkl_server_new(&options) };
    bench.requests = malloc((size_t)WINDOW * REQUEST_MAX);
    if (bench.server == NULL || bench.requests == NULL) return luaL_error(L, "no memory");
    zkl_server_start(bench.server, clock);
    if (zkl_server_accept(bench.server, &peer, clock, &bench.connection) != ZKL_OK) {
        return luaL_error(L, "not accepted");
    }
    prepare(&bench);
    turn(&bench, bench.requests, bench.requests_size);
    size_t warm = allocations;
    uint64_t before = bench.bytes_out;
    double start = cpu_seconds();
    for (int i = 0; i < windows; i++) turn(&bench, bench.requests, bench.requests_size);
    double seconds = cpu_seconds() - start;
    zkl_server_free(bench.server);
    free(bench.requests);
    lua_pushnumber(L, seconds * 1e9 / ((double)windows * WINDOW));
    lua_pushnumber(L, (lua_Number)(allocations - warm));
    lua_pushnumber(L, (lua_Number)(bench.bytes_out - before) / windows);
    return 3;
}

/* See core.h. */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>

#include "jute.h"
#include "main/machine.h"
#include "measure.h"

enum {
    BLOCK_MAX = 1000, /* requests */
    BLOCK_SIZE = 512 * 1024,
    REQUEST_SIZE_MAX = 8 * 1024,
    WALL_MS = 1000000
};

struct core_post { /* one piece of bytes for one connection */
    struct zkl_connection **place;
    size_t at, size;
    bool greets;       /* it comes from a new connection */
    bool ends_turn;
};

_Noreturn void zkl_assert_failed(const char *expression, const char *file, int line)
{
    measure_fail("%s:%d: assertion failed: %s", file, line, expression);
}

void core_start(struct core *core)
{
    const struct zkl_server_options options = {
        .allocator = zkl_machine_allocator, .crypto = zkl_machine_crypto, .seed = 1,
    };
    *core = (struct core) {
        .server = zkl_server_new(&options),
        .clock = { 0, WALL_MS },
        .bytes = malloc(BLOCK_SIZE),
        .posts = calloc(BLOCK_MAX, sizeof *core->posts),
    };
    if (core->server == NULL || core->bytes == NULL || core->posts == NULL) {
        measure_fail("out of memory");
    }
    zkl_server_start(core->server, core->clock);
}

void core_stop(struct core *core)
{
    zkl_server_free(core->server);
    free(core->bytes);
    free(core->posts);
}

/* --- one turn of the loop -------------------------------------------------------- */

static void look_at(struct core *core, struct zkl_slice output)
{
    const uint8_t *at = output.base, *end = output.base + output.size;
    while (at < end) {
        int32_t xid = get32(at + 4); /* in the answer to a greeting: 0, and the timeout */
        int32_t code = get32(at + (xid == 0 ? 8 : 16));
        if (xid == 0 ? code <= 0 : code != core->code && xid != ZKL_XID_NOTIFICATION) {
            measure_fail("answer %d to request %d", code, xid);
        }
        *(xid == ZKL_XID_NOTIFICATION ? &core->events : &core->answered) += 1;
        at += 4 + get32(at);
    }
}

static void write_out(struct core *core, struct zkl_connection *connection)
{
    struct zkl_slice output;
    while ((output = zkl_connection_output(connection)).size > 0) {
        look_at(core, output);
        zkl_connection_sent(connection, output.size);
    }
    if (zkl_connection_ending(connection) == ZKL_STAYS) return;
    *(struct zkl_connection **)zkl_connection_user(connection) = NULL;
    zkl_server_closed(connection, core->clock);
}

static void turn(struct core *core)
{
    struct zkl_logged logged = { .zxid = 0 };
    struct zkl_connection *connection;
    struct zkl_server_event event;
    while (zkl_server_next_txn(core->server, &logged)) {
    }
    if (logged.zxid > 0) zkl_server_committed(core->server, logged.zxid, core->clock);
    while ((connection = zkl_server_next_connection(core->server)) != NULL) {
        write_out(core, connection);
    }
    while (zkl_server_peek_event(core->server, &event), event.kind != ZKL_NEWS_NONE) {
        zkl_server_pop_event(core->server);
    }
}

void core_wait(struct core *core, size_t ticks, size_t count, struct row *row)
{
    double started_ns = measure_cpu_ns();
    for (size_t i = 0; i < ticks; i++) {
        core->clock.now_ms += ZKL_TICK_TIME_MS_DEFAULT;
        core->clock.wall_ms += ZKL_TICK_TIME_MS_DEFAULT;
        zkl_server_tick(core->server, core->clock);
        turn(core);
    }
    if (row == NULL) return;
    row->ns += measure_cpu_ns() - started_ns;
    row->count += count;
}

/* --- blocks of requests ---------------------------------------------------------- */

static void accept_from(struct core *core, struct zkl_connection **place)
{
    const struct zkl_peer peer = { .address_size = 0 };
    if (zkl_server_accept(core->server, &peer, core->clock, place) != ZKL_OK) {
        measure_fail("not accepted");
    }
    zkl_connection_set_user(*place, place);
}

static void run_block(struct core *core)
{
    double started_ns = measure_cpu_ns();
    for (size_t i = 0; i < core->post_count; i++) {
        const struct core_post *post = &core->posts[i];
        if (post->greets) accept_from(core, post->place);
        zkl_server_feed(*post->place, core->bytes + post->at, post->size, core->clock);
        if (post->ends_turn) turn(core);
    }
    turn(core);
    if (core->row != NULL) {
        core->row->ns += measure_cpu_ns() - started_ns;
        core->row->count += core->asked;
    }
    if (core->answered != core->asked) {
        measure_fail("%zu answers to %zu requests", core->answered, core->asked);
    }
    core->size = core->post_count = core->asked = core->answered = 0;
}

void core_begin(struct core *core, size_t batch, int32_t code, struct row *row)
{
    core->batch = batch;
    core->code = code;
    core->row = row;
}

void core_end(struct core *core)
{
    if (core->asked > 0) run_block(core);
}

/* Where to write what `place` asks next. */
static struct zkl_writer begin_post(struct core *core, struct zkl_connection **place, bool greets)
{
    if (core->asked == BLOCK_MAX || core->size > BLOCK_SIZE - REQUEST_SIZE_MAX) run_block(core);
    struct core_post *last = core->post_count > 0 ? &core->posts[core->post_count - 1] : NULL;
    bool ends_turn = core->asked > 0 && core->asked % core->batch == 0;
    if (ends_turn) last->ends_turn = true;
    if (last == NULL || ends_turn || last->place != place) {
        core->posts[core->post_count++] =
            (struct core_post) { .place = place, .at = core->size, .greets = greets };
    }
    core->asked++;
    return (struct zkl_writer) { core->bytes + core->size, BLOCK_SIZE - core->size, 0 };
}

static void end_post(struct core *core, struct zkl_writer *writer, size_t start)
{
    if (!zkl_writer_fits(writer)) measure_fail("the block is full");
    zkl_frame_end(writer, start);
    core->posts[core->post_count - 1].size += writer->size;
    core->size += writer->size;
}

void core_ask(struct core *core, struct zkl_connection **place, const struct zkl_request *request)
{
    struct zkl_request_header header = { 0, request->op };
    struct zkl_writer writer = begin_post(core, place, false);
    size_t start = zkl_frame_begin(&writer);
    header.xid = core->xid = core->xid == INT32_MAX ? 1 : core->xid + 1;
    zkl_request_header_write(&writer, &header);
    zkl_request_write(&writer, request);
    end_post(core, &writer, start);
}

void core_greet(struct core *core, struct zkl_connection **place, int32_t timeout_ms)
{
    static const uint8_t password[ZKL_PASSWORD_SIZE];
    const struct zkl_connect_request greeting = {
        .timeout_ms = timeout_ms, .password = { password, sizeof password }, .has_readonly = true,
    };
    struct zkl_writer writer = begin_post(core, place, true);
    size_t start = zkl_frame_begin(&writer);
    zkl_connect_request_write(&writer, &greeting);
    end_post(core, &writer, start);
}

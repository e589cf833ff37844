/* growth [SCENE ...]
 *
 * Whether the work for one operation grows with what the server holds: each is measured where
 * there is little and where there is much, picked at random, so that at the large size nothing
 * is in the processor's caches. Prints SCENE/OPERATION/SIZE=, nanoseconds of processor time for
 * the whole operation, from the bytes of the request to those of the answer. The scenes:
 *
 *   nodes      1,000 and 1,000,000 nodes of 100 bytes, a hundred to a directory
 *   children   as many children of one node
 *   watches    as many watches, while others are set, fire and go
 *   sessions   1,000 and 100,000 sessions, each with its connection
 *   snapshot   of 1,000 and 1,000,000 nodes: each node that is written, sets in between
 *
 * "Alone" is a request whose client waits for its answer: it has to wait for memory by itself.
 * What the system takes for a packet in and one out, several times as much, is not in here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "core.h"
#include "measure.h"

enum {
    SMALL = 1000,
    LARGE = 1000000,
    SESSIONS = 100000,
    OPERATIONS = 40000, /* of each kind that are measured, at the least */
    BATCH = 100,        /* requests in one turn */
    DIRECTORY = 100,    /* nodes in it */
    DATA_SIZE = 100,
    PATH_MAX_SIZE = 64
};

struct scene {
    const char *name;
    size_t size;
    struct core core;
    struct zkl_connection *client;
    struct zkl_random random;
    uint32_t *order; /* of all numbers below `size` */
};

/* --- what all scenes share ------------------------------------------------------- */

static void start(struct scene *scene)
{
    core_start(&scene->core);
    scene->client = NULL;
    scene->random.state = 1;
    scene->order = malloc(scene->size * sizeof *scene->order);
    if (scene->order == NULL) measure_fail("out of memory");
    for (size_t i = 0; i < scene->size; i++) scene->order[i] = (uint32_t)i;
    core_begin(&scene->core, BATCH, ZKL_CODE_OK, NULL);
    core_greet(&scene->core, &scene->client, 60000);
    core_end(&scene->core);
}

static void stop(struct scene *scene)
{
    core_stop(&scene->core);
    free(scene->order);
}

static void print_row(const struct scene *scene, const char *operation, const struct row *row)
{
    printf("%s/%s/%zu=%.1f\n", scene->name, operation, scene->size,
           row->ns / (double)row->count);
    fflush(stdout);
}

/* Other numbers at the first `count` places of the order, which shuffles those too. */
static void shuffle(struct scene *scene, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t other = i + (size_t)zkl_random_below(&scene->random, (int64_t)(scene->size - i));
        uint32_t number = scene->order[i];
        scene->order[i] = scene->order[other];
        scene->order[other] = number;
    }
}

/* As many as may be away at a time, and the rounds it takes to have measured enough of them. */
static size_t away(const struct scene *scene)
{
    size_t quarter = scene->size / 4;
    return quarter < OPERATIONS / 4 ? quarter : OPERATIONS / 4;
}

static size_t rounds(const struct scene *scene)
{
    return OPERATIONS / away(scene);
}

static void ask(struct scene *scene, struct zkl_connection **place, int32_t op, const char *path,
                bool watch)
{
    static const uint8_t data[DATA_SIZE];
    static const uint8_t open[] = "\0\0\0\37\0\0\0\5world\0\0\0\6anyone";
    const struct zkl_request request = {
        .op = op,
        .path = { (const uint8_t *)path, strlen(path) },
        .data = { data, sizeof data },
        .acl = { open, sizeof open - 1, 1 },
        .version = -1,
        .watch = watch,
        .kind = ZKL_REMOVE_DATA,
    };
    core_ask(&scene->core, place, &request);
}

static void make(struct scene *scene, const char *path)
{
    core_begin(&scene->core, BATCH, ZKL_CODE_OK, NULL);
    ask(scene, &scene->client, ZKL_OP_CREATE, path, false);
    core_end(&scene->core);
}

/* --- nodes, and children of one node --------------------------------------------- */

typedef void path_writer(char path[PATH_MAX_SIZE], size_t number);

static void path_in_directory(char path[PATH_MAX_SIZE], size_t number)
{
    snprintf(path, PATH_MAX_SIZE, "/growth/d%05zu/n%07zu", number / DIRECTORY, number);
}

static void path_of_child(char path[PATH_MAX_SIZE], size_t number)
{
    snprintf(path, PATH_MAX_SIZE, "/growth/n%07zu", number);
}

/* For the first `count` of the order. */
static void ask_for_all(struct scene *scene, path_writer *write_path, int32_t op, size_t count,
                        struct row *row)
{
    char path[PATH_MAX_SIZE];
    core_begin(&scene->core, BATCH, ZKL_CODE_OK, row);
    for (size_t i = 0; i < count; i++) {
        write_path(path, scene->order[i]);
        ask(scene, &scene->client, op, path, false);
    }
    core_end(&scene->core);
}

/* On nodes that stay, any of them. */
static void measure_staying(struct scene *scene, path_writer *write_path, const char *name,
                            int32_t op, size_t batch)
{
    struct row row = { 0, 0 };
    char path[PATH_MAX_SIZE];
    core_begin(&scene->core, batch, ZKL_CODE_OK, &row);
    for (size_t i = 0; i < OPERATIONS; i++) {
        write_path(path, (size_t)zkl_random_below(&scene->random, (int64_t)scene->size));
        ask(scene, &scene->client, op, path, false);
    }
    core_end(&scene->core);
    print_row(scene, name, &row);
}

static void measure_tree(struct scene *scene, path_writer *write_path)
{
    struct row fill = { 0, 0 }, create = { 0, 0 }, delete = { 0, 0 };
    ask_for_all(scene, write_path, ZKL_OP_CREATE, scene->size, &fill);
    print_row(scene, "fill", &fill);
    measure_staying(scene, write_path, "get", ZKL_OP_GET_DATA, BATCH);
    measure_staying(scene, write_path, "get-alone", ZKL_OP_GET_DATA, 1);
    measure_staying(scene, write_path, "exists", ZKL_OP_EXISTS, BATCH);
    measure_staying(scene, write_path, "set", ZKL_OP_SET_DATA, BATCH);
    measure_staying(scene, write_path, "set-alone", ZKL_OP_SET_DATA, 1);
    for (size_t i = 0; i < rounds(scene); i++) {
        size_t count = away(scene);
        shuffle(scene, count);
        ask_for_all(scene, write_path, ZKL_OP_DELETE, count, &delete);
        ask_for_all(scene, write_path, ZKL_OP_CREATE, count, &create);
    }
    print_row(scene, "create", &create);
    print_row(scene, "delete", &delete);
}

static void path_of_all(char path[PATH_MAX_SIZE], size_t number)
{
    (void)number;
    snprintf(path, PATH_MAX_SIZE, "/growth");
}

static void measure_nodes(struct scene *scene)
{
    char path[PATH_MAX_SIZE];
    make(scene, "/growth");
    for (size_t i = 0; i < scene->size; i += DIRECTORY) {
        path_in_directory(path, i);
        *strrchr(path, '/') = 0;
        make(scene, path);
    }
    measure_tree(scene, path_in_directory);
    measure_staying(scene, path_of_all, "count", ZKL_OP_GET_ALL_CHILDREN_NUMBER, BATCH);
}

static void measure_children(struct scene *scene)
{
    make(scene, "/growth");
    measure_tree(scene, path_of_child);
}

/* --- watches --------------------------------------------------------------------- */

/* They stand on paths where nothing is, so that the tree is as small at every size. */
enum { WATCHERS = 10, PATHS_PER_FRAME = 100, BYSTANDERS = 1000 };

struct watchers {
    struct scene *scene;
    struct zkl_connection *connections[WATCHERS];
};

static void path_of_watch(char path[PATH_MAX_SIZE], size_t number)
{
    snprintf(path, PATH_MAX_SIZE, "/watched/n%07zu", number);
}

/* For the first `count` of the order; each watcher asks for its own in one go. */
static void ask_watchers(struct watchers *all, int32_t op, size_t count, int32_t code,
                         struct row *row)
{
    struct scene *scene = all->scene;
    char path[PATH_MAX_SIZE];
    core_begin(&scene->core, BATCH, code, row);
    for (size_t watcher = 0; watcher < WATCHERS; watcher++) {
        for (size_t i = 0; i < count; i++) {
            if (scene->order[i] % WATCHERS != watcher) continue;
            path_of_watch(path, scene->order[i]);
            ask(scene, &all->connections[watcher], op, path, true);
        }
    }
    core_end(&scene->core);
}

/* As clients do when they come back: many paths in one request. Each watcher names its own. */
static void set_watches(struct watchers *all, size_t count, struct row *row)
{
    static uint8_t bytes[PATHS_PER_FRAME * (4 + PATH_MAX_SIZE)];
    struct scene *scene = all->scene;
    struct row frames = { 0, 0 };
    core_begin(&scene->core, BATCH / 10, ZKL_CODE_OK, &frames);
    for (size_t watcher = 0; watcher < WATCHERS; watcher++) {
        struct zkl_writer writer = { bytes, sizeof bytes, 0 };
        struct zkl_request request = { .op = ZKL_OP_SET_WATCHES,
                                       .zxid = zkl_server_zxid(scene->core.server) };
        struct zkl_vector *exist = &request.watches[1];
        for (size_t i = 0; i < count; i++) {
            char path[PATH_MAX_SIZE];
            bool is_last = i + 1 == count;
            if (scene->order[i] % WATCHERS == watcher) {
                path_of_watch(path, scene->order[i]);
                zkl_write_string(&writer, (struct zkl_slice) { (uint8_t *)path, strlen(path) });
                exist->count++;
            }
            if (exist->count < PATHS_PER_FRAME && !(is_last && exist->count > 0)) continue;
            exist->base = bytes;
            exist->size = writer.size;
            core_ask(&scene->core, &all->connections[watcher], &request);
            writer.size = 0;
            exist->count = 0;
        }
    }
    core_end(&scene->core);
    if (row == NULL) return;
    row->ns += frames.ns;
    row->count += count;
}

static void fire(struct watchers *all, size_t count, struct row *row)
{
    struct scene *scene = all->scene;
    size_t before = scene->core.events;
    ask_for_all(scene, path_of_watch, ZKL_OP_CREATE, count, row);
    if (scene->core.events - before != count) measure_fail("not all watches fired");
    ask_for_all(scene, path_of_watch, ZKL_OP_DELETE, count, NULL);
}

static void set_bystanders(struct scene *scene)
{
    struct row row = { 0, 0 };
    char path[PATH_MAX_SIZE];
    make(scene, "/growth");
    for (size_t i = 0; i < BYSTANDERS; i++) {
        path_of_child(path, i);
        make(scene, path);
    }
    core_begin(&scene->core, BATCH, ZKL_CODE_OK, &row);
    for (size_t i = 0; i < OPERATIONS; i++) {
        path_of_child(path, (size_t)zkl_random_below(&scene->random, BYSTANDERS));
        ask(scene, &scene->client, ZKL_OP_SET_DATA, path, false);
    }
    core_end(&scene->core);
    print_row(scene, "set-elsewhere", &row);
}

static void measure_watches(struct scene *scene)
{
    struct watchers all = { .scene = scene };
    struct row arm = { 0, 0 }, disarm = { 0, 0 }, again = { 0, 0 }, firing = { 0, 0 };
    core_begin(&scene->core, BATCH, ZKL_CODE_OK, NULL);
    for (size_t i = 0; i < WATCHERS; i++) core_greet(&scene->core, &all.connections[i], 60000);
    core_end(&scene->core);
    make(scene, "/watched");
    set_watches(&all, scene->size, NULL);
    set_bystanders(scene);
    for (size_t i = 0; i < rounds(scene); i++) {
        size_t count = away(scene);
        shuffle(scene, count);
        ask_watchers(&all, ZKL_OP_REMOVE_WATCHES, count, ZKL_CODE_OK, &disarm);
        set_watches(&all, count, &again);
        fire(&all, count, &firing);
        ask_watchers(&all, ZKL_OP_EXISTS, count, ZKL_CODE_NONODE, &arm);
    }
    print_row(scene, "arm", &arm);
    print_row(scene, "fire-by-create", &firing);
    print_row(scene, "remove", &disarm);
    print_row(scene, "set-again", &again);
}

/* --- sessions -------------------------------------------------------------------- */

enum {
    TIMEOUT_TICKS = 20,
    TIMEOUT_MS = TIMEOUT_TICKS * ZKL_TICK_TIME_MS_DEFAULT,
    QUIET_TICKS = 10 /* at a time: nobody expires */
};

struct crowd {
    struct scene *scene;
    struct zkl_connection **places;
};

/* The first `count` of the order. */
static void greet(struct crowd *crowd, size_t count, struct row *row)
{
    struct scene *scene = crowd->scene;
    core_begin(&scene->core, BATCH, ZKL_CODE_OK, row);
    for (size_t i = 0; i < count; i++) {
        core_greet(&scene->core, &crowd->places[scene->order[i]], TIMEOUT_MS);
    }
    core_end(&scene->core);
}

/* Those from `first` to `last` in the order. */
static void ask_crowd(struct crowd *crowd, int32_t op, size_t first, size_t last, size_t batch,
                      struct row *row)
{
    struct scene *scene = crowd->scene;
    const struct zkl_request request = { .op = op };
    core_begin(&scene->core, batch, ZKL_CODE_OK, row);
    for (size_t i = first; i < last; i++) {
        core_ask(&scene->core, &crowd->places[scene->order[i]], &request);
    }
    core_end(&scene->core);
}

/* Everybody but the first `silent` of the order lives on, for that many ticks at the most. */
static void ping_all(struct crowd *crowd, size_t silent)
{
    ask_crowd(crowd, ZKL_OP_PING, silent, crowd->scene->size, BATCH, NULL);
    ask_crowd(crowd, ZKL_OP_PING, 0, 0, BATCH, NULL);
}

/* Each time a tick later, so that every ping moves its session. */
static void measure_pings(struct crowd *crowd, const char *name, size_t batch)
{
    struct scene *scene = crowd->scene;
    struct row row = { 0, 0 };
    for (size_t i = 0; i < rounds(scene); i++) {
        shuffle(scene, away(scene));
        ask_crowd(crowd, ZKL_OP_PING, 0, away(scene), batch, &row);
        if (i % QUIET_TICKS == 0) ping_all(crowd, 0);
        core_wait(&scene->core, 1, 0, NULL);
    }
    print_row(scene, name, &row);
}

static void measure_ticks(struct crowd *crowd)
{
    struct scene *scene = crowd->scene;
    struct row row = { 0, 0 };
    for (size_t i = 0; i < OPERATIONS / 1000; i++) {
        ping_all(crowd, 0);
        core_wait(&scene->core, QUIET_TICKS, QUIET_TICKS, &row);
    }
    print_row(scene, "quiet-tick", &row);
}

/* The time of all ticks until they are gone falls on those that expire. */
static void expire(struct crowd *crowd, size_t count, struct row *row)
{
    struct scene *scene = crowd->scene;
    ping_all(crowd, 0);
    for (size_t ticks = 0; ticks <= TIMEOUT_TICKS; ticks++) {
        if (ticks % QUIET_TICKS == 0) ping_all(crowd, count);
        core_wait(&scene->core, 1, ticks == TIMEOUT_TICKS ? count : 0, row);
    }
    for (size_t i = 0; i < scene->size; i++) {
        bool is_gone = crowd->places[scene->order[i]] == NULL;
        if (is_gone != (i < count)) measure_fail("the wrong sessions expired");
    }
}

static void measure_sessions(struct scene *scene)
{
    struct crowd crowd = { scene, calloc(scene->size, sizeof *crowd.places) };
    struct row connect = { 0, 0 }, leave = { 0, 0 }, expiry = { 0, 0 };
    if (crowd.places == NULL) measure_fail("out of memory");
    greet(&crowd, scene->size, NULL);
    measure_pings(&crowd, "ping", BATCH);
    measure_pings(&crowd, "ping-alone", 1);
    measure_ticks(&crowd);
    for (size_t i = 0; i < rounds(scene); i++) {
        size_t count = away(scene);
        shuffle(scene, count);
        ask_crowd(&crowd, ZKL_OP_CLOSE_SESSION, 0, count, BATCH, &leave);
        greet(&crowd, count, &connect);
        shuffle(scene, count);
        expire(&crowd, count, &expiry);
        greet(&crowd, count, &connect);
    }
    print_row(scene, "connect", &connect);
    print_row(scene, "close", &leave);
    print_row(scene, "expire", &expiry);
    free(crowd.places);
}

/* --- a snapshot ------------------------------------------------------------------ */

enum { SLICE_SIZE = 64 * 1024 }; /* as src/uv has it */

static void measure_snapshot(struct scene *scene)
{
    static uint8_t slice[SLICE_SIZE];
    struct row node = { 0, 0 }, set = { 0, 0 };
    struct zkl_server *server = scene->core.server;
    make(scene, "/growth");
    ask_for_all(scene, path_of_child, ZKL_OP_CREATE, scene->size, NULL);
    while (set.count < OPERATIONS) {
        int64_t zxid;
        size_t size;
        double started_ns = measure_cpu_ns();
        if (zkl_server_snapshot_begin(server, &zxid) != ZKL_OK) measure_fail("out of memory");
        node.ns += measure_cpu_ns() - started_ns;
        do {
            started_ns = measure_cpu_ns();
            if (zkl_server_snapshot_next(server, slice, sizeof slice, &size) != ZKL_OK) {
                measure_fail("out of memory");
            }
            node.ns += measure_cpu_ns() - started_ns;
            shuffle(scene, BATCH);
            ask_for_all(scene, path_of_child, ZKL_OP_SET_DATA, BATCH, &set);
        } while (size > 0);
        zkl_server_snapshot_end(server);
        node.count += scene->size;
    }
    print_row(scene, "node", &node);
    print_row(scene, "set-meanwhile", &set);
}

/* --- which is which -------------------------------------------------------------- */

struct kind {
    const char *name;
    size_t large;
    void (*measure)(struct scene *scene);
};

static void run(const struct kind *kind)
{
    const size_t sizes[] = { SMALL, kind->large };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct scene scene = { .name = kind->name, .size = sizes[i] };
        start(&scene);
        kind->measure(&scene);
        stop(&scene);
    }
}

int main(int argc, char **argv)
{
    static const struct kind kinds[] = {
        { "nodes", LARGE, measure_nodes },          { "children", LARGE, measure_children },
        { "watches", LARGE, measure_watches },      { "sessions", SESSIONS, measure_sessions },
        { "snapshot", LARGE, measure_snapshot },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        bool wanted = argc == 1;
        for (int k = 1; k < argc; k++) wanted = wanted || strcmp(argv[k], kinds[i].name) == 0;
        if (wanted) run(&kinds[i]);
    }
    return 0;
}

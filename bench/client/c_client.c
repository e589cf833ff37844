/* c_client PORT OPERATION WINDOW COUNT
 *
 * Apache's C client, multi-threaded, asynchronous calls: each completion starts the next
 * request, so WINDOW are in flight. */
#define _DEFAULT_SOURCE
#define THREADED
#include "measure.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define DATA_SIZE 100
#define WINDOW_MAX 1000

enum operation { GET, SET, CREATE, DELETE };

struct slot {
    uint64_t sent_ns;
    bool timed;
};

/* `sent` and `done` belong to the completion thread once the first window is out. */
struct bench {
    zhandle_t *handle;
    char root[64];
    enum operation operation;
    size_t window;
    size_t count;
    size_t sent;
    size_t done;
    struct measure *measure;
    struct slot slots[WINDOW_MAX];
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

static struct bench bench = {
    .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER
};
static const char data[DATA_SIZE];

static void send_next(struct slot *slot);

static void completed(int error, struct slot *slot)
{
    if (error != ZOK) measure_fail("error %d", error);
    if (slot->timed) measure_latency(bench.measure, slot->sent_ns);
    pthread_mutex_lock(&bench.mutex);
    bool more = bench.sent < bench.count;
    if (++bench.done == bench.count) pthread_cond_signal(&bench.changed);
    pthread_mutex_unlock(&bench.mutex);
    if (more) send_next(slot);
}

static void on_data(int error, const char *value, int size, const struct Stat *stat,
                    const void *slot)
{
    (void)value;
    (void)size;
    (void)stat;
    completed(error, (struct slot *)(uintptr_t)slot);
}

static void on_stat(int error, const struct Stat *stat, const void *slot)
{
    (void)stat;
    completed(error, (struct slot *)(uintptr_t)slot);
}

static void on_string(int error, const char *value, const void *slot)
{
    (void)value;
    completed(error, (struct slot *)(uintptr_t)slot);
}

static void on_void(int error, const void *slot)
{
    completed(error, (struct slot *)(uintptr_t)slot);
}

static void send_next(struct slot *slot)
{
    char path[96];
    int error = ZOK;
    pthread_mutex_lock(&bench.mutex);
    if (bench.sent == bench.count) {
        pthread_mutex_unlock(&bench.mutex);
        return;
    }
    size_t index = bench.sent++;
    pthread_mutex_unlock(&bench.mutex);
    slot->timed = bench.measure != NULL &&
                  (bench.window == 1 || index % MEASURE_SAMPLE_EVERY == 0);
    if (slot->timed) slot->sent_ns = measure_now_ns();
    snprintf(path, sizeof path, "%s/n%08zu", bench.root, index);
    switch (bench.operation) {
    case GET:
        error = zoo_aget(bench.handle, bench.root, 0, on_data, slot);
        break;
    case SET:
        error = zoo_aset(bench.handle, bench.root, data, DATA_SIZE, -1, on_stat, slot);
        break;
    case CREATE:
        error = zoo_acreate(bench.handle, path, data, DATA_SIZE, &ZOO_OPEN_ACL_UNSAFE, 0,
                            on_string, slot);
        break;
    case DELETE:
        error = zoo_adelete(bench.handle, path, -1, on_void, slot);
        break;
    }
    if (error != ZOK) measure_fail("submit: error %d", error);
}

static void run(enum operation operation, size_t count, size_t window, struct measure *measure)
{
    bench.operation = operation;
    bench.count = count;
    bench.window = window;
    bench.sent = bench.done = 0;
    bench.measure = measure;
    for (size_t i = 0; i < window; i++) send_next(&bench.slots[i]);
    pthread_mutex_lock(&bench.mutex);
    while (bench.done < count) pthread_cond_wait(&bench.changed, &bench.mutex);
    pthread_mutex_unlock(&bench.mutex);
}

static enum operation operation_by_name(const char *name)
{
    static const char *const names[] = { "get", "set", "create", "delete" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) return (enum operation)i;
    }
    measure_fail("unknown operation %s", name);
}

int main(int argc, char **argv)
{
    if (argc != 5) measure_fail("c_client PORT get|set|create|delete WINDOW COUNT");
    enum operation operation = operation_by_name(argv[2]);
    size_t window = strtoul(argv[3], NULL, 10);
    size_t count = strtoul(argv[4], NULL, 10);
    if (window < 1 || window > WINDOW_MAX || count < 1) measure_fail("window: 1 to %d", WINDOW_MAX);
    char address[64];
    struct measure measure;
    snprintf(address, sizeof address, "127.0.0.1:%s", argv[1]);
    snprintf(bench.root, sizeof bench.root, "/bench-c-%ld", (long)getpid());
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    bench.handle = zookeeper_init(address, NULL, 30000, NULL, NULL, 0);
    if (bench.handle == NULL) measure_fail("zookeeper_init");
    int error = zoo_create(bench.handle, bench.root, data, DATA_SIZE, &ZOO_OPEN_ACL_UNSAFE, 0,
                           NULL, 0);
    if (error != ZOK) measure_fail("create: error %d", error);

    if (operation == DELETE) run(CREATE, count, WINDOW_MAX, NULL);
    if (operation == GET || operation == SET) run(operation, count / 10 + 1, window, NULL);
    measure_start(&measure, count);
    run(operation, count, window, &measure);
    measure_report(&measure, count);
    if (operation == CREATE) run(DELETE, count, WINDOW_MAX, NULL);
    zookeeper_close(bench.handle);
    return 0;
}

#define _POSIX_C_SOURCE 200809L /* clock_gettime, gmtime_r, poll, ftruncate */

#include "uv/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/* One standard error per process, hence one of these. */
static struct {
    uv_mutex_t mutex;
    unsigned long long dropped;
    time_t chatter_second;
    int chatter_count;
    size_t size_max; /* of the file that it is, 0: none */
} state;

static void init_state(void)
{
    uv_mutex_init(&state.mutex);
}

static void lock_state(void)
{
    static uv_once_t once = UV_ONCE_INIT;
    uv_once(&once, init_state);
    uv_mutex_lock(&state.mutex);
}

void zkl_log_limit(size_t size)
{
    lock_state();
    state.size_max = size;
    uv_mutex_unlock(&state.mutex);
}

/* Whether a write of a line would not wait: a pipe that polls writable takes PIPE_BUF bytes. */
static bool has_room(void)
{
    struct pollfd output = { .fd = STDERR_FILENO, .events = POLLOUT };
    return poll(&output, 1, 0) == 1 && (output.revents & POLLOUT) != 0;
}

static bool too_much_chatter(time_t second)
{
    if (second != state.chatter_second) {
        state.chatter_second = second;
        state.chatter_count = 0;
    }
    return ++state.chatter_count > ZKL_LOG_CHATTER_PER_S;
}

static void put(const struct timespec *time, enum zkl_log_level level, const char *text)
{
    static const char *const names[] = { "info ", "info ", "warn ", "error" };
    struct tm date;
    gmtime_r(&time->tv_sec, &date);
    char line[ZKL_LOG_LINE_MAX + 64];
    size_t size = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &date);
    int more = snprintf(line + size, sizeof line - size, ".%03ldZ %s %s\n",
                        time->tv_nsec / 1000000, names[level], text);
    ssize_t written = write(STDERR_FILENO, line, size + (size_t)more);
    (void)written; /* there is nobody else to tell */
}

static void keep_limit(const struct timespec *time)
{
    struct stat file;
    if (state.size_max == 0 || fstat(STDERR_FILENO, &file) != 0) return;
    if (file.st_size < (off_t)state.size_max || ftruncate(STDERR_FILENO, 0) != 0) return;
    put(time, ZKL_LOG_INFO, "begun anew: the log had grown to its limit");
}

void zkl_log(enum zkl_log_level level, const char *format, ...)
{
    char text[ZKL_LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    /* Texts may hold what a peer or a file chose: one line stays one line. */
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) *c = '?';
    }

    lock_state();
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (!has_room() || (level == ZKL_LOG_CHATTER && too_much_chatter(now.tv_sec))) {
        state.dropped++;
    } else {
        if (state.dropped > 0) {
            char gap[64];
            snprintf(gap, sizeof gap, "%llu lines were left out here", state.dropped);
            put(&now, ZKL_LOG_INFO, gap);
            state.dropped = 0;
        }
        keep_limit(&now);
        put(&now, level, text);
    }
    uv_mutex_unlock(&state.mutex);
}

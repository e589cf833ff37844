#define _POSIX_C_SOURCE 200809L /* sigaction, clock_gettime, poll */

#include "main/interrupt.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    /* How long the loop may take to turn before a coroutine counts as computing. */
    GRACE_MS = 200,
    /* timeout(1) signals its child twice, once by number and once with the whole group: a signal
     * that follows the first within this time is the same one. */
    SAME_SIGNAL_MS = 100,
    /* A prime: a loop whose length divides the interval would always be seen at the same place,
     * which may be one that is spared. */
    HOOK_INSTRUCTIONS = 997,
};

static const int caught[] = { SIGINT, SIGTERM, SIGHUP };

/* Written by the handler or read by it, hence lock-free atomics. */
static atomic_int first_signal;
static atomic_llong first_signal_ms;
static atomic_bool armed; /* from the first signal on */
static atomic_llong raise_at_ms;
static _Atomic(lua_State *) running; /* NULL while the main thread runs: it is never interrupted */
static int wake_pipe[2] = { -1, -1 };
static const char *spared_chunks = "";
static size_t spared_size;

static long long now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (long long)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void hook(lua_State *L, lua_Debug *where)
{
    long long now = now_ms();
    if (now < atomic_load(&raise_at_ms)) return;
    lua_getinfo(L, "Sl", where);
    /* The library's own work has to be whole; who called it will be caught soon enough. */
    if (spared_size > 0 && strncmp(where->source, spared_chunks, spared_size) == 0) return;
    /* Whoever catches this gets a moment to clean up before it is raised again. */
    atomic_store(&raise_at_ms, now + GRACE_MS);
    lua_pushfstring(L, "%s:%d: interrupted", where->short_src, where->currentline);
    lua_error(L);
}

static void watch(lua_State *L)
{
    /* Setting it anew would start its count anew: coroutines that take turns would escape. */
    if (lua_gethook(L) == hook) return;
    lua_sethook(L, hook, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
}

/* ---- In signal handlers: nothing but async-signal-safe calls, and lua_sethook, which Lua
 * ---- allows there. */

static void die_of(int signal)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
    raise(signal);
}

static void on_signal(int signal)
{
    int saved_errno = errno;
    int none = 0;
    if (atomic_compare_exchange_strong(&first_signal, &none, signal)) {
        long long now = now_ms();
        atomic_store(&first_signal_ms, now);
        atomic_store(&raise_at_ms, now + GRACE_MS);
        atomic_store(&armed, true);
        lua_State *L = atomic_load(&running);
        if (L != NULL) watch(L);
        ssize_t written = write(wake_pipe[1], "!", 1); /* one byte fits into an empty pipe */
        (void)written;
    } else if (now_ms() - atomic_load(&first_signal_ms) >= SAME_SIGNAL_MS) {
        die_of(signal); /* takes effect when this handler returns */
    }
    errno = saved_errno;
}

/* A broken connection is the driver's business and reported there. A reader of our output that
 * went away ends the program, as it ends any other, but tidily. */
static void on_broken_pipe(int signal)
{
    int saved_errno = errno;
    struct pollfd output = { .fd = STDOUT_FILENO };
    if (poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0
        && atomic_load(&first_signal) == 0) {
        on_signal(signal);
    }
    errno = saved_errno;
}

/* ---- The rest of the program. */

static int catch_signal(int signal, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };
    struct sigaction before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
        sigaddset(&action.sa_mask, caught[i]);
    }
    if (sigaction(signal, NULL, &before) != 0) return -1;
    if (before.sa_handler == SIG_IGN && signal == SIGHUP) return 0; /* nohup means it */
    /* No SA_RESTART: a read from the terminal must end, too. */
    return sigaction(signal, &action, NULL);
}

int zkl_interrupt_install(void)
{
    if (pipe(wake_pipe) != 0) return -1;
    for (int i = 0; i < 2; i++) {
        if (fcntl(wake_pipe[i], F_SETFD, FD_CLOEXEC) != 0) return -1;
        if (fcntl(wake_pipe[i], F_SETFL, O_NONBLOCK) != 0) return -1;
    }
    for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
        if (catch_signal(caught[i], on_signal) != 0) return -1;
    }
    return catch_signal(SIGPIPE, on_broken_pipe);
}

int zkl_interrupt_wake_fd(void)
{
    return wake_pipe[0];
}

int zkl_interrupt_signal(void)
{
    return atomic_load(&first_signal);
}

void zkl_interrupt_begin(void)
{
    /* No coroutine runs now; those that are resumed are watched from then on. */
    assert(atomic_load(&running) == NULL);
    zkl_interrupt_turned();
    atomic_store(&armed, true);
}

void zkl_interrupt_turned(void)
{
    atomic_store(&raise_at_ms, now_ms() + GRACE_MS);
}

void zkl_interrupt_die(int signal)
{
    die_of(signal);
    _exit(128 + signal); /* blocked, or ignored by whoever started us */
}

/* Moves `argument_count` values from `L` to `co` and runs it until it yields, returns or fails.
 * Returns how many values it left on `L`, or -1 and the error value there. */
static int resume(lua_State *L, lua_State *co, int argument_count)
{
    if (!lua_checkstack(co, argument_count)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, argument_count);

    lua_State *before = atomic_load(&running);
    int result_count;
    /* First `running`, then `armed`: the handler sets them in the other order. */
    atomic_store(&running, co);
    if (atomic_load(&armed)) watch(co);
    int status = lua_resume(co, L, argument_count, &result_count);
    atomic_store(&running, before);
    if (before != NULL && atomic_load(&armed)) watch(before);

    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return -1;
    }
    if (!lua_checkstack(L, result_count + 1)) {
        lua_pop(co, result_count);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, result_count);
    return result_count;
}

static int tracked_resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co != NULL, 1, "coroutine");
    int count = resume(L, co, lua_gettop(L) - 1);
    lua_pushboolean(L, count >= 0);
    lua_insert(L, count >= 0 ? -(count + 1) : -2);
    return count >= 0 ? count + 1 : 2;
}

static int call_wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int count = resume(L, co, lua_gettop(L));
    if (count >= 0) return count;
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        /* It failed, rather than being refused: its to-be-closed variables are closed, and an
         * error in doing so takes the place of the first one. lua_resetthread reads the first
         * one from the coroutine's stack. */
        lua_pushvalue(L, -1);
        lua_xmove(L, co, 1);
        if (lua_resetthread(co) != LUA_OK) {
            lua_pop(L, 1);
            lua_xmove(co, L, 1);
        }
    }
    return lua_error(L);
}

static int tracked_wrap(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

void zkl_interrupt_track(lua_State *L, const char *spared)
{
    spared_chunks = spared;
    spared_size = strlen(spared);
    lua_getglobal(L, "coroutine");
    lua_pushcfunction(L, tracked_resume);
    lua_setfield(L, -2, "resume");
    lua_pushcfunction(L, tracked_wrap);
    lua_setfield(L, -2, "wrap");
    lua_pop(L, 1);
}

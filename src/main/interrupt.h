/* Ending a program from outside: the first SIGINT, SIGTERM or SIGHUP asks, the second ends.
 *
 * Asking takes two roads at once. A byte in a pipe wakes the event loop, where the runner
 * cancels the main task. And whenever, from the signal on, the loop does not turn for a moment,
 * some coroutine computes or does not care that its waits end at once: a debug hook then raises
 * "interrupted" in it, though never inside of the library. Signals are the process's, so this is
 * the one part of zklua with global state. */
#ifndef ZKLUA_MAIN_INTERRUPT_H
#define ZKLUA_MAIN_INTERRUPT_H

#include <lua.h>

/* Catches the signals. Returns 0, or -1 with errno set. */
int zkl_interrupt_install(void);

/* Replaces coroutine.resume and coroutine.wrap of `L` with functions that do the same and keep
 * note of the coroutine that runs: the hook has to be set on that one. Chunks whose names begin
 * with `spared` are not interrupted; the string has to stay. */
void zkl_interrupt_track(lua_State *L, const char *spared);

/* The file descriptor that becomes readable with the first signal. */
int zkl_interrupt_wake_fd(void);

/* The first signal, or 0. */
int zkl_interrupt_signal(void);

/* Begins to interrupt without a signal: at a program's end, tasks that ignore it. */
void zkl_interrupt_begin(void);

/* The loop turns: nothing needs to be interrupted for the next moment. */
void zkl_interrupt_turned(void);

/* Ends the process by `signal`, so that whoever waits for it sees how it ended. */
void zkl_interrupt_die(int signal);

#endif

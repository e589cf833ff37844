/* A write to a connection that its peer has closed raises SIGPIPE, whose default action ends the
 * process; libuv leaves that to its host. Here such a write has to fail like any other.
 *
 * Only the default action is replaced, and by a handler that does nothing: unlike an ignored
 * signal, a handler is gone in the programs that this process starts. */
#define _POSIX_C_SOURCE 200809L /* sigaction */

#include "lua/binding.h"

#include <signal.h>

static void on_broken_pipe(int number)
{
    (void)number;
}

int zkl_survive_broken_pipes(lua_State *L)
{
    (void)L;
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) != 0 || action.sa_handler != SIG_DFL) return 0;
    action.sa_handler = on_broken_pipe;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGPIPE, &action, NULL);
    return 0;
}

/* What the cores need of the system they run on: clocks, random bytes, an identity. The machine
 * itself, or a simulated one, which stands still until it is told the time. */
#ifndef ZKLUA_LUA_SYSTEM_H
#define ZKLUA_LUA_SYSTEM_H

#include <stdbool.h>

#include "base/random.h"
#include "lua/compat.h"

#define ZKL_HOSTNAME_SIZE 256

/* NULL stands for the machine. */
struct zkl_system {
    unsigned uses; /* the module table that it was made for, and what was made by that */
    int64_t now_us, wall_us;
    struct zkl_random random;
    lua_Integer pid;
    char hostname[ZKL_HOSTNAME_SIZE];
};

/* Out of memory: NULL. With one use. */
struct zkl_system *zkl_system_new(uint64_t seed);
struct zkl_system *zkl_system_hold(struct zkl_system *system);
void zkl_system_release(struct zkl_system *system);

/* Monotonic, counting suspend. */
int64_t zkl_system_now_us(const struct zkl_system *system);
static inline int64_t zkl_system_now_ms(const struct zkl_system *system)
{
    return zkl_system_now_us(system) / 1000;
}
/* Since 1970, as a wall clock has it. */
int64_t zkl_system_wall_ms(const struct zkl_system *system);
/* false: the system gives none. */
bool zkl_system_random(struct zkl_system *system, void *bytes, size_t size);
lua_Integer zkl_system_pid(const struct zkl_system *system);
/* false: it has no name. */
bool zkl_system_hostname(const struct zkl_system *system, char name[ZKL_HOSTNAME_SIZE]);

/* How often this process is the child of a fork. */
unsigned zkl_fork_count(void);
/* Once for the process, before the first count. */
void zkl_watch_forks(void);

#endif

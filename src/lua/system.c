#define _GNU_SOURCE

#include "lua/system.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "zklua/base.h"

/* --- clocks --------------------------------------------------------------------------- */

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    int status = clock_gettime(clock, &now);
    ZKL_ASSERT(status == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t zkl_system_now_us(const struct zkl_system *system)
{
    return system == NULL ? clock_us(CLOCK_BOOTTIME) : system->now_us;
}

int64_t zkl_system_wall_ms(const struct zkl_system *system)
{
    return (system == NULL ? clock_us(CLOCK_REALTIME) : system->wall_us) / 1000;
}

/* --- random bytes --------------------------------------------------------------------- */

static bool machine_random(uint8_t *at, size_t size)
{
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

bool zkl_system_random(struct zkl_system *system, void *bytes, size_t size)
{
    uint8_t *at = bytes;
    if (system == NULL) return machine_random(at, size);
    for (size_t i = 0; i < size; i++) at[i] = (uint8_t)zkl_random_next(&system->random);
    return true;
}

/* --- identity ------------------------------------------------------------------------- */

lua_Integer zkl_system_pid(const struct zkl_system *system)
{
    return system == NULL ? (lua_Integer)getpid() : system->pid;
}

bool zkl_system_hostname(const struct zkl_system *system, char name[ZKL_HOSTNAME_SIZE])
{
    if (system != NULL) {
        memcpy(name, system->hostname, ZKL_HOSTNAME_SIZE);
    } else if (gethostname(name, ZKL_HOSTNAME_SIZE) != 0) {
        return false;
    }
    name[ZKL_HOSTNAME_SIZE - 1] = '\0';
    return true;
}

/* --- forks ---------------------------------------------------------------------------- */

/* Counted in the child of each fork, where one thread runs: no lock. It only ever differs from
 * what a client remembers in a process that did not make that client. */
static volatile unsigned fork_count;

static void count_fork(void)
{
    fork_count++;
}

static void watch(void)
{
    int status = pthread_atfork(NULL, NULL, count_fork);
    ZKL_ASSERT(status == 0);
}

void zkl_watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
}

unsigned zkl_fork_count(void)
{
    return fork_count;
}

/* --- simulated ones --------------------------------------------------------------------- */

struct zkl_system *zkl_system_new(uint64_t seed)
{
    struct zkl_system *system = calloc(1, sizeof *system);
    if (system == NULL) return NULL;
    system->uses = 1;
    system->random.state = seed;
    return system;
}

struct zkl_system *zkl_system_hold(struct zkl_system *system)
{
    if (system != NULL) system->uses++;
    return system;
}

void zkl_system_release(struct zkl_system *system)
{
    if (system != NULL && --system->uses == 0) free(system);
}

/* A small generator (splitmix64) for jitter, shuffles and hash seeds: the same seed gives
 * the same run on every machine. Not for secrets. */
#ifndef ZKLUA_BASE_RANDOM_H
#define ZKLUA_BASE_RANDOM_H

#include <stdint.h>

struct zkl_random {
    uint64_t state;
};

static inline uint64_t zkl_random_next(struct zkl_random *random)
{
    uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 <= result < limit; 0 for limit <= 0. The bias of the remainder is below 2^-32 for
 * the limits in use here (milliseconds, list sizes). */
static inline int64_t zkl_random_below(struct zkl_random *random, int64_t limit)
{
    if (limit <= 0) return 0;
    return (int64_t)(zkl_random_next(random) % (uint64_t)limit);
}

/* 0 <= result < 1 */
static inline double zkl_random_unit(struct zkl_random *random)
{
    return (double)(zkl_random_next(random) >> 11) / 9007199254740992.0;
}

#endif

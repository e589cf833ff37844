/* As much of ZooKeeper's encoding as the raw loader and the canned peer need. Written apart
 * from src/wire on purpose: what is measured must not share code with its yardstick. */
#ifndef BENCH_JUTE_H
#define BENCH_JUTE_H

#include <stdint.h>
#include <string.h>

enum {
    OP_CREATE = 1,
    OP_DELETE = 2,
    OP_EXISTS = 3,
    OP_GET = 4,
    OP_SET = 5,
    OP_SYNC = 9,
    OP_PING = 11,
    OP_CHILDREN2 = 12,
    OP_CREATE2 = 15,
    OP_CLOSE = -11,
    STAT_SIZE = 68,
    DATA_SIZE = 100, /* bytes in the node that is read and written */
    CONNECT_SIZE = 45
};

static inline uint8_t *put32(uint8_t *at, int32_t value)
{
    uint32_t bits = (uint32_t)value;
    at[0] = (uint8_t)(bits >> 24);
    at[1] = (uint8_t)(bits >> 16);
    at[2] = (uint8_t)(bits >> 8);
    at[3] = (uint8_t)bits;
    return at + 4;
}

static inline uint8_t *put64(uint8_t *at, int64_t value)
{
    at = put32(at, (int32_t)(value >> 32));
    return put32(at, (int32_t)value);
}

static inline uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t size)
{
    at = put32(at, (int32_t)size);
    memcpy(at, bytes, size);
    return at + size;
}

static inline int32_t get32(const uint8_t *at)
{
    return (int32_t)((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);
}

#endif

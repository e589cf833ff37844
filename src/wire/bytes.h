/* Big-endian integers at an address: the one place that knows the byte order.
 * Compilers turn each of these into a load or store with a byte swap. */
#ifndef ZKLUA_WIRE_BYTES_H
#define ZKLUA_WIRE_BYTES_H

#include <stdint.h>

static inline uint32_t zkl_load_u32(const uint8_t *at)
{
    return ((uint32_t)at[0] << 24) | ((uint32_t)at[1] << 16) | ((uint32_t)at[2] << 8) |
           (uint32_t)at[3];
}

static inline int32_t zkl_load_i32(const uint8_t *at)
{
    return (int32_t)zkl_load_u32(at);
}

static inline int64_t zkl_load_i64(const uint8_t *at)
{
    return (int64_t)(((uint64_t)zkl_load_u32(at) << 32) | zkl_load_u32(at + 4));
}

static inline void zkl_store_i32(uint8_t *at, int32_t value)
{
    uint32_t bits = (uint32_t)value;
    at[0] = (uint8_t)(bits >> 24);
    at[1] = (uint8_t)(bits >> 16);
    at[2] = (uint8_t)(bits >> 8);
    at[3] = (uint8_t)bits;
}

static inline void zkl_store_i64(uint8_t *at, int64_t value)
{
    uint64_t bits = (uint64_t)value;
    zkl_store_i32(at, (int32_t)(uint32_t)(bits >> 32));
    zkl_store_i32(at + 4, (int32_t)(uint32_t)bits);
}

#endif

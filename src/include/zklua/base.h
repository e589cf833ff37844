/* What every layer shares: memory by hook, slices, status codes, assertions.
 *
 * Nothing here or below touches a file, a socket or a clock. Times are int64_t
 * milliseconds on a monotonic clock of the caller's choosing; ZKL_NEVER stands
 * for "no deadline". */
#ifndef ZKLUA_BASE_H
#define ZKLUA_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZKL_NEVER INT64_MAX

/* What a call answers. Only ZKL_OK is zero. Codes that travel on the wire have
 * their own enum (zklua/wire.h). */
enum zkl_status {
    ZKL_OK = 0,
    ZKL_E_NOMEM,    /* the allocator refused; nothing was changed */
    ZKL_E_LIMIT,    /* a named limit was reached; nothing was changed */
    ZKL_E_ARGUMENT, /* the caller's value cannot be sent (path, flags, ttl ...) */
    ZKL_E_OFFLINE,  /* fail_fast was asked and there is no connection */
    ZKL_E_ENDED,    /* the object is in a terminal state */
    ZKL_E_CORRUPT   /* the peer's bytes do not follow the protocol */
};

/* Memory, in the shape of lua_Alloc: new_size 0 frees, block NULL allocates.
 * `allocate` may return NULL only when new_size > 0. One hook per object. */
struct zkl_allocator {
    void *(*allocate)(void *context, void *block, size_t old_size, size_t new_size);
    void *context;
};

/* Bytes that belong to somebody else. base == NULL is the protocol's null
 * (length -1), which is a different value from an empty slice. */
struct zkl_slice {
    const uint8_t *base;
    size_t size;
};

/* Our own mistakes end here, also in a release build. The host of the core
 * defines this function; it must not return. */
_Noreturn void zkl_assert_failed(const char *expression, const char *file, int line);

#define ZKL_ASSERT(expression) \
    ((expression) ? (void)0 : zkl_assert_failed(#expression, __FILE__, __LINE__))

#endif

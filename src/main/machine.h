/* What the cores may not do themselves, done by this machine: memory (memory.c), SHA-1 from
 * OpenSSL, random bytes from the kernel. */
#ifndef ZKLUA_MAIN_MACHINE_H
#define ZKLUA_MAIN_MACHINE_H

#include "zklua/server.h"

extern const struct zkl_allocator zkl_machine_allocator;
extern const struct zkl_crypto zkl_machine_crypto;

/* Unpredictable, for hash tables. */
uint64_t zkl_machine_seed(void);

#endif

/* What the files of the server's parts share. */
#ifndef ZKLUA_SERVER_TESTING_H
#define ZKLUA_SERVER_TESTING_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

/* OpenSSL's, in the shape of zkl_crypto. */
void zkl_testing_sha1(void *context, const uint8_t *bytes, size_t size, uint8_t hash[20]);
int zkl_testing_server_bench(lua_State *L);

#endif

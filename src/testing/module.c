/* zklua_testing: a table per part of the core. A new file adds a line to PARTS. */
#include <stdio.h>
#include <stdlib.h>

#include "testing/testing.h"
#include "zklua/base.h"

static const struct {
    const char *name;
    lua_CFunction open;
} PARTS[] = {
    { "acls", zkl_testing_open_acls },
    { "base", zkl_testing_open_base },
    { "client", zkl_testing_open_client },
    { "disk", zkl_testing_open_disk },
    { "decimal", zkl_testing_open_decimal },
    { "host", zkl_testing_open_host },
    { "prep", zkl_testing_open_prep },
    { "quota", zkl_testing_open_quota },
    { "server", zkl_testing_open_server },
    { "sessions", zkl_testing_open_sessions },
    { "tree", zkl_testing_open_tree },
    { "store", zkl_testing_open_store },
    { "txn", zkl_testing_open_txn },
    { "watches", zkl_testing_open_watches },
    { "wire", zkl_testing_open_wire },
};

/* A failed assertion ends the test run: no spec may go on after one. */
_Noreturn void zkl_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
    abort();
}

int luaopen_zklua_testing(lua_State *L);

int luaopen_zklua_testing(lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        PARTS[i].open(L);
        lua_setfield(L, -2, PARTS[i].name);
    }
    return 1;
}

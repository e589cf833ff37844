/* Memory that ends at a page nobody may touch. One mapping per Lua state, kept in its
 * registry and used again by every call. */
#define _DEFAULT_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "testing/testing.h"

enum { GUARDED_SIZE_MAX = 4 * 1024 * 1024 };

static const char REGISTRY_KEY = 0; /* its address is the key */

struct guard {
    uint8_t *base;
    size_t size; /* without the page at its end */
    size_t page_size;
};

static int guard_gc(lua_State *L)
{
    struct guard *guard = lua_touserdata(L, 1);
    munmap(guard->base, guard->size + guard->page_size);
    return 0;
}

static struct guard *guard_new(lua_State *L)
{
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    struct guard *guard = lua_newuserdata(L, sizeof *guard);
    guard->page_size = page_size;
    guard->size = (GUARDED_SIZE_MAX + page_size - 1) / page_size * page_size;
    guard->base = mmap(NULL, guard->size + page_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guard->base == MAP_FAILED) luaL_error(L, "mmap failed");
    if (mprotect(guard->base + guard->size, page_size, PROT_NONE) != 0) {
        luaL_error(L, "mprotect failed");
    }
    lua_newtable(L);
    lua_pushcfunction(L, guard_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return guard;
}

uint8_t *zkl_testing_guarded(lua_State *L, const void *bytes, size_t size)
{
    lua_pushlightuserdata(L, (void *)&REGISTRY_KEY);
    lua_rawget(L, LUA_REGISTRYINDEX);
    struct guard *guard = lua_touserdata(L, -1);
    if (guard == NULL) {
        lua_pushlightuserdata(L, (void *)&REGISTRY_KEY);
        guard = guard_new(L);
        lua_rawset(L, LUA_REGISTRYINDEX);
    }
    lua_pop(L, 1);
    if (size > guard->size) luaL_error(L, "%d bytes are more than the guard holds", (int)size);
    uint8_t *at = guard->base + guard->size - size;
    /* Nor may anything depend on what lies in front of them. */
    size_t front = (size_t)(at - guard->base);
    if (front > 16) front = 16;
    memset(at - front, 0xee, front);
    if (bytes != NULL && size > 0) memcpy(at, bytes, size);
    if (bytes == NULL) memset(at, 0xee, size);
    return at;
}

/* What a spec cannot do to its own process in plain Lua: fork it, and starve its Lua of memory. */
#define _GNU_SOURCE

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testing/testing.h"

/* fork(fn): runs fn in a child, which ends without cleaning up; gives what fn returned, a string,
 * or the error it raised. */
static int host_fork(lua_State *L)
{
    char answer[4096];
    size_t size = 0;
    int ends[2], status;
    ssize_t got;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    if (pipe(ends) != 0) return luaL_error(L, "no pipe");
    pid_t child = fork();
    if (child < 0) return luaL_error(L, "no fork");
    if (child == 0) {
        lua_pcall(L, 0, 1, 0);
        const char *text = lua_tolstring(L, -1, &size);
        if (text == NULL) _exit(1);
        _exit(write(ends[1], text, size) == (ssize_t)size ? 0 : 1);
    }
    close(ends[1]);
    while (size < sizeof answer &&
           (got = read(ends[0], answer + size, sizeof answer - size)) > 0) {
        size += (size_t)got;
    }
    close(ends[0]);
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return luaL_error(L, "the child ended with status %d", status);
    }
    lua_pushlstring(L, answer, size);
    return 1;
}

struct diet {
    lua_Alloc allocate;
    void *context;
    lua_Integer left;
};

/* Growing fails once the diet is over; shrinking never may. */
static void *allocate_on_diet(void *context, void *block, size_t old_size, size_t new_size)
{
    struct diet *diet = context;
    if (new_size > (block == NULL ? 0 : old_size) && diet->left-- <= 0) return NULL;
    return diet->allocate(diet->context, block, old_size, new_size);
}

/* starve(n, fn, ...): calls fn, all of whose allocations by Lua fail after the n-th; as pcall. */
static int host_starve(lua_State *L)
{
    struct diet diet;
    diet.left = luaL_checkinteger(L, 1);
    lua_remove(L, 1);
    luaL_checkstack(L, 40, "starve"); /* room that pcall would otherwise have to allocate */
    diet.allocate = lua_getallocf(L, &diet.context);
    lua_setallocf(L, allocate_on_diet, &diet);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    lua_setallocf(L, diet.allocate, diet.context);
    lua_pushboolean(L, status == 0);
    lua_insert(L, 1);
    return lua_gettop(L);
}

int zkl_testing_open_host(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, host_fork);
    lua_setfield(L, -2, "fork");
    lua_pushcfunction(L, host_starve);
    lua_setfield(L, -2, "starve");
    return 1;
}

/* The zklua executable: `zklua server` is the server; everything else is Lua 5.4 with the client
 * core built in, which finds the Lua side of zklua by its own place and leaves what to do to
 * zklua/runner.lua. */
#define _POSIX_C_SOURCE 200809L /* readlink */

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "main/interrupt.h"
#include "main/server.h"

int luaopen_zklua_core(lua_State *L);

enum { PATH_SIZE_MAX = 4096 };

/* Where the library lies, seen from the executable: beside it in a build tree (CMake puts a link
 * there), or where `cmake --install` puts it. */
static const char *const library_places[] = { "lua", "../" ZKLUA_INSTALL_LUA };

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "zklua: %s: %s\n", what, why);
    return EXIT_FAILURE;
}

/* Puts the folder of this executable into `directory`. Returns 0, or -1 with errno set. */
static int own_directory(char directory[PATH_SIZE_MAX])
{
    ssize_t length = readlink("/proc/self/exe", directory, PATH_SIZE_MAX - 1);
    if (length < 0) return -1;
    directory[length] = '\0';
    char *slash = strrchr(directory, '/');
    if (slash == NULL) {
        errno = ENOENT;
        return -1;
    }
    *slash = '\0';
    return 0;
}

/* Puts our library before the places of LUA_PATH and Lua's own. Leaves on the stack how the names
 * of its chunks begin. */
static void find_library(lua_State *L)
{
    char directory[PATH_SIZE_MAX];
    if (own_directory(directory) != 0) luaL_error(L, "/proc/self/exe: %s", strerror(errno));
    for (size_t i = 0; i < sizeof(library_places) / sizeof(library_places[0]); i++) {
        const char *library = lua_pushfstring(L, "%s/%s", directory, library_places[i]);
        if (access(lua_pushfstring(L, "%s/zklua/runner.lua", library), R_OK) == 0) {
            lua_getglobal(L, "package");
            lua_getfield(L, -1, "path");
            lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", library, library, lua_tostring(L, -1));
            lua_setfield(L, -3, "path");
            lua_pushfstring(L, "@%s/zklua/", library);
            return;
        }
    }
    luaL_error(L, "the Lua library is neither in %s/%s nor in %s/%s", directory,
               library_places[0], directory, library_places[1]);
}

static int host_signal(lua_State *L)
{
    int signal = zkl_interrupt_signal();
    if (signal == 0) return 0;
    lua_pushinteger(L, signal);
    return 1;
}

static int host_turned(lua_State *L)
{
    (void)L;
    zkl_interrupt_turned();
    return 0;
}

static int host_interrupt(lua_State *L)
{
    (void)L;
    zkl_interrupt_begin();
    return 0;
}

/* What the runner needs of the machine, as a table. */
static void push_host(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "signal", host_signal },       /* the number of the first signal, or nothing */
        { "interrupt", host_interrupt }, /* interrupts what computes, as after a signal */
        { "turned", host_turned },       /* the loop turns: nothing is interrupted for a moment */
        { NULL, NULL },
    };
    luaL_newlib(L, functions);
    lua_pushinteger(L, zkl_interrupt_wake_fd());
    lua_setfield(L, -2, "wake_fd");
    lua_pushliteral(L, ZKLUA_VERSION);
    lua_setfield(L, -2, "version");
}

/* Runs protected: main(argc, argv) as light values, returns the runner's status. */
static int protected_main(lua_State *L)
{
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_zklua_core);
    lua_setfield(L, -2, "zklua.core");
    find_library(L); /* its result stays on the stack, and so alive */
    zkl_interrupt_track(L, lua_tostring(L, -1));

    lua_getglobal(L, "require");
    lua_pushliteral(L, "zklua.runner");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "main");
    push_host(L);
    lua_createtable(L, argc, 0);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_call(L, 2, 1);
    return 1;
}

static int with_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

int main(int argc, char **argv)
{
    /* Needs no Lua, and is to answer within milliseconds. */
    if (argc > 1 && strcmp(argv[1], "server") == 0) return zkl_server_main(argc - 1, argv + 1);
    lua_State *L = luaL_newstate();
    if (L == NULL) return complain("cannot start Lua", strerror(ENOMEM));
    if (zkl_interrupt_install() != 0) return complain("cannot catch signals", strerror(errno));

    lua_pushcfunction(L, with_traceback);
    lua_pushcfunction(L, protected_main);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    int status = EXIT_FAILURE;
    if (lua_pcall(L, 2, 1, 1) != LUA_OK) {
        complain("the runner failed", lua_tostring(L, -1));
    } else {
        status = (int)lua_tointeger(L, -1);
    }
    lua_close(L);

    int signal = zkl_interrupt_signal();
    if (signal != 0) {
        fflush(NULL);
        zkl_interrupt_die(signal);
    }
    return status;
}

/* The simulated disk as an object of Lua, with what specs do to it behind the store's back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "testing/disk_model.h"
#include "testing/objects.h"

#define METATABLE "zklua.testing.disk"

static struct zkl_disk *to_disk(lua_State *L)
{
    return *(struct zkl_disk **)luaL_checkudata(L, 1, METATABLE);
}

struct zkl_disk *zkl_testing_to_disk(lua_State *L, int index)
{
    if (!lua_isuserdata(L, index)) return NULL;
    struct zkl_disk *disk = *(struct zkl_disk **)luaL_checkudata(L, index, METATABLE);
    disk->references++;
    return disk;
}

void zkl_testing_let_go_of_disk(struct zkl_disk *disk)
{
    if (disk == NULL || --disk->references > 0) return;
    zkl_disk_free(disk);
    free(disk);
}

static struct zkl_disk *push_disk(lua_State *L)
{
    struct zkl_disk **disk = lua_newuserdata(L, sizeof *disk);
    *disk = malloc(sizeof **disk);
    if (*disk == NULL) luaL_error(L, "out of memory");
    zkl_testing_push_object(L, METATABLE);
    return *disk;
}

const struct zkl_files *zkl_disk_files(const struct zkl_disk *disk)
{
    return &disk->files;
}

/* new(seed) */
static int disk_new(lua_State *L)
{
    uint64_t seed = (uint64_t)luaL_optnumber(L, 1, 1);
    struct zkl_disk *disk = push_disk(L);
    zkl_disk_init(disk, seed);
    disk->references = 1;
    return 1;
}

static int disk_collect(lua_State *L)
{
    zkl_testing_let_go_of_disk(to_disk(L));
    return 0;
}

static int disk_clone(lua_State *L)
{
    struct zkl_disk *disk = to_disk(L);
    struct zkl_disk *copy = push_disk(L);
    zkl_disk_copy(copy, disk);
    copy->references = 1;
    return 1;
}

static int disk_restart(lua_State *L)
{
    zkl_disk_restart(to_disk(L));
    return 0;
}

/* crash(seed) */
static int disk_crash(lua_State *L)
{
    zkl_disk_crash(to_disk(L), (uint64_t)luaL_checknumber(L, 2));
    return 0;
}

/* set{ power_off, space, short, write_back }: calls, bytes, percent, percent */
static int disk_set(lua_State *L)
{
    struct zkl_disk *disk = to_disk(L);
    static const char *const names[] = { "power_off", "space", "short", "write_back" };
    for (int i = 0; i < 4; i++) {
        lua_getfield(L, 2, names[i]);
        if (!lua_isnil(L, -1)) {
            int64_t value = (int64_t)luaL_checknumber(L, -1);
            if (i == 0) disk->power_off_at = value;
            if (i == 1) disk->space = value;
            if (i == 2) disk->short_percent = (unsigned)value;
            if (i == 3) disk->write_back_percent = (unsigned)value;
        }
        lua_pop(L, 1);
    }
    return 0;
}

static int to_call(lua_State *L, int index)
{
    int call = zkl_disk_call(luaL_checkstring(L, index));
    luaL_argcheck(L, call >= 0, index, "no such call");
    return call;
}

/* fail(call, error, from, to): "EIO" or "ENOSPC", counted from now on */
static int disk_fail(lua_State *L)
{
    struct zkl_disk *disk = to_disk(L);
    int call = to_call(L, 2);
    struct fault *fault = &disk->faults[call];
    fault->error = strcmp(luaL_checkstring(L, 3), "ENOSPC") == 0 ? ENOSPC : EIO;
    fault->from = disk->counts[call] + (int64_t)luaL_optnumber(L, 4, 1);
    fault->to = disk->counts[call] + (int64_t)luaL_optnumber(L, 5, 1e15);
    return 0;
}

/* calls(): that may change something; calls(name): of one kind */
static int disk_calls(lua_State *L)
{
    struct zkl_disk *disk = to_disk(L);
    int64_t count = lua_isnoneornil(L, 2) ? disk->calls : disk->counts[to_call(L, 2)];
    lua_pushnumber(L, (lua_Number)count);
    return 1;
}

/* --- behind the store's back -------------------------------------------------------------- */

static int open_file(lua_State *L, struct zkl_disk *disk, enum zkl_open_mode mode)
{
    const char *directory = luaL_checkstring(L, 2);
    return disk->files.open(disk, directory, luaL_checkstring(L, 3), mode);
}

/* read(directory, name): its bytes, nil if it is not there */
static int disk_read(lua_State *L)
{
    struct zkl_disk *disk = to_disk(L);
    int file = open_file(L, disk, ZKL_OPEN_READ);
    if (file < 0) {
        lua_pushnil(L);
        return 1;
    }
    const struct inode *inode = &disk->inodes[disk->handles[file].inode];
    lua_pushlstring(L, (const char *)inode->cache, (size_t)inode->size);
    disk->files.close(disk, file);
    return 1;
}

/* write(directory, name, bytes, unsynced): all of the file, durable at once unless that is asked
 * for; nil removes it */
static int disk_write(lua_State *L)
{
    struct zkl_disk *disk = to_disk(L);
    const char *directory = luaL_checkstring(L, 2);
    size_t size;
    const char *bytes = luaL_optlstring(L, 4, NULL, &size);
    disk->files.make_directory(disk, directory);
    disk->files.remove(disk, directory, luaL_checkstring(L, 3));
    if (bytes != NULL) {
        int file = open_file(L, disk, ZKL_OPEN_CREATE);
        unsigned percent = disk->short_percent;
        disk->short_percent = 0;
        disk->files.write(disk, file, bytes, size, 0);
        if (!lua_toboolean(L, 5)) disk->files.sync(disk, file);
        disk->files.close(disk, file);
        disk->short_percent = percent;
    }
    if (lua_toboolean(L, 5)) return 0;
    disk->files.sync_directory(disk, directory);
    memset(disk->unsynced, 0, sizeof disk->unsynced);
    return 0;
}

struct name_list {
    lua_State *L;
    int count;
};

static int add_name(void *user, const char *name)
{
    struct name_list *list = user;
    lua_pushstring(list->L, name);
    lua_rawseti(list->L, -2, ++list->count);
    return 0;
}

/* names(directory): a list, in no order */
static int disk_names(lua_State *L)
{
    struct zkl_disk *disk = to_disk(L);
    struct name_list list = { L, 0 };
    lua_newtable(L);
    disk->files.list(disk, luaL_checkstring(L, 2), add_name, &list);
    return 1;
}

int zkl_testing_open_disk(lua_State *L)
{
    static const luaL_Reg methods[] = {
        { "clone", disk_clone }, { "restart", disk_restart }, { "crash", disk_crash },
        { "set", disk_set }, { "fail", disk_fail }, { "calls", disk_calls },
        { "read", disk_read }, { "write", disk_write }, { "names", disk_names },
        { NULL, NULL },
    };
    zkl_testing_define(L, METATABLE, methods, disk_collect);
    lua_newtable(L);
    lua_pushcfunction(L, disk_new);
    lua_setfield(L, -2, "new");
    return 1;
}

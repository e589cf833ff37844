/* The containers of src/base as objects of Lua: each method is one call, each object has an
 * allocator of its own that counts and fails. */
#include <string.h>

#include "base/buffer.h"
#include "base/chunks.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/random.h"
#include "testing/objects.h"

/* --- buffer ----------------------------------------------------------------------------- */

struct buffer_object {
    struct zkl_testing_allocator allocator;
    struct zkl_buffer buffer;
};

static struct zkl_buffer *to_buffer(lua_State *L)
{
    return &((struct buffer_object *)luaL_checkudata(L, 1, "zklua.testing.buffer"))->buffer;
}

static int buffer_new(lua_State *L)
{
    struct buffer_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    struct zkl_allocator hook = zkl_testing_hook(&object->allocator);
    zkl_buffer_init(&object->buffer, &hook);
    return zkl_testing_push_object(L, "zklua.testing.buffer");
}

static int buffer_free(lua_State *L)
{
    zkl_buffer_free(to_buffer(L));
    return zkl_testing_object_memory(L);
}

static int buffer_append(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    lua_pushboolean(L, zkl_buffer_append(to_buffer(L), bytes, size));
    return 1;
}

/* Gives what it consumed. */
static int buffer_consume(lua_State *L)
{
    struct zkl_buffer *buffer = to_buffer(L);
    size_t size = (size_t)luaL_checknumber(L, 2);
    lua_pushlstring(L, (const char *)buffer->base + buffer->start, size);
    zkl_buffer_consume(buffer, size);
    return 1;
}

/* Consumes and holds; gives where the bytes are, for peek. */
static int buffer_consume_held(lua_State *L)
{
    struct zkl_buffer *buffer = to_buffer(L);
    lua_pushlightuserdata(L, (void *)(uintptr_t)zkl_buffer_start(buffer));
    zkl_buffer_hold(buffer);
    zkl_buffer_consume(buffer, (size_t)luaL_checknumber(L, 2));
    return 1;
}

static int buffer_peek(lua_State *L)
{
    lua_pushlstring(L, lua_touserdata(L, 2), (size_t)luaL_checknumber(L, 3));
    return 1;
}

static int buffer_let_go(lua_State *L)
{
    zkl_buffer_let_go(to_buffer(L));
    return 0;
}

static int buffer_clear(lua_State *L)
{
    zkl_buffer_clear(to_buffer(L));
    return 0;
}

static int buffer_size(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)zkl_buffer_size(to_buffer(L)));
    return 1;
}

/* --- map of numbers, whose hash the spec chooses ------------------------------------------ */

struct map_element {
    struct zkl_map_node node;
    int64_t key;
};

struct map_object {
    struct zkl_testing_allocator allocator;
    struct zkl_map map;
};

static struct zkl_map *to_map(lua_State *L)
{
    return &((struct map_object *)luaL_checkudata(L, 1, "zklua.testing.map"))->map;
}

static int map_new(lua_State *L)
{
    struct map_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    struct zkl_allocator hook = zkl_testing_hook(&object->allocator);
    zkl_map_init(&object->map, &hook);
    return zkl_testing_push_object(L, "zklua.testing.map");
}

static struct map_element *map_find(struct zkl_map *map, int64_t key, uint64_t hash)
{
    struct zkl_map_node *node = zkl_map_first(map, hash);
    while (node != NULL && ((struct map_element *)node)->key != key) {
        node = zkl_map_next(node, hash);
    }
    return (struct map_element *)node;
}

/* insert(key, hash); false: no memory */
static int map_insert(lua_State *L)
{
    struct zkl_map *map = to_map(L);
    struct zkl_allocator *hook = &map->allocator;
    bool reserved = zkl_map_reserve(map);
    struct map_element *element =
        reserved ? hook->allocate(hook->context, NULL, 0, sizeof *element) : NULL;
    lua_pushboolean(L, element != NULL);
    if (element == NULL) return 1;
    element->key = (int64_t)luaL_checknumber(L, 2);
    zkl_map_insert(map, &element->node, (uint64_t)luaL_checknumber(L, 3));
    return 1;
}

static void map_drop(struct zkl_map *map, struct map_element *element)
{
    zkl_map_remove(map, &element->node);
    map->allocator.allocate(map->allocator.context, element, sizeof *element, 0);
}

/* reserve_ahead(count); false: no memory */
static int map_reserve_ahead(lua_State *L)
{
    size_t count = (size_t)luaL_checknumber(L, 2);
    lua_pushboolean(L, zkl_map_reserve_ahead(to_map(L), count));
    return 1;
}

/* each(): a list of all keys; each(true): of those removed, which are all of them, too */
static int map_each(lua_State *L)
{
    struct zkl_map *map = to_map(L);
    bool remove = lua_toboolean(L, 2);
    lua_newtable(L);
    int index = 0;
    struct zkl_map_node *node = zkl_map_each(map, NULL);
    while (node != NULL) {
        struct zkl_map_node *next = zkl_map_each(map, node);
        lua_pushnumber(L, (lua_Number)((struct map_element *)node)->key);
        lua_rawseti(L, -2, ++index);
        if (remove) map_drop(map, (struct map_element *)node);
        node = next;
    }
    return 1;
}

static int map_has(lua_State *L)
{
    struct map_element *element = map_find(to_map(L), (int64_t)luaL_checknumber(L, 2),
                                           (uint64_t)luaL_checknumber(L, 3));
    lua_pushboolean(L, element != NULL);
    return 1;
}

static int map_remove(lua_State *L)
{
    struct zkl_map *map = to_map(L);
    struct map_element *element = map_find(map, (int64_t)luaL_checknumber(L, 2),
                                           (uint64_t)luaL_checknumber(L, 3));
    lua_pushboolean(L, element != NULL);
    if (element != NULL) map_drop(map, element);
    return 1;
}

/* count, buckets, longest chain */
static int map_shape(lua_State *L)
{
    struct zkl_map *map = to_map(L);
    size_t longest = 0;
    for (size_t i = 0; i < map->bucket_count; i++) {
        size_t length = 0;
        for (struct zkl_map_node *at = map->buckets[i]; at != NULL; at = at->next) length++;
        if (length > longest) longest = length;
    }
    lua_pushnumber(L, (lua_Number)map->count);
    lua_pushnumber(L, (lua_Number)map->bucket_count);
    lua_pushnumber(L, (lua_Number)longest);
    return 3;
}

static int map_free(lua_State *L)
{
    struct zkl_map *map = to_map(L);
    for (size_t i = 0; i < map->bucket_count; i++) {
        while (map->buckets[i] != NULL) map_drop(map, (struct map_element *)map->buckets[i]);
    }
    zkl_map_free(map);
    return zkl_testing_object_memory(L);
}

/* --- heap of numbered places ---------------------------------------------------------------- */

enum { PLACES = 4096 };

struct heap_object {
    struct zkl_testing_allocator allocator;
    struct zkl_heap heap;
    struct zkl_heap_place places[PLACES];
};

static struct heap_object *to_heap(lua_State *L)
{
    return luaL_checkudata(L, 1, "zklua.testing.heap");
}

static struct zkl_heap_place *to_place(lua_State *L)
{
    lua_Integer number = luaL_checkinteger(L, 2);
    luaL_argcheck(L, number >= 1 && number <= PLACES, 2, "no such place");
    return &to_heap(L)->places[number - 1];
}

static int heap_new(lua_State *L)
{
    struct heap_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    for (size_t i = 0; i < PLACES; i++) object->places[i].index = ZKL_HEAP_NOWHERE;
    struct zkl_allocator hook = zkl_testing_hook(&object->allocator);
    zkl_heap_init(&object->heap, &hook);
    return zkl_testing_push_object(L, "zklua.testing.heap");
}

static int heap_insert(lua_State *L)
{
    struct zkl_heap *heap = &to_heap(L)->heap;
    bool reserved = zkl_heap_reserve(heap);
    if (reserved) zkl_heap_insert(heap, to_place(L), (int64_t)luaL_checknumber(L, 3));
    lua_pushboolean(L, reserved);
    return 1;
}

static int heap_remove(lua_State *L)
{
    zkl_heap_remove(&to_heap(L)->heap, to_place(L));
    return 0;
}

/* number, deadline */
static int heap_first(lua_State *L)
{
    struct heap_object *object = to_heap(L);
    const struct zkl_heap_item *first = zkl_heap_first(&object->heap);
    if (first == NULL) return 0;
    lua_pushnumber(L, (lua_Number)(first->place - object->places + 1));
    lua_pushnumber(L, (lua_Number)first->deadline_ms);
    return 2;
}

static int heap_free(lua_State *L)
{
    zkl_heap_free(&to_heap(L)->heap);
    return zkl_testing_object_memory(L);
}

/* --- chunks ----------------------------------------------------------------------------------- */

struct chunks_object {
    struct zkl_testing_allocator allocator;
    struct zkl_chunks chunks;
};

static struct zkl_chunks *to_chunks(lua_State *L)
{
    return &((struct chunks_object *)luaL_checkudata(L, 1, "zklua.testing.chunks"))->chunks;
}

static int chunks_new(lua_State *L)
{
    struct chunks_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    struct zkl_allocator hook = zkl_testing_hook(&object->allocator);
    zkl_chunks_init(&object->chunks, &hook);
    return zkl_testing_push_object(L, "zklua.testing.chunks");
}

/* add(bytes) gives chunk and address; nil: no memory */
static int chunks_add(lua_State *L)
{
    struct zkl_chunks *chunks = to_chunks(L);
    size_t size, room;
    const char *bytes = luaL_checklstring(L, 2, &size);
    if (!zkl_chunks_reserve(chunks, size)) return 0;
    uint8_t *at = zkl_chunks_room(chunks, &room);
    memcpy(at, bytes, size);
    lua_pushlightuserdata(L, zkl_chunks_take(chunks, size));
    lua_pushlightuserdata(L, at);
    return 2;
}

static int chunks_give_back(lua_State *L)
{
    zkl_chunks_give_back(to_chunks(L), lua_touserdata(L, 2));
    return 0;
}

static int chunks_total(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)to_chunks(L)->total);
    return 1;
}

static int chunks_free(lua_State *L)
{
    zkl_chunks_free(to_chunks(L));
    return zkl_testing_object_memory(L);
}

/* --- pool ------------------------------------------------------------------------------------- */

enum { BLOCKS = 65536 };

/* Blocks have numbers, and are filled with a byte that follows from it: a block that is written
 * by two owners is found out when it is given back. */
struct pool_object {
    struct zkl_testing_allocator allocator;
    struct zkl_pool pool;
    struct pool_block {
        uint8_t *bytes;
        size_t size;
    } blocks[BLOCKS];
};

static struct pool_object *to_pool(lua_State *L)
{
    return luaL_checkudata(L, 1, "zklua.testing.pool");
}

static int pool_new(lua_State *L)
{
    struct pool_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    struct zkl_allocator hook = zkl_testing_hook(&object->allocator);
    zkl_pool_init(&object->pool, &hook);
    return zkl_testing_push_object(L, "zklua.testing.pool");
}

static struct pool_block *to_pool_block(lua_State *L)
{
    lua_Integer number = luaL_checkinteger(L, 2);
    luaL_argcheck(L, number >= 1 && number <= BLOCKS, 2, "no such block");
    return &to_pool(L)->blocks[number - 1];
}

/* take(number, size); nil: no memory; else whether it is aligned */
static int pool_take(lua_State *L)
{
    struct pool_block *block = to_pool_block(L);
    luaL_argcheck(L, block->bytes == NULL, 2, "it is taken");
    block->size = (size_t)luaL_checknumber(L, 3);
    block->bytes = zkl_pool_take(&to_pool(L)->pool, block->size);
    if (block->bytes == NULL) return 0;
    memset(block->bytes, (int)(lua_tointeger(L, 2) % 251), block->size);
    lua_pushboolean(L, (uintptr_t)block->bytes % 8 == 0);
    return 1;
}

/* give_back(number): whether it is as it was filled */
static int pool_give_back(lua_State *L)
{
    struct pool_block *block = to_pool_block(L);
    bool whole = block->bytes != NULL;
    for (size_t i = 0; whole && i < block->size; i++) {
        whole = block->bytes[i] == lua_tointeger(L, 2) % 251;
    }
    zkl_pool_give_back(&to_pool(L)->pool, block->bytes, block->size);
    *block = (struct pool_block) { 0 };
    lua_pushboolean(L, whole);
    return 1;
}

static int pool_total(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)to_pool(L)->pool.total);
    return 1;
}

/* Larger blocks first, as the pool asks for; all others go with it. */
static int pool_free(lua_State *L)
{
    struct pool_object *object = to_pool(L);
    for (size_t i = 0; i < BLOCKS; i++) {
        struct pool_block *block = &object->blocks[i];
        if (block->size > ZKL_POOL_BLOCK_MAX) {
            zkl_pool_give_back(&object->pool, block->bytes, block->size);
        }
        *block = (struct pool_block) { 0 };
    }
    zkl_pool_free(&object->pool);
    return zkl_testing_object_memory(L);
}

/* --- random, and the list of all --------------------------------------------------------- */

/* random(seed, limit, count): a list; with limit 0 the generator's own words as text */
static int random_list(lua_State *L)
{
    struct zkl_random random = { (uint64_t)luaL_checknumber(L, 1) };
    int64_t limit = (int64_t)luaL_checknumber(L, 2);
    int count = (int)luaL_checkinteger(L, 3);
    lua_newtable(L);
    for (int i = 1; i <= count; i++) {
        if (limit == 0) {
            static const char digits[] = "0123456789abcdef";
            uint64_t word = zkl_random_next(&random);
            char text[16];
            for (int j = 0; j < 16; j++) text[j] = digits[(word >> (60 - 4 * j)) & 15];
            lua_pushlstring(L, text, sizeof text);
        } else {
            lua_pushnumber(L, (lua_Number)zkl_random_below(&random, limit));
        }
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* What every object can. */
#define MEMORY { "memory", zkl_testing_object_memory }, { "fail", zkl_testing_object_fail }

int zkl_testing_open_base(lua_State *L)
{
    static const luaL_Reg buffer[] = {
        { "append", buffer_append }, { "consume", buffer_consume },
        { "consume_held", buffer_consume_held }, { "peek", buffer_peek },
        { "let_go", buffer_let_go }, { "clear", buffer_clear }, { "size", buffer_size },
        MEMORY, { "free", buffer_free },
        { NULL, NULL },
    };
    static const luaL_Reg map[] = {
        { "insert", map_insert }, { "has", map_has }, { "remove", map_remove },
        { "reserve_ahead", map_reserve_ahead }, { "each", map_each }, { "shape", map_shape },
        MEMORY, { "free", map_free }, { NULL, NULL },
    };
    static const luaL_Reg heap[] = {
        { "insert", heap_insert }, { "remove", heap_remove }, { "first", heap_first },
        MEMORY, { "free", heap_free },
        { NULL, NULL },
    };
    static const luaL_Reg chunks[] = {
        { "add", chunks_add }, { "give_back", chunks_give_back }, { "total", chunks_total },
        { "peek", buffer_peek }, MEMORY,
        { "free", chunks_free }, { NULL, NULL },
    };
    static const luaL_Reg pool[] = {
        { "take", pool_take }, { "give_back", pool_give_back }, { "total", pool_total },
        MEMORY, { "free", pool_free },
        { NULL, NULL },
    };
    static const luaL_Reg functions[] = {
        { "pool", pool_new },
        { "buffer", buffer_new }, { "map", map_new }, { "heap", heap_new },
        { "chunks", chunks_new }, { "random", random_list }, { NULL, NULL },
    };
    zkl_testing_define(L, "zklua.testing.buffer", buffer, buffer_free);
    zkl_testing_define(L, "zklua.testing.map", map, map_free);
    zkl_testing_define(L, "zklua.testing.heap", heap, heap_free);
    zkl_testing_define(L, "zklua.testing.chunks", chunks, chunks_free);
    zkl_testing_define(L, "zklua.testing.pool", pool, pool_free);
    lua_newtable(L);
    for (const luaL_Reg *function = functions; function->name != NULL; function++) {
        lua_pushcfunction(L, function->func);
        lua_setfield(L, -2, function->name);
    }
    return 1;
}

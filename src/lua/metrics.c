/* Latency and errors per operation. Recording is two additions and a bit count; what it costs
 * to read is paid by who reads. */
#include "lua/binding.h"

#define TAG_SLOT_SHIFT 56 /* the time below it lasts for two thousand years */

static const char *const slot_names[ZKL_SLOT_COUNT] = {
#define X(name) #name,
    ZKL_SLOTS(X)
#undef X
};

uint64_t zkl_metrics_tag(enum zkl_slot slot, int64_t now_us)
{
    return (uint64_t)slot << TAG_SLOT_SHIFT | (uint64_t)now_us;
}

static unsigned bucket_of(uint64_t duration_us)
{
    unsigned bucket = 0;
    while (duration_us != 0 && bucket < ZKL_LATENCY_BUCKETS - 1) {
        duration_us >>= 1;
        bucket++;
    }
    return bucket;
}

void zkl_metrics_record(struct zkl_metrics *metrics, uint64_t tag, bool failed, int64_t now_us)
{
    uint64_t slot = tag >> TAG_SLOT_SHIFT;
    uint64_t start_us = tag & ((UINT64_C(1) << TAG_SLOT_SHIFT) - 1);
    ZKL_ASSERT(slot < ZKL_SLOT_COUNT);
    ZKL_ASSERT((uint64_t)now_us >= start_us);
    uint64_t duration_us = (uint64_t)now_us - start_us;
    metrics->slots[slot].count++;
    metrics->slots[slot].errors += failed;
    metrics->slots[slot].sum_us += duration_us;
    metrics->slots[slot].buckets[bucket_of(duration_us)]++;
}

static void set_number(lua_State *L, const char *key, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

static void set_count(lua_State *L, const char *key, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, key);
}

void zkl_metrics_push(lua_State *L, const struct zkl_metrics *metrics)
{
    lua_newtable(L);
    for (int slot = 0; slot < ZKL_SLOT_COUNT; slot++) {
        if (metrics->slots[slot].count == 0) continue;
        lua_createtable(L, 0, 4);
        set_count(L, "count", metrics->slots[slot].count);
        set_count(L, "errors", metrics->slots[slot].errors);
        set_number(L, "sum", (double)metrics->slots[slot].sum_us / 1e6);
        lua_newtable(L);
        for (int i = 0; i < ZKL_LATENCY_BUCKETS; i++) {
            if (metrics->slots[slot].buckets[i] == 0) continue;
            lua_pushinteger(L, (lua_Integer)metrics->slots[slot].buckets[i]);
            lua_rawseti(L, -2, i);
        }
        lua_setfield(L, -2, "histogram");
        lua_setfield(L, -2, slot_names[slot]);
    }
}

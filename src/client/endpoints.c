/* The server list: see endpoints.h. */
#include "client/endpoints.h"

#include <string.h>

#include "base/memory.h"
#include "zklua/client.h"

void zkl_endpoints_init(struct zkl_endpoints *endpoints, const struct zkl_allocator *allocator)
{
    *endpoints = (struct zkl_endpoints) { .allocator = *allocator };
}

void zkl_endpoints_free(struct zkl_endpoints *endpoints)
{
    zkl_release(&endpoints->allocator, endpoints->list, endpoints->block_size);
    endpoints->list = NULL;
    endpoints->count = 0;
}

static bool same_name(struct zkl_slice a, struct zkl_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.base, b.base, a.size) == 0);
}

/* At most ZKL_ENDPOINTS_MAX names, and rarely: a plain search will do. */
static size_t find(const struct zkl_endpoints *endpoints, struct zkl_slice name)
{
    for (size_t i = 0; i < endpoints->count; i++) {
        if (same_name(endpoints->list[i].name, name)) return i;
    }
    return ZKL_ENDPOINT_NONE;
}

static int copy_names(struct zkl_endpoints *endpoints, const struct zkl_slice *names, size_t count)
{
    size_t size = count * (sizeof endpoints->list[0] + sizeof endpoints->order[0]);
    for (size_t i = 0; i < count; i++) size += names[i].size;
    struct zkl_endpoint *list = zkl_allocate(&endpoints->allocator, size);
    if (list == NULL) return ZKL_E_NOMEM;
    size_t *order = (size_t *)(void *)(list + count);
    uint8_t *text = (uint8_t *)(order + count);
    for (size_t i = 0; i < count; i++) {
        if (names[i].size > 0) memcpy(text, names[i].base, names[i].size);
        list[i] = (struct zkl_endpoint) { .name = { text, names[i].size } };
        order[i] = i;
        text += names[i].size;
    }
    endpoints->list = list;
    endpoints->order = order;
    endpoints->block_size = size;
    endpoints->count = count;
    return ZKL_OK;
}

static void shuffle(struct zkl_endpoints *endpoints, struct zkl_random *random)
{
    for (size_t i = endpoints->count; i > 1; i--) {
        size_t j = (size_t)zkl_random_below(random, (int64_t)i);
        size_t last = endpoints->order[i - 1];
        endpoints->order[i - 1] = endpoints->order[j];
        endpoints->order[j] = last;
    }
}

/* Whether to leave the current server, and for whom, so that after a change of the list
 * every server has its share without anybody counting: the probabilities of Apache's
 * clients, so that all kinds of clients together come out even. */
static bool roll(struct zkl_endpoints *endpoints, const struct zkl_endpoints *before,
                 bool mine_stays, struct zkl_random *random)
{
    size_t added = 0;
    for (size_t i = 0; i < endpoints->count; i++) {
        endpoints->list[i].added = find(before, endpoints->list[i].name) == ZKL_ENDPOINT_NONE;
        if (endpoints->list[i].added) added++;
    }
    double before_count = (double)before->count, total = (double)endpoints->count;
    double kept = total - (double)added;
    endpoints->added_probability = 1;
    if (endpoints->count > before->count) {
        return !mine_stays || zkl_random_unit(random) < 1 - before_count / total;
    }
    if (mine_stays) return false;
    double gone = before_count - kept;
    if (gone > 0 && kept > 0) {
        endpoints->added_probability = 1 - kept * (before_count - total) / (total * gone);
    } else if (added == 0) {
        endpoints->added_probability = 0;
    }
    return true;
}

int zkl_endpoints_replace(struct zkl_endpoints *endpoints, const struct zkl_slice *names,
                          size_t count, struct zkl_random *random, size_t *current, bool *move)
{
    if (count == 0 || count > ZKL_ENDPOINTS_MAX) return ZKL_E_ARGUMENT;
    struct zkl_endpoints before = *endpoints;
    zkl_endpoints_init(endpoints, &before.allocator);
    int status = copy_names(endpoints, names, count);
    if (status != ZKL_OK) {
        *endpoints = before;
        return status;
    }
    shuffle(endpoints, random);
    *move = false;
    if (*current != ZKL_ENDPOINT_NONE) {
        *current = find(endpoints, before.list[*current].name);
        *move = roll(endpoints, &before, *current != ZKL_ENDPOINT_NONE, random);
    }
    endpoints->moving = *move;
    zkl_endpoints_free(&before);
    return ZKL_OK;
}

/* The next in the shuffled order that was not tried since we are moving. */
static size_t next_untried(struct zkl_endpoints *endpoints, bool added)
{
    for (size_t i = 0; i < endpoints->count; i++) {
        size_t index = endpoints->order[(endpoints->cursor + i) % endpoints->count];
        struct zkl_endpoint *endpoint = &endpoints->list[index];
        if (!endpoint->tried && endpoint->added == added) return index;
    }
    return ZKL_ENDPOINT_NONE;
}

size_t zkl_endpoints_next(struct zkl_endpoints *endpoints, struct zkl_random *random)
{
    if (endpoints->moving) {
        bool added = zkl_random_unit(random) < endpoints->added_probability;
        size_t index = next_untried(endpoints, added);
        if (index == ZKL_ENDPOINT_NONE) index = next_untried(endpoints, !added);
        if (index != ZKL_ENDPOINT_NONE) {
            endpoints->list[index].tried = true;
            return index;
        }
        endpoints->moving = false;
    }
    size_t index = endpoints->order[endpoints->cursor];
    endpoints->cursor = (endpoints->cursor + 1) % endpoints->count;
    return index;
}

void zkl_endpoints_settle(struct zkl_endpoints *endpoints)
{
    endpoints->moving = false;
}

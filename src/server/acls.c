/* The table of access lists: see acls.h.
 *
 * A list is decoded when it comes in, so that a check compares and does not parse. What world
 * may do is one mask, which is all that most checks look at. */
#include "server/acls.h"

#include <string.h>

#include "base/memory.h"
#include "server/addresses.h"
#include "server/schemes.h"
#include "wire/writer.h"

/* An entry of a list that asks who the connection is. */
struct rule {
    int32_t permissions;
    bool is_network; /* else scheme and id have to be equal */
    struct zkl_slice scheme, id;
    struct zkl_network network;
};

struct list {
    struct zkl_map_node by_number, by_content;
    struct zkl_list link; /* in order of making */
    uint32_t number;
    uint64_t references;
    int32_t world; /* permissions that everybody has */
    struct zkl_vector vector;
    struct rule *rules;
    size_t rule_count;
    uint8_t bytes[]; /* of the vector; slices of rules point there */
};

struct zkl_acls {
    struct zkl_allocator allocator;
    uint64_t seed;
    struct zkl_map by_number, by_content;
    struct zkl_list lists;
    uint32_t last_number;
};

/* world:anyone:ALL */
static const uint8_t OPEN[] = { 0, 0, 0, 31, 0, 0, 0, 5, 'w', 'o', 'r', 'l', 'd',
                                0, 0, 0, 6, 'a', 'n', 'y', 'o', 'n', 'e' };

struct zkl_acls *zkl_acls_new(const struct zkl_allocator *allocator, uint64_t seed)
{
    struct zkl_acls *acls = zkl_allocate(allocator, sizeof *acls);
    if (acls == NULL) return NULL;
    *acls = (struct zkl_acls) { .allocator = *allocator, .seed = seed };
    zkl_map_init(&acls->by_number, allocator);
    zkl_map_init(&acls->by_content, allocator);
    zkl_list_init(&acls->lists);
    return acls;
}

void zkl_acls_free(struct zkl_acls *acls)
{
    if (acls == NULL) return;
    zkl_acls_clear(acls);
    zkl_map_free(&acls->by_number);
    zkl_map_free(&acls->by_content);
    struct zkl_allocator allocator = acls->allocator;
    zkl_release(&allocator, acls, sizeof *acls);
}

/* --- lists ------------------------------------------------------------------------- */

static uint64_t hash_number(const struct zkl_acls *acls, uint32_t number)
{
    return zkl_hash_end(acls->seed ^ number);
}

static uint64_t hash_content(const struct zkl_acls *acls, struct zkl_vector vector)
{
    uint64_t hash = zkl_hash_add(zkl_hash_begin(acls->seed), vector.base, vector.size);
    return zkl_hash_end(hash);
}

static struct list *find(const struct zkl_acls *acls, uint32_t number)
{
    uint64_t hash = hash_number(acls, number);
    struct zkl_map_node *node = zkl_map_first(&acls->by_number, hash);
    for (; node != NULL; node = zkl_map_next(node, hash)) {
        struct list *list = ZKL_LIST_ELEMENT(node, struct list, by_number);
        if (list->number == number) return list;
    }
    return NULL;
}

/* Nodes name only lists that are there. */
static struct list *known(const struct zkl_acls *acls, uint32_t number)
{
    struct list *list = find(acls, number);
    ZKL_ASSERT(list != NULL);
    return list;
}

static struct list *find_equal(const struct zkl_acls *acls, struct zkl_vector vector,
                               uint64_t hash)
{
    struct zkl_map_node *node = zkl_map_first(&acls->by_content, hash);
    for (; node != NULL; node = zkl_map_next(node, hash)) {
        struct list *list = ZKL_LIST_ELEMENT(node, struct list, by_content);
        if (list->vector.size != vector.size) continue;
        if (vector.size == 0 || memcmp(list->bytes, vector.base, vector.size) == 0) return list;
    }
    return NULL;
}

/* Entries of the list that are not the world's. */
static size_t count_rules(struct zkl_vector vector)
{
    struct zkl_acl acl;
    size_t count = 0;
    while (zkl_vector_next_acl(&vector, &acl)) count += !zkl_acl_is_world(&acl);
    return count;
}

static void decode(struct list *list)
{
    struct zkl_vector vector = list->vector;
    struct zkl_acl acl;
    struct rule *rule = list->rules;
    while (zkl_vector_next_acl(&vector, &acl)) {
        if (zkl_acl_is_world(&acl)) {
            list->world |= acl.permissions;
            continue;
        }
        *rule = (struct rule) { .permissions = acl.permissions, .scheme = acl.scheme,
                                .id = acl.id };
        if (zkl_slice_is(acl.scheme, "ip")) {
            rule->is_network = zkl_network_parse(acl.id, &rule->network);
        }
        rule++;
    }
}

static void release(struct zkl_acls *acls, struct list *list)
{
    zkl_release(&acls->allocator, list->rules, list->rule_count * sizeof list->rules[0]);
    zkl_release(&acls->allocator, list, sizeof *list + list->vector.size);
}

static struct list *allocate(struct zkl_acls *acls, struct zkl_vector vector)
{
    struct list *list = zkl_allocate(&acls->allocator, sizeof *list + vector.size);
    if (list == NULL) return NULL;
    memset(list, 0, sizeof *list);
    if (vector.size > 0) memcpy(list->bytes, vector.base, vector.size);
    list->vector = (struct zkl_vector) { list->bytes, vector.size, vector.count };
    list->rule_count = count_rules(vector);
    if (list->rule_count > 0) {
        list->rules = zkl_allocate(&acls->allocator, list->rule_count * sizeof list->rules[0]);
    }
    if (list->rule_count > 0 && list->rules == NULL) {
        list->rule_count = 0;
        release(acls, list);
        return NULL;
    }
    decode(list);
    return list;
}

static struct list *make(struct zkl_acls *acls, uint32_t number, struct zkl_vector vector,
                         uint64_t hash)
{
    if (!zkl_map_reserve(&acls->by_number) || !zkl_map_reserve(&acls->by_content)) return NULL;
    struct list *list = allocate(acls, vector);
    if (list == NULL) return NULL;
    list->number = number;
    zkl_map_insert(&acls->by_number, &list->by_number, hash_number(acls, number));
    zkl_map_insert(&acls->by_content, &list->by_content, hash);
    zkl_list_push(&acls->lists, &list->link);
    return list;
}

static void drop(struct zkl_acls *acls, struct list *list)
{
    zkl_map_remove(&acls->by_number, &list->by_number);
    zkl_map_remove(&acls->by_content, &list->by_content);
    zkl_list_remove(&list->link);
    release(acls, list);
}

void zkl_acls_clear(struct zkl_acls *acls)
{
    while (!zkl_list_empty(&acls->lists)) {
        drop(acls, ZKL_LIST_ELEMENT(acls->lists.next, struct list, link));
    }
    acls->last_number = 0;
}

/* Numbers go up, as Apache's do. After 2^32 lists they begin anew and step over those that are
 * still in use: once for each, as what was given last is behind them then. */
static uint32_t free_number(const struct zkl_acls *acls)
{
    uint32_t number = acls->last_number;
    do {
        number = number == UINT32_MAX ? 1 : number + 1;
    } while (find(acls, number) != NULL);
    return number;
}

/* An empty list and the protocol's null are the same: open to all. */
static struct zkl_vector without_null(struct zkl_vector vector)
{
    const struct zkl_vector nothing = { NULL, 0, 0 };
    return vector.count > 0 ? vector : nothing;
}

uint32_t zkl_acls_take(struct zkl_acls *acls, struct zkl_vector vector)
{
    vector = without_null(vector);
    uint64_t hash = hash_content(acls, vector);
    struct list *list = find_equal(acls, vector, hash);
    if (list == NULL) {
        list = make(acls, free_number(acls), vector, hash);
        if (list == NULL) return 0;
        acls->last_number = list->number;
    }
    list->references++;
    return list->number;
}

bool zkl_acls_restore(struct zkl_acls *acls, int64_t id, struct zkl_vector vector)
{
    if (id <= 0 || id > UINT32_MAX || find(acls, (uint32_t)id) != NULL) return false;
    vector = without_null(vector);
    uint32_t number = (uint32_t)id;
    if (make(acls, number, vector, hash_content(acls, vector)) == NULL) return false;
    if (number > acls->last_number) acls->last_number = number;
    return true;
}

void zkl_acls_sweep(struct zkl_acls *acls)
{
    struct zkl_list *next, *at = acls->lists.next;
    for (; at != &acls->lists; at = next) {
        next = at->next;
        struct list *list = ZKL_LIST_ELEMENT(at, struct list, link);
        if (list->references == 0) drop(acls, list);
    }
}

bool zkl_acls_known(const struct zkl_acls *acls, int64_t id)
{
    return id > 0 && id <= UINT32_MAX && find(acls, (uint32_t)id) != NULL;
}

void zkl_acls_hold(struct zkl_acls *acls, uint32_t number)
{
    if (number != ZKL_ACL_OPEN) known(acls, number)->references++;
}

void zkl_acls_release(struct zkl_acls *acls, uint32_t number)
{
    if (number == ZKL_ACL_OPEN) return;
    struct list *list = known(acls, number);
    ZKL_ASSERT(list->references > 0);
    if (--list->references == 0) drop(acls, list);
}

struct zkl_vector zkl_acls_list(const struct zkl_acls *acls, uint32_t number)
{
    const struct zkl_vector open = { OPEN, sizeof OPEN, 1 };
    return number == ZKL_ACL_OPEN ? open : known(acls, number)->vector;
}

uint32_t zkl_acls_next(const struct zkl_acls *acls, uint32_t after)
{
    const struct zkl_list *link = after == 0 ? &acls->lists : &known(acls, after)->link;
    if (link->next == &acls->lists) return 0;
    return ZKL_LIST_ELEMENT(link->next, const struct list, link)->number;
}

size_t zkl_acls_count(const struct zkl_acls *acls)
{
    return acls->by_number.count;
}

/* --- checks -------------------------------------------------------------------------- */

static bool matches(const struct rule *rule, const struct zkl_identities *identities)
{
    if (rule->is_network) {
        return zkl_network_has(&rule->network, identities->address, identities->address_size);
    }
    return zkl_identities_has(identities, rule->scheme, rule->id);
}

bool zkl_acls_allow(const struct zkl_acls *acls, uint32_t number, int32_t permissions,
                    const struct zkl_identities *identities)
{
    if (number == ZKL_ACL_OPEN || identities->super) return true;
    const struct list *list = known(acls, number);
    if ((list->world & permissions) != 0 || list->vector.count == 0) return true;
    for (size_t i = 0; i < list->rule_count; i++) {
        const struct rule *rule = &list->rules[i];
        if ((rule->permissions & permissions) != 0 && matches(rule, identities)) return true;
    }
    return false;
}

/* Lists on their way in and out: see schemes.h. */
#include "server/schemes.h"

#include "base/map.h"
#include "server/acls.h"
#include "server/addresses.h"
#include "wire/writer.h"

/* "user:hash", as splitting at ':' into exactly two parts sees it: the user may be empty, the
 * hash may not, and what ends in more colons is taken as if they were not there. The hash is
 * not looked at. */
static bool is_digest_id(struct zkl_slice id)
{
    size_t colons = 0;
    while (id.size > 0 && id.base[id.size - 1] == ':') id.size--;
    for (size_t i = 0; i < id.size; i++) colons += id.base[i] == ':';
    return colons == 1;
}

bool zkl_acl_is_valid(const struct zkl_acl *acl)
{
    struct zkl_network network;
    if (acl->scheme.base == NULL || acl->id.base == NULL) return false;
    if (zkl_slice_is(acl->scheme, "digest")) return is_digest_id(acl->id);
    if (zkl_slice_is(acl->scheme, "ip")) return zkl_network_parse(acl->id, &network);
    return zkl_acl_is_world(acl);
}

struct zkl_slice zkl_digest_user(struct zkl_slice id)
{
    const uint8_t *colon = id.size > 0 ? memchr(id.base, ':', id.size) : NULL;
    if (colon != NULL) id.size = (size_t)(colon - id.base);
    return id;
}

/* --- in ------------------------------------------------------------------------------- */

/* The different entries of a list that were seen so far, as places in its bytes: a hash table
 * that always has a free slot. */
struct seen {
    size_t mask; /* how many slots are in use, less one */
    struct {
        uint32_t size; /* 0: free */
        uint32_t start;
        uint32_t hash;
    } slots[2048];
};

static void seen_init(struct seen *seen, int32_t count)
{
    size_t slot_count = 2;
    while (slot_count < 2 * (size_t)count) slot_count *= 2;
    ZKL_ASSERT(slot_count <= sizeof seen->slots / sizeof seen->slots[0]);
    seen->mask = slot_count - 1;
    memset(seen->slots, 0, slot_count * sizeof seen->slots[0]); /* the rest is never looked at */
}

/* Whether the entry of `size` bytes at `start` has been there before; it has from now on. */
static bool seen_before(struct seen *seen, const uint8_t *bytes, size_t start, size_t size)
{
    uint64_t hash = zkl_hash_end(zkl_hash_add(zkl_hash_begin(0), bytes + start, size));
    size_t at = (size_t)(hash >> 32) & seen->mask;
    for (; seen->slots[at].size != 0; at = (at + 1) & seen->mask) {
        if (seen->slots[at].hash != (uint32_t)hash || seen->slots[at].size != size) continue;
        if (memcmp(bytes + seen->slots[at].start, bytes + start, size) == 0) return true;
    }
    seen->slots[at].size = (uint32_t)size;
    seen->slots[at].start = (uint32_t)start;
    seen->slots[at].hash = (uint32_t)hash;
    return false;
}

/* `auth`: an entry for each identity that somebody has vouched for; an address vouches for
 * nobody. How many there were. */
static int32_t write_identities(int32_t permissions, const struct zkl_identities *identities,
                                struct zkl_writer *writer)
{
    int32_t count = 0;
    const struct zkl_list *at = identities->list.next;
    for (; at != &identities->list; at = at->next) {
        const struct zkl_identity *identity = ZKL_LIST_ELEMENT(at, const struct zkl_identity, link);
        struct zkl_acl acl = { permissions, zkl_identity_scheme(identity),
                               zkl_identity_id(identity) };
        if (!zkl_slice_is(acl.scheme, "digest")) continue;
        zkl_write_acl(writer, &acl);
        count++;
    }
    return count;
}

int32_t zkl_acls_fix(struct zkl_vector asked, const struct zkl_identities *identities,
                     struct zkl_writer *writer, int32_t *count)
{
    struct seen seen;
    struct zkl_acl acl;
    const uint8_t *bytes = asked.base;
    *count = 0;
    if (asked.count <= 0 || asked.count > ZKL_ACL_ENTRIES_MAX) return ZKL_CODE_INVALIDACL;
    seen_init(&seen, asked.count);
    for (;;) {
        size_t start = (size_t)(asked.base - bytes);
        if (!zkl_vector_next_acl(&asked, &acl)) return ZKL_CODE_OK;
        if (seen_before(&seen, bytes, start, (size_t)(asked.base - bytes) - start)) continue;
        int32_t written = 0;
        if (zkl_slice_is(acl.scheme, "auth")) {
            written = write_identities(acl.permissions, identities, writer);
        } else if (zkl_acl_is_valid(&acl)) {
            zkl_write_acl(writer, &acl);
            written = 1;
        }
        *count += written;
        if (written == 0 || *count > ZKL_ACL_ENTRIES_MAX) return ZKL_CODE_INVALIDACL;
    }
}

/* --- out ------------------------------------------------------------------------------ */

void zkl_acls_mask(struct zkl_vector list, struct zkl_writer *writer)
{
    struct zkl_acl acl;
    while (zkl_vector_next_acl(&list, &acl)) {
        if (!zkl_slice_is(acl.scheme, "digest") || acl.id.base == NULL) {
            zkl_write_acl(writer, &acl);
            continue;
        }
        struct zkl_slice user = zkl_digest_user(acl.id);
        zkl_write_i32(writer, acl.permissions);
        zkl_write_slice(writer, acl.scheme);
        zkl_write_i32(writer, (int32_t)user.size + 2);
        zkl_write_raw(writer, user.base, user.size);
        zkl_write_raw(writer, (const uint8_t *)":x", 2);
    }
}

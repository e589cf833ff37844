/* Who a connection is: its address, and what it has authenticated as (acls.h). */
#include <string.h>

#include "base/memory.h"
#include "server/acls.h"
#include "server/addresses.h"
#include "server/schemes.h"
#include "server/utf8.h"

enum { HASH_SIZE = 20, HASH_TEXT_SIZE = 28 }; /* SHA-1, and in base64 */

static size_t block_size(const struct zkl_identity *identity)
{
    return sizeof *identity + identity->scheme_size + identity->id_size;
}

/* In no list yet. NULL: out of memory. The id is `id` and `more` behind it. */
static struct zkl_identity *make(const struct zkl_allocator *allocator, const char *scheme,
                                 struct zkl_slice id, struct zkl_slice more)
{
    size_t scheme_size = strlen(scheme), id_size = id.size + more.size;
    struct zkl_identity *identity =
        zkl_allocate(allocator, sizeof *identity + scheme_size + id_size);
    if (identity == NULL) return NULL;
    zkl_list_init(&identity->link);
    identity->scheme_size = scheme_size;
    identity->id_size = id_size;
    memcpy(identity->text, scheme, scheme_size);
    if (id.size > 0) memcpy(identity->text + scheme_size, id.base, id.size);
    if (more.size > 0) memcpy(identity->text + scheme_size + id.size, more.base, more.size);
    return identity;
}

static void release(const struct zkl_allocator *allocator, struct zkl_identity *identity)
{
    if (identity != NULL) zkl_release(allocator, identity, block_size(identity));
}

static void push(struct zkl_identities *identities, struct zkl_identity *identity)
{
    zkl_list_push(&identities->list, &identity->link);
    identities->count++;
}

/* A Unix socket counts as the loopback, an IPv4 address in an IPv6 socket as what it is. */
static void set_address(struct zkl_identities *identities, const struct zkl_peer *peer)
{
    static const uint8_t LOOPBACK[] = { 127, 0, 0, 1 };
    static const uint8_t MAPPED[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    const uint8_t *address = peer->address;
    uint8_t size = peer->address_size;
    ZKL_ASSERT(size == 0 || size == 4 || size == 16);
    if (size == 0) {
        address = LOOPBACK;
        size = sizeof LOOPBACK;
    } else if (size == 16 && memcmp(address, MAPPED, sizeof MAPPED) == 0) {
        address += sizeof MAPPED;
        size = 4;
    }
    memcpy(identities->address, address, size);
    identities->address_size = size;
}

bool zkl_identities_init(struct zkl_identities *identities, const struct zkl_allocator *allocator,
                         const struct zkl_peer *peer)
{
    const struct zkl_slice nothing = { NULL, 0 };
    char text[ZKL_ADDRESS_TEXT_MAX];
    memset(identities, 0, sizeof *identities);
    zkl_list_init(&identities->list);
    set_address(identities, peer);
    struct zkl_slice address = { (const uint8_t *)text, 0 };
    address.size = zkl_address_format(identities->address, identities->address_size, text);
    struct zkl_identity *identity = make(allocator, "ip", address, nothing);
    if (identity == NULL) return false;
    push(identities, identity);
    return true;
}

void zkl_identities_free(struct zkl_identities *identities,
                         const struct zkl_allocator *allocator)
{
    while (!zkl_list_empty(&identities->list)) {
        struct zkl_identity *identity =
            ZKL_LIST_ELEMENT(identities->list.next, struct zkl_identity, link);
        zkl_list_remove(&identity->link);
        release(allocator, identity);
    }
    identities->count = 0;
}

bool zkl_identities_has(const struct zkl_identities *identities, struct zkl_slice scheme,
                        struct zkl_slice id)
{
    const struct zkl_list *at = identities->list.next;
    for (; at != &identities->list; at = at->next) {
        const struct zkl_identity *identity = ZKL_LIST_ELEMENT(at, const struct zkl_identity, link);
        if (zkl_slice_equal(zkl_identity_scheme(identity), scheme) &&
            zkl_slice_equal(zkl_identity_id(identity), id)) {
            return true;
        }
    }
    return false;
}

static void to_base64(const uint8_t hash[HASH_SIZE], uint8_t text[HASH_TEXT_SIZE])
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0, at = 0; i < HASH_SIZE; i += 3, at += 4) {
        uint32_t bits = (uint32_t)hash[i] << 16 | (uint32_t)hash[i + 1] << 8;
        if (i + 2 < HASH_SIZE) bits |= hash[i + 2];
        for (size_t j = 0; j < 4; j++) text[at + j] = (uint8_t)DIGITS[bits >> (18 - 6 * j) & 63];
    }
    text[HASH_TEXT_SIZE - 1] = '='; /* 20 bytes are six groups of three, and two */
}

/* "user:password" becomes "user:" and the hash of all of it. There is nothing to check: what a
 * wrong password names is an identity to which no list gives anything. */
static int32_t make_digest(const struct zkl_allocator *allocator, const struct zkl_crypto *crypto,
                           struct zkl_slice text, struct zkl_identity **identity)
{
    uint8_t hash[HASH_SIZE], hashed[1 + HASH_TEXT_SIZE] = { ':' };
    struct zkl_slice user = zkl_digest_user(text), rest = { hashed, sizeof hashed };
    if (strlen("digest") + user.size + rest.size > ZKL_IDENTITY_SIZE_MAX) {
        return ZKL_CODE_AUTHFAILED;
    }
    crypto->sha1(crypto->context, text.base, text.size, hash);
    to_base64(hash, hashed + 1);
    *identity = make(allocator, "digest", user, rest);
    return *identity != NULL ? ZKL_CODE_OK : ZKL_CODE_SYSTEMERROR;
}

/* A password that is not UTF-8 is hashed as Apache's server does it: as the text that it takes
 * it for. The lists in a directory of Apache's name that hash. */
static int32_t make_digest_of_bytes(const struct zkl_allocator *allocator,
                                    const struct zkl_crypto *crypto, struct zkl_slice bytes,
                                    struct zkl_identity **identity)
{
    if (zkl_utf8_is_valid(bytes)) return make_digest(allocator, crypto, bytes, identity);
    struct zkl_writer writer = { NULL, 0, 0 };
    zkl_utf8_repair(&writer, bytes);
    size_t size = writer.size;
    uint8_t *text = zkl_allocate(allocator, size);
    if (text == NULL) return ZKL_CODE_SYSTEMERROR;
    writer = (struct zkl_writer) { text, size, 0 };
    zkl_utf8_repair(&writer, bytes);
    int32_t code = make_digest(allocator, crypto, (struct zkl_slice) { text, size }, identity);
    zkl_release(allocator, text, size);
    return code;
}

/* Takes the identity, and with it that of the superuser if it is his; or drops it. */
static int32_t admit(struct zkl_identities *identities, const struct zkl_allocator *allocator,
                     struct zkl_slice super_digest, struct zkl_identity *identity)
{
    const struct zkl_slice nothing = { NULL, 0 };
    struct zkl_slice id = zkl_identity_id(identity);
    bool is_super = super_digest.size > 0 && zkl_slice_equal(id, super_digest);
    bool is_there = zkl_identities_has(identities, zkl_identity_scheme(identity), id);
    struct zkl_identity *super = NULL;
    int32_t code = ZKL_CODE_OK;
    if (!is_there && identities->count + is_super >= ZKL_IDENTITIES_PER_CONNECTION) {
        code = ZKL_CODE_AUTHFAILED;
    } else if (!is_there && is_super) {
        super = make(allocator, "super", nothing, nothing);
        if (super == NULL) code = ZKL_CODE_SYSTEMERROR;
    }
    if (is_there || code != ZKL_CODE_OK) {
        release(allocator, identity);
        return code;
    }
    if (super != NULL) push(identities, super);
    push(identities, identity);
    identities->super |= is_super;
    return ZKL_CODE_OK;
}

int32_t zkl_identities_add(struct zkl_identities *identities,
                           const struct zkl_allocator *allocator, const struct zkl_crypto *crypto,
                           struct zkl_slice super_digest, struct zkl_slice scheme,
                           struct zkl_slice data)
{
    struct zkl_identity *identity;
    if (zkl_slice_is(scheme, "ip")) return ZKL_CODE_OK; /* it has had its address all along */
    if (!zkl_slice_is(scheme, "digest") || data.base == NULL) return ZKL_CODE_AUTHFAILED;
    int32_t code = make_digest_of_bytes(allocator, crypto, data, &identity);
    return code == ZKL_CODE_OK ? admit(identities, allocator, super_digest, identity) : code;
}

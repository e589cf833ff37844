/* The table of access lists, who a connection is, and what that lets it do.
 *
 * Nodes refer to a list by number; equal lists (order counts) are one entry, counted by its
 * references and gone with the last. Number 0 is the open list of the reserved nodes, -1 on
 * disk; the others are Apache's ids, from 1 on. */
#ifndef ZKLUA_SERVER_ACLS_H
#define ZKLUA_SERVER_ACLS_H

#include "base/list.h"
#include "base/map.h"
#include "zklua/server.h"

#define ZKL_ACL_OPEN 0
#define ZKL_ACL_ENTRIES_MAX 1000   /* of a list from a client, `auth` spelled out; more is -114 */
#define ZKL_IDENTITY_SIZE_MAX 512  /* scheme and id of a connection; longer is -115 */

struct zkl_acls; /* opaque */

struct zkl_acls *zkl_acls_new(const struct zkl_allocator *allocator, uint64_t seed);
void zkl_acls_free(struct zkl_acls *acls);
void zkl_acls_clear(struct zkl_acls *acls);
/* The number of an equal list, made if there is none; counts one reference. 0: out of memory
 * (a list of a client is never the open one). Decoded once here, so that checking is fast. */
uint32_t zkl_acls_take(struct zkl_acls *acls, struct zkl_vector list);
/* As stored in a snapshot; false: out of memory, or the id is taken or out of range. Counts no
 * reference: zkl_acls_sweep drops what no node has taken. */
bool zkl_acls_restore(struct zkl_acls *acls, int64_t id, struct zkl_vector list);
void zkl_acls_sweep(struct zkl_acls *acls);
bool zkl_acls_known(const struct zkl_acls *acls, int64_t id);
void zkl_acls_hold(struct zkl_acls *acls, uint32_t number);
void zkl_acls_release(struct zkl_acls *acls, uint32_t number);
/* Borrowed; world:anyone:ALL for the open one. */
struct zkl_vector zkl_acls_list(const struct zkl_acls *acls, uint32_t number);
/* Calls of one after the other give all numbers in use, 0 at the end: for snapshots. */
uint32_t zkl_acls_next(const struct zkl_acls *acls, uint32_t after);
size_t zkl_acls_count(const struct zkl_acls *acls);

/* --- who a connection is ----------------------------------------------------- */

struct zkl_identity {
    struct zkl_list link;
    size_t scheme_size, id_size;
    char text[]; /* scheme, then id */
};

static inline struct zkl_slice zkl_identity_scheme(const struct zkl_identity *identity)
{
    return (struct zkl_slice) { (const uint8_t *)identity->text, identity->scheme_size };
}
static inline struct zkl_slice zkl_identity_id(const struct zkl_identity *identity)
{
    return (struct zkl_slice) { (const uint8_t *)identity->text + identity->scheme_size,
                                identity->id_size };
}

struct zkl_identities {
    struct zkl_list list; /* begins with ip:ADDRESS */
    size_t count;
    bool super;           /* passes every check */
    uint8_t address[16];  /* for the ip scheme; IPv4 in the first four */
    uint8_t address_size;
};
/* false: out of memory. */
bool zkl_identities_init(struct zkl_identities *identities, const struct zkl_allocator *allocator,
                         const struct zkl_peer *peer);
void zkl_identities_free(struct zkl_identities *identities,
                         const struct zkl_allocator *allocator);
bool zkl_identities_has(const struct zkl_identities *identities, struct zkl_slice scheme,
                        struct zkl_slice id);
/* An auth packet: a code of the protocol (0, -115), or ZKL_CODE_SYSTEMERROR: out of memory. */
int32_t zkl_identities_add(struct zkl_identities *identities,
                           const struct zkl_allocator *allocator, const struct zkl_crypto *crypto,
                           struct zkl_slice super_digest, struct zkl_slice scheme,
                           struct zkl_slice data);

/* Whether one of the permissions in the mask is given (server-semantics 4). */
bool zkl_acls_allow(const struct zkl_acls *acls, uint32_t number, int32_t permissions,
                    const struct zkl_identities *identities);
/* The list of a create or setACL as it is stored: duplicates dropped, `auth` spelled out
 * (server-semantics 1.4). Writes the encoded elements to `writer` and their count to *count;
 * returns 0 or -114. Call it once with a writer of capacity 0 to measure. */
int32_t zkl_acls_fix(struct zkl_vector asked, const struct zkl_identities *identities,
                     struct zkl_writer *writer, int32_t *count);
/* getACL without ADMIN: user part of digest ids only. Same two calls. */
void zkl_acls_mask(struct zkl_vector list, struct zkl_writer *writer);

#endif

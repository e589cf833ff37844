/* Which ids a list may name, scheme by scheme; and lists on their way in and out (zkl_acls_fix
 * and zkl_acls_mask of acls.h). */
#ifndef ZKLUA_SERVER_SCHEMES_H
#define ZKLUA_SERVER_SCHEMES_H

#include <string.h>

#include "zklua/wire.h"

static inline bool zkl_slice_is(struct zkl_slice slice, const char *text)
{
    return slice.base != NULL && slice.size == strlen(text) &&
           memcmp(slice.base, text, slice.size) == 0;
}

static inline bool zkl_slice_equal(struct zkl_slice one, struct zkl_slice other)
{
    if (one.base == NULL || other.base == NULL) return one.base == other.base;
    return one.size == other.size && memcmp(one.base, other.base, one.size) == 0;
}

static inline bool zkl_acl_is_world(const struct zkl_acl *acl)
{
    return zkl_slice_is(acl->scheme, "world") && zkl_slice_is(acl->id, "anyone");
}

/* Whether a client may put it into a list. `auth` is none: it stands for others. */
bool zkl_acl_is_valid(const struct zkl_acl *acl);
/* What stands before the first ':' of a digest id. */
struct zkl_slice zkl_digest_user(struct zkl_slice id);

#endif

/* Credentials: remembered, sent on every link before anything else, answered in the order
 * in which they were sent. */
#ifndef ZKLUA_CLIENT_AUTH_H
#define ZKLUA_CLIENT_AUTH_H

#include "base/list.h"
#include "zklua/wire.h"

struct zkl_pending;

struct zkl_credential {
    struct zkl_list link;
    struct zkl_pending *pending; /* the request that brought it, until it is answered */
    bool sent, answered;         /* on the current link */
    size_t scheme_size, data_size;
    uint8_t bytes[];             /* the scheme, then the data */
};

struct zkl_auth {
    struct zkl_allocator allocator;
    struct zkl_list list;
    size_t count;
    size_t unanswered_count; /* sent on the current link */
};

void zkl_auth_init(struct zkl_auth *auth, const struct zkl_allocator *allocator);
void zkl_auth_free(struct zkl_auth *auth);
/* ZKL_E_LIMIT, ZKL_E_NOMEM. */
int zkl_auth_add(struct zkl_auth *auth, struct zkl_slice scheme, struct zkl_slice data,
                 struct zkl_credential **credential);
void zkl_auth_remove(struct zkl_auth *auth, struct zkl_credential *credential);
/* No credential is known to the server any more. */
void zkl_auth_forget_server(struct zkl_auth *auth);
/* The next one that the server of this link has not been sent, or NULL. */
struct zkl_credential *zkl_auth_unsent(const struct zkl_auth *auth);
void zkl_auth_sent(struct zkl_auth *auth, struct zkl_credential *credential);
/* The one that the next answer is about, or NULL: nothing was asked. */
struct zkl_credential *zkl_auth_take_answer(struct zkl_auth *auth);
/* Once accepted, the same credential is kept once. */
void zkl_auth_drop_if_double(struct zkl_auth *auth, struct zkl_credential *credential);
void zkl_credential_request(const struct zkl_credential *credential, struct zkl_request *request);

#endif

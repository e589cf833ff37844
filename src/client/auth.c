/* Credentials: see auth.h. */
#include "client/auth.h"

#include <string.h>

#include "base/memory.h"
#include "zklua/client.h"

void zkl_auth_init(struct zkl_auth *auth, const struct zkl_allocator *allocator)
{
    *auth = (struct zkl_auth) { .allocator = *allocator };
    zkl_list_init(&auth->list);
}

static struct zkl_credential *element(struct zkl_list *link)
{
    return ZKL_LIST_ELEMENT(link, struct zkl_credential, link);
}

void zkl_auth_free(struct zkl_auth *auth)
{
    while (!zkl_list_empty(&auth->list)) zkl_auth_remove(auth, element(auth->list.next));
}

int zkl_auth_add(struct zkl_auth *auth, struct zkl_slice scheme, struct zkl_slice data,
                 struct zkl_credential **credential)
{
    if (auth->count >= ZKL_CREDENTIALS_MAX) return ZKL_E_LIMIT;
    struct zkl_credential *new =
        zkl_allocate(&auth->allocator, sizeof *new + scheme.size + data.size);
    if (new == NULL) return ZKL_E_NOMEM;
    *new = (struct zkl_credential) { .scheme_size = scheme.size, .data_size = data.size };
    memcpy(new->bytes, scheme.base, scheme.size);
    if (data.size > 0) memcpy(new->bytes + scheme.size, data.base, data.size);
    zkl_list_push(&auth->list, &new->link);
    auth->count++;
    *credential = new;
    return ZKL_OK;
}

void zkl_auth_remove(struct zkl_auth *auth, struct zkl_credential *credential)
{
    if (credential->sent && !credential->answered) auth->unanswered_count--;
    zkl_list_remove(&credential->link);
    auth->count--;
    /* Secrets do not stay in free memory. */
    size_t size = credential->scheme_size + credential->data_size;
    volatile uint8_t *secret = credential->bytes;
    for (size_t i = 0; i < size; i++) secret[i] = 0;
    zkl_release(&auth->allocator, credential, sizeof *credential + size);
}

void zkl_auth_forget_server(struct zkl_auth *auth)
{
    for (struct zkl_list *at = auth->list.next; at != &auth->list; at = at->next) {
        element(at)->sent = element(at)->answered = false;
    }
    auth->unanswered_count = 0;
}

struct zkl_credential *zkl_auth_unsent(const struct zkl_auth *auth)
{
    for (struct zkl_list *at = auth->list.next; at != &auth->list; at = at->next) {
        if (!element(at)->sent) return element(at);
    }
    return NULL;
}

/* The order of the list is the order on the wire, for the unsent ones are always at its end:
 * answers are matched by it. */
void zkl_auth_sent(struct zkl_auth *auth, struct zkl_credential *credential)
{
    ZKL_ASSERT(!credential->sent && credential == zkl_auth_unsent(auth));
    credential->sent = true;
    auth->unanswered_count++;
}

struct zkl_credential *zkl_auth_take_answer(struct zkl_auth *auth)
{
    for (struct zkl_list *at = auth->list.next; at != &auth->list; at = at->next) {
        struct zkl_credential *credential = element(at);
        if (!credential->sent || credential->answered) continue;
        credential->answered = true;
        auth->unanswered_count--;
        return credential;
    }
    return NULL;
}

void zkl_auth_drop_if_double(struct zkl_auth *auth, struct zkl_credential *credential)
{
    size_t size = credential->scheme_size + credential->data_size;
    for (struct zkl_list *at = auth->list.next; at != &auth->list; at = at->next) {
        const struct zkl_credential *other = element(at);
        if (other == credential || !other->answered) continue;
        if (other->scheme_size != credential->scheme_size) continue;
        if (other->data_size != credential->data_size) continue;
        if (memcmp(other->bytes, credential->bytes, size) != 0) continue;
        zkl_auth_remove(auth, credential);
        return;
    }
}

void zkl_credential_request(const struct zkl_credential *credential, struct zkl_request *request)
{
    *request = (struct zkl_request) {
        .op = ZKL_OP_AUTH,
        .scheme = { credential->bytes, credential->scheme_size },
        .data = { credential->bytes + credential->scheme_size, credential->data_size },
    };
}

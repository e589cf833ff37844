#define _DEFAULT_SOURCE /* getentropy */
#define OPENSSL_API_COMPAT 0x10100000L /* for SHA1_Init: see sha1 */

#include "main/machine.h"

#include <openssl/sha.h>
#include <unistd.h>

/* By OpenSSL's own functions and not by its EVP: that reads a configuration and loads providers
 * first, 1 ms of the first session's reply. */
static void sha1(void *context, const uint8_t *bytes, size_t size, uint8_t hash[20])
{
    SHA_CTX state;
    (void)context;
    SHA1_Init(&state);
    SHA1_Update(&state, bytes, size);
    SHA1_Final(hash, &state);
}

static void random_bytes(void *context, uint8_t *bytes, size_t size)
{
    enum { GETENTROPY_MAX = 256 };
    (void)context;
    for (size_t i = 0; i < size; i += GETENTROPY_MAX) {
        size_t piece = size - i < GETENTROPY_MAX ? size - i : GETENTROPY_MAX;
        int status = getentropy(bytes + i, piece);
        ZKL_ASSERT(status == 0); /* a kernel without: nothing secret could be made */
    }
}

const struct zkl_crypto zkl_machine_crypto = { sha1, random_bytes, NULL };

uint64_t zkl_machine_seed(void)
{
    uint64_t seed;
    random_bytes(NULL, (uint8_t *)&seed, sizeof seed);
    return seed;
}

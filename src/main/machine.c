#define _DEFAULT_SOURCE /* getentropy */

#include "main/machine.h"

#include <openssl/evp.h>
#include <unistd.h>

static void sha1(void *context, const uint8_t *bytes, size_t size, uint8_t hash[20])
{
    (void)context;
    int done = EVP_Digest(bytes, size, hash, NULL, EVP_sha1(), NULL);
    ZKL_ASSERT(done == 1);
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

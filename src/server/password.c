/* Passwords of sessions: what lets a client take its session to another connection. They are
 * computed from the id, so that nothing has to be kept (sessions.h). */
#include <string.h>

#include "server/sessions.h"
#include "wire/bytes.h"

enum { SECRET_SIZE = 20, HASH_SIZE = 20 };

/* Apache's: sixteen bytes of a 48-bit linear congruential generator whose seed is the id and a
 * public constant. Whoever sees the id, which every Stat of an ephemeral node shows, can compute
 * it; so it is only for sessions that are to move between Apache's servers and this one. */
static void apache_password(int64_t id, uint8_t password[ZKL_PASSWORD_SIZE])
{
    const uint64_t multiplier = UINT64_C(0x5deece66d), mask = (UINT64_C(1) << 48) - 1;
    uint64_t state = (((uint64_t)id ^ UINT64_C(0xb3415c00)) ^ multiplier) & mask;
    for (size_t i = 0; i < ZKL_PASSWORD_SIZE; i += 4) {
        state = (state * multiplier + 11) & mask;
        uint32_t bits = (uint32_t)(state >> 16);
        for (size_t j = 0; j < 4; j++) password[i + j] = (uint8_t)(bits >> 8 * j);
    }
}

void zkl_session_password(const struct zkl_server_options *options, int64_t id,
                          uint8_t password[ZKL_PASSWORD_SIZE])
{
    _Static_assert(sizeof options->secret == SECRET_SIZE, "the secret goes in first");
    uint8_t bytes[SECRET_SIZE + sizeof id], hash[HASH_SIZE];
    if (options->apache_passwords) {
        apache_password(id, password);
        return;
    }
    memcpy(bytes, options->secret, SECRET_SIZE);
    zkl_store_i64(bytes + SECRET_SIZE, id);
    options->crypto.sha1(options->crypto.context, bytes, sizeof bytes, hash);
    memcpy(password, hash, ZKL_PASSWORD_SIZE);
}

bool zkl_session_password_equal(struct zkl_slice given, const uint8_t password[ZKL_PASSWORD_SIZE])
{
    uint8_t bytes[ZKL_PASSWORD_SIZE] = { 0 }, difference = 0;
    if (given.size == ZKL_PASSWORD_SIZE) memcpy(bytes, given.base, ZKL_PASSWORD_SIZE);
    for (size_t i = 0; i < ZKL_PASSWORD_SIZE; i++) {
        difference |= (uint8_t)(bytes[i] ^ password[i]);
    }
    return given.size == ZKL_PASSWORD_SIZE && difference == 0;
}

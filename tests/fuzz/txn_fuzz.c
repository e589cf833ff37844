/* libFuzzer target: whatever stands in a log or in the text of a node is read or refused, and
 * what was read is the same after it was written and read again.
 *
 *   cmake -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DZKLUA_FUZZ=ON
 *   ninja -C build/fuzz txn_fuzz && build/fuzz/txn_fuzz -max_total_time=60
 *
 * The first byte of an input says what the rest is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/addresses.h"
#include "server/prep.h"
#include "server/txn.h"
#include "server/utf8.h"

_Noreturn void zkl_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
    abort();
}

struct entry {
    struct zkl_txn_header header;
    struct zkl_txn txn;
    struct zkl_txn_digest digest;
};

static bool read_entry(struct zkl_slice bytes, struct entry *entry)
{
    struct zkl_reader reader = { bytes.base, bytes.base + bytes.size, false };
    zkl_txn_header_read(&reader, &entry->header);
    if (reader.failed) return false;
    zkl_txn_read(&reader, entry->header.type, &entry->txn);
    zkl_txn_digest_read(&reader, &entry->digest);
    return !reader.failed;
}

static void write_entry(struct zkl_writer *writer, const struct entry *entry)
{
    zkl_txn_header_write(writer, &entry->header);
    zkl_txn_write(writer, &entry->txn);
    if (entry->digest.present) zkl_txn_digest_write(writer, entry->digest.digest);
}

/* In a block of its own exact size, so that one byte too far is found. */
static struct zkl_slice encode(const struct entry *entry)
{
    struct zkl_writer measure = { NULL, 0, 0 };
    write_entry(&measure, entry);
    struct zkl_writer writer = { malloc(measure.size), measure.size, 0 };
    if (writer.base == NULL) abort();
    write_entry(&writer, entry);
    ZKL_ASSERT(writer.size == measure.size);
    return (struct zkl_slice) { writer.base, writer.size };
}

static void walk_parts(struct zkl_vector parts)
{
    struct zkl_txn part;
    int32_t count = parts.count, walked = 0;
    while (zkl_txn_next_part(&parts, &part)) walked++;
    ZKL_ASSERT(parts.size == 0 && walked == (count > 0 ? count : 0));
}

static void check_entry(struct zkl_slice bytes)
{
    struct entry entry, again;
    if (!read_entry(bytes, &entry)) return;
    walk_parts(entry.txn.parts);
    struct zkl_slice first = encode(&entry);
    ZKL_ASSERT(read_entry(first, &again));
    struct zkl_slice second = encode(&again);
    ZKL_ASSERT(first.size == second.size && memcmp(first.base, second.base, first.size) == 0);
    free((void *)(uintptr_t)first.base);
    free((void *)(uintptr_t)second.base);
}

static void check_quota(struct zkl_slice text)
{
    struct zkl_quota quota, again;
    char formatted[ZKL_QUOTA_TEXT_MAX];
    if (!zkl_quota_parse(text, &quota)) return;
    struct zkl_slice back = { (const uint8_t *)formatted, zkl_quota_format(&quota, formatted) };
    ZKL_ASSERT(zkl_quota_parse(back, &again));
    ZKL_ASSERT(memcmp(&quota, &again, sizeof quota) == 0);
}

static void check_network(struct zkl_slice text)
{
    struct zkl_network network, again;
    char formatted[ZKL_ADDRESS_TEXT_MAX];
    if (!zkl_network_parse(text, &network)) return;
    ZKL_ASSERT(zkl_network_has(&network, network.address, network.size));
    struct zkl_slice back = { (const uint8_t *)formatted,
                              zkl_address_format(network.address, network.size, formatted) };
    ZKL_ASSERT(zkl_network_parse(back, &again));
    ZKL_ASSERT(memcmp(network.address, again.address, network.size) == 0);
}

static void check_utf8(struct zkl_slice bytes)
{
    struct zkl_writer measure = { NULL, 0, 0 };
    zkl_utf8_repair(&measure, bytes);
    struct zkl_writer writer = { malloc(measure.size + 1), measure.size, 0 };
    if (writer.base == NULL) abort();
    zkl_utf8_repair(&writer, bytes);
    struct zkl_slice text = { writer.base, writer.size };
    ZKL_ASSERT(writer.size == measure.size && zkl_utf8_is_valid(text));
    bool same = text.size == bytes.size && memcmp(text.base, bytes.base, text.size) == 0;
    ZKL_ASSERT(zkl_utf8_is_valid(bytes) == same);
    free(writer.base);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const CHECKS[])(struct zkl_slice) = { check_entry, check_quota, check_network,
                                                       check_utf8 };
    if (size == 0) return 0;
    CHECKS[bytes[0] % 4]((struct zkl_slice) { bytes + 1, size - 1 });
    return 0;
}

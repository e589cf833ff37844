/* The records of the transaction log, byte for byte Apache's (server-semantics 0, 9.1): what
 * prep writes, apply and replay read, and a log or a leader carries.
 *
 * Reading borrows from the payload. Two old forms are read too: a create without a parent
 * cversion (parent_cversion is then -1) and a closeSession without paths (paths.count -1). */
#ifndef ZKLUA_SERVER_TXN_H
#define ZKLUA_SERVER_TXN_H

#include "zklua/wire.h"

#define ZKL_TXN_HEADER_SIZE 32
#define ZKL_TXN_DIGEST_SIZE 12
#define ZKL_TXN_DIGEST_VERSION 2

struct zkl_txn_header {
    int64_t session_id;
    int32_t cxid;
    int64_t zxid;
    int64_t time_ms; /* wall clock */
    int32_t type;    /* enum zkl_op; ZKL_OP_ERROR for a failed write */
};
void zkl_txn_header_write(struct zkl_writer *writer, const struct zkl_txn_header *header);
void zkl_txn_header_read(struct zkl_reader *reader, struct zkl_txn_header *header);

/*                              fields
 * create, create2              path data acl ephemeral parent_cversion
 * createContainer              path data acl parent_cversion
 * createTTL                    path data acl parent_cversion ttl_ms
 * delete, deleteContainer      path
 * setData                      path data version (the new one)
 * setACL                       path acl version (the new one)
 * check (in a multi)           path version (the current one + 1)
 * multi                        parts
 * createSession                timeout_ms
 * closeSession                 paths
 * error                        code */
struct zkl_txn {
    int32_t type;
    struct zkl_slice path;
    struct zkl_slice data;
    struct zkl_vector acl;
    bool ephemeral;
    int32_t parent_cversion;
    int64_t ttl_ms;
    int32_t version;
    int32_t timeout_ms;
    int32_t code;
    struct zkl_vector paths; /* strings */
    struct zkl_vector parts; /* each: int32 type, buffer with the record */
};
void zkl_txn_write(struct zkl_writer *writer, const struct zkl_txn *txn);
/* reader->failed: not such a record, or a type that no log may hold. In a multi all parts have
 * been read once, so that taking them off cannot fail. Reads exactly the record: what is left
 * is the digest or nothing. */
void zkl_txn_read(struct zkl_reader *reader, int32_t type, struct zkl_txn *txn);
void zkl_txn_write_part(struct zkl_writer *writer, const struct zkl_txn *part);
bool zkl_txn_next_part(struct zkl_vector *parts, struct zkl_txn *part);

struct zkl_txn_digest {
    bool present;
    int32_t version; /* only ZKL_TXN_DIGEST_VERSION can be compared */
    uint64_t digest;
};
void zkl_txn_digest_write(struct zkl_writer *writer, uint64_t digest);
void zkl_txn_digest_read(struct zkl_reader *reader, struct zkl_txn_digest *digest);

/* "0000000007" and past 2147483647 as wire-protocol 5.2 says; returns the length. */
#define ZKL_SEQUENCE_SIZE_MAX 11
size_t zkl_format_sequence(char buffer[ZKL_SEQUENCE_SIZE_MAX], int32_t number);

#endif

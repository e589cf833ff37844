/* One transaction while it is being prepared: what the files prepare*.c share.
 *
 * An operation is judged, its memory reserved, its effect put into the overlay and its record
 * behind the others of the payload. It answers 0, a code of the protocol, or ZKL_PREPARE_NOMEM;
 * for all but 0 the whole transaction is taken back by whoever began it, so that an operation
 * need not tidy up. */
#ifndef ZKLUA_SERVER_PREPARE_H
#define ZKLUA_SERVER_PREPARE_H

#include "server/internal.h"
#include "server/overlay.h"

#define ZKL_PREPARE_NOMEM 1 /* codes of the protocol are not positive */

struct zkl_preparing {
    struct zkl_server *server;
    struct zkl_session *session;       /* NULL: the reaper asks */
    struct zkl_connection *connection; /* who it is decides what is allowed */
    struct zkl_proposal *proposal;
    uint64_t digest;                   /* of the tree with all that was prepared, and this */
    bool in_multi;
};

/* prepare.c: any operation that may stand in a multi or alone. */
int32_t zkl_prepare_operation(struct zkl_preparing *p, const struct zkl_request *request,
                              struct zkl_change *change);
/* prepare_create.c */
int32_t zkl_prepare_create(struct zkl_preparing *p, const struct zkl_request *request,
                           struct zkl_change *change);
/* prepare_multi.c: the whole transaction; 0 also when an operation has failed. */
int32_t zkl_prepare_multi(struct zkl_preparing *p, const struct zkl_request *request);
/* prepare_session.c: the ephemerals go, and their paths are the record. */
int32_t zkl_prepare_close_session(struct zkl_preparing *p);
/* A delete of the reaper's. */
int32_t zkl_prepare_delete_container(struct zkl_preparing *p, struct zkl_slice path);

/* prep.c: all that was prepared is forgotten, the payload is empty again. */
void zkl_prepare_take_back(struct zkl_preparing *p);

/* prepare.c: what they are made of */
void zkl_prepare_look(const struct zkl_preparing *p, struct zkl_slice path,
                      struct zkl_place *place);
/* place->record becomes `record`, and the digest follows. */
bool zkl_prepare_change(struct zkl_preparing *p, struct zkl_place *place,
                        const struct zkl_record *record);
bool zkl_prepare_allowed(const struct zkl_preparing *p, uint32_t acl, int32_t permission);
/* 0 or NOMEM: scratch holds `size` bytes, and what was in it. */
int32_t zkl_prepare_scratch(struct zkl_server *server, size_t size);
/* The access list as it is stored, in scratch from `at` on. */
int32_t zkl_prepare_acl(struct zkl_preparing *p, struct zkl_vector asked, size_t at,
                        struct zkl_vector *fixed);
/* Room behind the payload; its limit is -8. */
int32_t zkl_prepare_room(struct zkl_preparing *p, size_t size);
int32_t zkl_prepare_write(struct zkl_preparing *p, const struct zkl_txn *txn);

static inline struct zkl_writer zkl_prepare_writer(const struct zkl_preparing *p)
{
    const struct zkl_proposal *proposal = p->proposal;
    return (struct zkl_writer) { proposal->payload, proposal->payload_capacity,
                                 proposal->payload_size };
}
/* The owner of the node that a create makes, as it is stored. */
int64_t zkl_txn_owner(const struct zkl_txn *txn, int64_t session_id);
/* Versions and counters wrap as Java's int does. */
static inline int32_t zkl_next_version(int32_t version)
{
    return (int32_t)((uint32_t)version + 1);
}

#endif

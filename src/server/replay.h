/* What replay.c and digest.c share. */
#ifndef ZKLUA_SERVER_REPLAY_H
#define ZKLUA_SERVER_REPLAY_H

#include "server/internal.h"

/* After the entry is in the tree: ZKL_E_CORRUPT, if its digest shows that the tree cannot be what
 * it was when the entry was written. The digest of an entry counts from where the snapshot is no
 * longer fuzzy. */
int zkl_replay_compare(struct zkl_server *server, const struct zkl_txn_header *header,
                       const struct zkl_txn *txn, const struct zkl_txn_digest *digest);

#endif

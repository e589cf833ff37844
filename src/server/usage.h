/* Quotas at work (server-semantics 1.13): which one a path is under, what is used, who is over.
 *
 * A quota of P is the node /zookeeper/quota<P>/zookeeper_limits; beside it the text of
 * zookeeper_stats is what P's subtree uses. There is no table of them: the deepest quota above a
 * path is found by going down both trees at once, which ends where the quotas end. */
#ifndef ZKLUA_SERVER_USAGE_H
#define ZKLUA_SERVER_USAGE_H

#include "server/prepare.h"

/* Paths and data that would keep an Apache server from starting again (1.11): a quota without a
 * path, a text that cannot be read. */
bool zkl_usage_refuses(struct zkl_slice path, struct zkl_slice data);

/* At prep, and only where quotas are enforced: 0, or -125 when a change of the node at `path`
 * is more than the quota above it allows. Judged by the limits as they are now and by what will
 * be used when all that was prepared is applied. */
int32_t zkl_usage_judge(struct zkl_preparing *p, struct zkl_slice path, int64_t count,
                        int64_t bytes);
/* The change is going to happen. false: out of memory. */
bool zkl_usage_expect(struct zkl_preparing *p, struct zkl_slice path, int64_t count,
                      int64_t bytes);
/* A client sets this text of a stats node. */
void zkl_usage_set(const struct zkl_preparing *p, struct zkl_slice path, struct zkl_slice data,
                   struct zkl_record *record);

/* At apply: the text of the stats node follows a change of the node at `path`. A text that finds
 * no memory is put right with the next change. */
void zkl_usage_add(struct zkl_server *server, struct zkl_slice path, int64_t count, int64_t bytes);
/* A node was made; where it is a stats node, it says what is used. */
void zkl_usage_created(struct zkl_server *server, struct zkl_slice path);

#endif

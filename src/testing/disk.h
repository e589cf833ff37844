/* A disk in memory that forgets: behind zkl_files, for specs of the store.
 *
 * What was written is seen by reads at once and by a crash only after a sync: a crash keeps any
 * of the 512-byte sectors that were not synced and loses the others, takes any size between the
 * synced one and the last, and keeps any of the names that were made, changed or removed since
 * their directory was synced, those of directories too. A sync that fails loses what it had to write and leaves it to be
 * read, as Linux does: the next sync says that all is well.
 *
 * Calls are numbered. The power can go off behind any of them; any can be made to fail; writes
 * and reads can be short; sectors can reach the disk by themselves at any time. */
#ifndef ZKLUA_TESTING_DISK_H
#define ZKLUA_TESTING_DISK_H

#include "store/file.h"
#include "testing/testing.h"

struct zkl_disk;

/* The disk at `index` of the stack, NULL if there is none: it lives until it is let go, also
 * when Lua has forgotten it. */
struct zkl_disk *zkl_testing_to_disk(lua_State *L, int index);
void zkl_testing_let_go_of_disk(struct zkl_disk *disk);
const struct zkl_files *zkl_disk_files(const struct zkl_disk *disk);

#endif

/* `zklua server --local DIR`: the helper process behind `local:`, this user's own server on this
 * machine. A program that finds none starts it; nobody stops it: it ends by itself.
 *
 * In DIR, which is made with its parents and mode 0700 where it is not there, and refused where it
 * is another user's or open to others:
 *
 *     local.lock   flock'ed by the helper as long as it lives; "HOST PID\n" of the last one
 *     sock         where it listens. Replaced only by who holds the lock, before the data is read:
 *                  whoever connects meanwhile waits in the backlog. Removed when the helper ends.
 *     local.log    what a helper has logged since it serves; begun anew by each
 *     version-2/   the data: DIR is a data directory as any other, for `zklua server --data DIR`
 *                  and for Apache ZooKeeper
 *
 * Names of sockets have at most 107 bytes, DIR may be longer: both sides open DIR and go through
 * /proc/self/fd/N/sock.
 *
 * Whoever starts it gives it a pipe as stdout, on which comes one byte and then the end:
 *     '+'   it serves: the data is read, the first client can be answered
 *     '='   another helper has the lock; connect, and start again if that fails
 *     none  it cannot serve: stderr has said why, in lines for people; exit status 1
 * From '+' on stderr is local.log, so that nobody waits for the end of a pipe. It leads a session
 * of its own (no terminal's signals), has no descriptors but its own, and its working directory
 * is DIR, so that it keeps no other file system busy.
 *
 * A peer must have this user's id, or root's, by SO_PEERCRED. Sessions belong to the process that
 * attached them last: when that ends, in whatever way, they end at once, as by an expiry, and what
 * they held is free. A process of another pid namespace is not seen (pid 0): its sessions expire
 * as they do over TCP.
 *
 * It ends when it has had neither a session nor a connection for ZKL_LOCAL_IDLE_MS. */
#ifndef ZKLUA_MAIN_LOCAL_H
#define ZKLUA_MAIN_LOCAL_H

#define ZKL_LOCAL_IDLE_MS 5000

#define ZKL_LOCAL_LOCK "local.lock"
#define ZKL_LOCAL_SOCKET "sock"
#define ZKL_LOCAL_LOG "local.log"
#define ZKL_LOCAL_LOG_MAX (4 * 1024 * 1024) /* then it is begun anew */

/* What `zklua server --local [DIR]` does; NULL: the directory that `zklua server` itself keeps its
 * data in. Returns the exit status: 0 ended after its last session, or another has the lock. */
int zkl_local_main(const char *directory);

#endif

---@meta zklua.core
--- The C core as Lua sees it: what a driver and the client library stand on. Programs use
--- `zklua` instead. No function here waits, yields, or calls Lua.
---
--- Seconds are numbers on the clock of `core.now()`. Wrong types raise at level 1.
local core = {}

core._VERSION = "" ---@type string

--- Seconds on a monotonic clock that counts suspend (CLOCK_BOOTTIME).
---@return number
function core.now() end
---@return integer
function core.pid() end
---@return string
function core.hostname() end
--- Reads and drops what a socket brings until its peer ends it, blocking at most `seconds`; whether
--- it ended. Else closing it could reset the connection before the peer has read our last words.
--- For a process that is about to end: nothing else turns meanwhile.
---@param socket integer  a file descriptor
---@param seconds number
---@return boolean
function core.drain(socket, seconds) end
--- From now on a write to a connection that its peer has closed fails (EPIPE) and does not end the
--- process by SIGPIPE. A process that handles or ignores the signal already is left as it is, and
--- programs it starts have the default again.
function core.survive_broken_pipes() end
--- Random bytes from the system, as hexadecimal text of 2 * `count` digits.
---@param count integer
---@return string
function core.random_hex(count) end
--- True in a child of the process that loaded this module.
---@return boolean
function core.forked() end

--- A module table like this one for a simulated system. Its clock stands at 0 until set_time moves
--- it, its random numbers (core.random_hex, back-off, passwords, the order of hash tables) follow
--- from the seed; clients and servers that it makes know this clock only. It has no drain.
---@param options { seed: integer, hostname: string, pid: integer|nil }
---@return table core  with set_time(now, wall): seconds on both clocks; `now` never goes back
function core.simulate(options) end

--- nil when well-formed, else a sentence without full stop ("must start with '/'").
---@param path string
---@param sequential boolean|nil  the server completes the last component
---@return string|nil
function core.check_path(path, sequential) end
---@param name string
---@return string|nil prefix, number|nil sequence  nil: no sequence number at the end
function core.split_sequence(name) end
--- "0x100000002". Numbers above 2^53 raise.
---@param zxid number
---@return string
function core.format_zxid(zxid) end
--- The id of scheme digest: "user:" .. base64(sha1("user:password")).
---@param user string
---@param password string
---@return string
function core.digest_id(user, password) end
--- A whole number below 2^53 that follows from the three, and is another one for any other three:
--- chance for simulations, and the hash of what they did.
---@param seed integer
---@param text string
---@param number integer
---@return number
function core.mix(seed, text, number) end
--- Encodes an ACL for the calls below; nil, message when an entry is malformed.
--- `perms` are bits, or letters of "rwcda".
---@param list { perms: integer|string, scheme: string, id: string }[]
---@return string|nil encoded, string|nil message
function core.acl(list) end
--- Every code a reply can carry: codes.NONODE == -101, ours included.
core.codes = {} ---@type table<string, integer>

---@class zklua.core.Options
---@field endpoints string[]        "host:port"
---@field chroot string|nil
---@field session_timeout number    seconds
---@field readonly boolean|nil
---@field session { id: string, password: string }|nil  password: 32 hexadecimal digits
---@field seed integer|nil          for tests; random otherwise
---@field reply_max integer|nil     bytes
---@field request_max integer|nil   bytes
---@field pending_max integer|nil
---@field allocation_limit integer|nil  tests: the n-th allocation and all after it fail

--- As ZooKeeper keeps it: zxids, times in milliseconds, versions and counts. `null` is true, and
--- present, only where null data reads as "".
---@class zklua.Stat
---@field czxid integer
---@field mzxid integer
---@field pzxid integer
---@field ctime integer
---@field mtime integer
---@field version integer
---@field cversion integer
---@field aversion integer
---@field ephemeral_owner string|nil  "0x..." of the session; nil for a node that is not ephemeral
---@field data_length integer
---@field children_count integer
---@field null boolean|nil

--- Out of memory raises.
---@param options zklua.core.Options
---@return zklua.core.Client
function core.client(options) end

--- A child of fork has no part in its parent's sessions: there every method raises. Collecting a
--- client frees it and sends nothing.
---@class zklua.core.Client
local client = {}

-- Links. Each call passes the time of the call on; results as in zklua/client.h. These, event,
-- tick, close and set_endpoints are the driver's: they raise inside a finalizer (__gc) that runs
-- in the middle of event or output, whereas a finalizer may submit, cancel and unwatch.
---@param link integer
function client:connected(link) end
---@param link integer
function client:disconnected(link) end
---@param link integer
---@param bytes string
---@return boolean ok  false: out of memory; give the link up
function client:feed(link, bytes) end
--- Takes a piece of what there is to write and counts it as sent; nil when nothing is left.
---@param link integer
---@return string|nil bytes
function client:output(link) end

--- The next event, taken off. Shapes:
---   nil
---   "connect", link, endpoint (1-based), not_before
---   "disconnect", link, reason, detail|nil
---   "state", state, reason, detail|nil
---   "reply", xid, code|nil, a, b   nil code is success; a, b by operation:
---       create: path, stat (nil after submit_create with `plain`)   get, reconfig: data, stat
---       set, set_acl, exists: stat     children: names (unsorted), stat
---       acl: list, stat                ephemerals: names
---       count: number                  sync: path
---       whoami: list of { scheme=, user= }
---       multi: results, index of the first failure or nil. A result is
---         { op="create", path=, stat= }, { op="get", data=, stat= }, { op="children", children= },
---         { op="set", stat= }, { op="delete" }, { op="check" }, or { op="error", code= }
---       others: nothing
---   "watch", type, path, kinds (bits), zxid|nil
---   "end"
--- state: "connecting" "connected" "readonly" "disconnected" "expired" "authfailed" "closed".
--- type: "created" "deleted" "changed" "children" "gap". reason: "driver" "timeout" "refused"
--- "protocol" "nomem" "expired" "expired_here" "auth" "rebalance" "close" "none".
--- code: ZooKeeper's name or TIMEOUT CANCELLED NOTCONNECTED CLOSED; "ERROR(-126)" for an
--- unknown number. Null data is "" with stat.null = true.
--- An out-of-memory error raises and takes nothing off.
--- Numbers above 2^53 (zxids after two million elections) are exact on Lua 5.4. LuaJIT refuses
--- them: the first one closes the session and raises, and takes nothing off; from then on a reply
--- that holds one ends with code LIMIT.
---@return string|nil kind
function client:event() end

--- When tick is due, in seconds; nil for never.
---@return number|nil
function client:deadline() end
function client:tick() end

-- Requests. All return xid, or nil, CODE: "ARGUMENT" "LIMIT" "NOTCONNECTED" (fail_fast)
-- "CLOSED" "SESSIONEXPIRED" "AUTHFAILED" (ended) "NOMEM". The last two parameters of each
-- are `deadline` (seconds, nil = never) and `fail_fast`.

--- mode: 0..6 as in ZooKeeper (4 container, 5 and 6 with `ttl` in milliseconds); acl: encoded,
--- nil = open; data nil = null.
function client:create(path, data, acl, mode, ttl, deadline, fail_fast) end
function client:delete(path, version, deadline, fail_fast) end
function client:set(path, data, version, deadline, fail_fast) end
function client:get(path, watch, deadline, fail_fast) end
function client:exists(path, watch, deadline, fail_fast) end
function client:children(path, watch, deadline, fail_fast) end
function client:get_acl(path, deadline, fail_fast) end
function client:set_acl(path, acl, version, deadline, fail_fast) end
function client:sync(path, deadline, fail_fast) end
function client:count(path, deadline, fail_fast) end
function client:ephemerals(path, deadline, fail_fast) end
function client:whoami(deadline, fail_fast) end
function client:add_watch(path, recursive, deadline, fail_fast) end
function client:add_auth(scheme, credential, deadline, fail_fast) end
function client:config(watch, deadline, fail_fast) end
function client:reconfig(joining, leaving, members, config_id, deadline, fail_fast) end
--- operations: { "create", path, data, acl, mode, ttl } { "set", path, data, version }
--- { "delete", path, version } { "check", path, version }. A malformed one raises with its index.
function client:multi(operations, deadline, fail_fast) end
--- operations: { "get", path } { "children", path }
function client:multi_read(operations, deadline, fail_fast) end

---@param xid integer
function client:cancel(xid) end
--- kind: 1 data, 2 exist, 4 child, 8 persistent, 16 recursive
function client:unwatch(path, kind) end
---@param timeout number  seconds
function client:close(timeout) end
---@param endpoints string[]
function client:set_endpoints(endpoints) end

--- state, session id "0x..." or nil, password (hexadecimal), timeout (seconds), last_zxid,
--- valid_until (seconds), endpoint (1-based), pending, watches, memory (bytes held in C)
---@return table
function client:info() end
--- Whether the session cannot have expired yet by the clock: now < valid_until. Cheap.
---@return boolean
function client:valid() end
--- Requests without a reply. Cheap.
---@return integer
function client:pending() end
--- Counters and latency: { bytes_in=, bytes_out=, frames_in=, frames_out=, attempts=, attaches=,
--- pending=, operations = { get = { count=, errors=, sum= (seconds), histogram = { [i] = count }
--- } } }; histogram[i] counts replies that took less than 2^i microseconds and not less than half
--- of that; i is 0 to 31, the last one takes all that is longer, empty ones are absent.
---@return table
function client:metrics() end

--- A server without a disk: what happens is durable at once, and gone with it; or with a log that
--- the driver keeps.
---@class zklua.core.ServerOptions
---@field tick_time number|nil  seconds; default 3
---@field session_timeout_min number|nil  seconds; default two ticks
---@field session_timeout_max number|nil  seconds; default twenty ticks
---@field sessions_keep boolean|nil  sessions end only when they are closed, or by `expire`
---@field ttl_nodes boolean|nil
---@field log boolean|nil  transactions are handed out, see next_txn
---@field secret string|nil  20 bytes: sessions are known to every server with the same; random

--- Out of memory raises.
---@param options zklua.core.ServerOptions
---@return zklua.core.Server
function core.server(options) end

--- The driver's calls, results as in zklua/server.h. Connections are numbers; one that is closed
--- raises, but for `closed`. After each call ask `changed` until it gives nil. As with clients, a
--- child of fork has no part in it, nor has a finalizer that runs in the middle of `output`.
---@class zklua.core.Server
local server = {}

---@return integer|nil connection  nil: no memory or no place for it
function server:accept() end
---@param connection integer
---@param bytes string
function server:feed(connection, bytes) end
--- Takes what there is to write and counts it as sent; nil when nothing is left.
---@param connection integer
---@return string|nil bytes
function server:output(connection) end
--- The driver has closed it, or its peer has. The session stays.
---@param connection integer
function server:closed(connection) end
--- A connection about which something changed: it may have output, it is to be read or not, or it
--- is to be closed. nil: none is left.
---@return integer|nil connection, boolean reads, "after output"|"at once"|nil ending
function server:changed() end
--- When tick is due, in seconds; nil for never.
---@return number|nil
function server:deadline() end
function server:tick() end
--- Ends a session as its expiry would; false: there is none of this id.
---@param session string  "0x..."
---@return boolean
function server:expire(session) end
--- The oldest piece of news, taken off: "new" "moved" "closed" "expired" "refused" "ahead"
--- "limit" "protocol" "slow" "nomem" "stall"; nil for none.
---@return string|nil kind, string|nil session, string|nil detail
function server:event() end
--- nodes, ephemerals, watches, sessions, connections, memory (bytes held in C)
---@return table<string, integer>
function server:info() end

-- A server that was made with `log` starts empty and does not serve: what was logged is replayed
-- into it, then it is started. From then on it hands out each transaction once and applies,
-- answers and tells nothing of it until it hears that it is durable.
--- Raises when this does not belong behind what was replayed before.
---@param payload string
function server:replay(payload) end
function server:start() end
--- The next transaction, in order; nil: none. After each call that the server works in.
---@return integer|nil zxid, string payload
function server:next_txn() end
--- All up to `zxid` are durable.
---@param zxid integer
function server:committed(zxid) end

return core

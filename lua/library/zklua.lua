---@meta zklua
--- The whole API of zklua, for editors and as the source of the reference.
---
--- Nothing here runs. A function whose comment ends in "Later version." is part of the contract
--- and not of this version; everything else is there, and tools/check_docs.lua keeps it so.
---
--- ## Rules that hold everywhere
---
--- * **Results.** Success returns values. Failure returns `nil, message, CODE`, so
---   `assert(call())` is always right. `message` is one sentence for a person, `CODE` one word
---   for a program. Two calls have a third answer, `false, message, CODE`, that is neither:
---   `exists` (surely absent, NONODE) and the waiting `try` forms (held by somebody, BUSY).
--- * **Wrong use** raises at the caller's line: a wrong type, a malformed path, an unknown
---   option, a wait where the host cannot wait, a call on a client after closing it. (Other tasks
---   than the one that closed it get CLOSED.)
--- * **Time** is in seconds, fractions allowed, except in a stat and in `ttl`, where it is
---   milliseconds as ZooKeeper keeps them. `timeout` is for the whole call.
--- * **Tasks.** A call that waits parks the task that makes it. On a plain main thread it runs
---   the event loop meanwhile. In a coroutine that is no task, or inside a callback of the event
---   loop, it raises and names `zk.spawn`. Other tasks run only where one waits; but such a place
---   is also inside an expression: `sum = sum + assert(f())` has read `sum` before `f` waits.
--- * **Connection loss.** A call made while disconnected waits for the connection until its
---   timeout (NOTCONNECTED at once with `fail_fast`). A read whose reply was lost is asked again
---   until its timeout, for reading twice harms nobody. A write whose reply was lost ends in
---   CONNECTIONLOSS: it may have happened, the message says so, and it is never repeated for you.
---   Recipes settle the question themselves; where one cannot, its comment says so.
--- * **Cancellation.** `task:cancel()` ends the wait that the task is in, and every later one,
---   with CANCELLED; only `zk.shield` waits on. A write that was on its way may have happened.
--- * **Paths** are absolute within the chroot. `c:at(path)` gives a view with paths below `path`.
--- * **Data** are byte strings. Null data reads as `""` with `stat.null`; `zk.null` writes null.
--- * **Fork.** In a child of the process that connected, every call raises.
---
--- ## Defaults and limits
---
--- | what | value | where it is set |
--- |---|---|---|
--- | server | `local:` | `zk.connect(servers)`, `-s`, `ZKLUA_SERVER`, rc.lua, /etc/zklua.conf |
--- | directory of `local:` | `~/.local/state/zklua/data`, for root `/var/lib/zklua/data` | `local:DIR`, `XDG_STATE_HOME` |
--- | port | 2181 | in the server list |
--- | session timeout | 30 s asked for, the server decides | `session_timeout` |
--- | timeout of `zk.connect` | the session timeout | `timeout` |
--- | timeout of a call | the session timeout | `timeout` of the call, of the client |
--- | timeout of a recipe | none: it waits for ever | `timeout`, `wait` of the call |
--- | keep-alive | a third of the session timeout, at most every 10 s | |
--- | a connection counts as dead | after two thirds of the session timeout without a word | |
--- | a session counts as expired here | after four thirds without a word | |
--- | pause between attempts to connect | random, below 0.4 s at first and 5 s at last | |
--- | `c:close` waits | at most 5 s, or the call's timeout if less | `c:close(timeout)` |
--- | stall warning | an event loop held for a third of the session timeout | `log` |
--- | largest request | 1,048,575 bytes, as a server's | |
--- | largest reply | 64 MiB | `reply_max` of `zk.connect` |
--- | requests without a reply | 1,000,000 per client, then LIMIT | |
--- | bytes waiting to be sent | 64 MiB per client, then LIMIT | |
--- | watches | 1,000,000 per client, then LIMIT | |
--- | servers in a list | 1,024 | |
--- | ephemerals that the news of an expiry names | 100,000 | |
--- | events that a stream keeps for a slow reader | 10,000, then one `gap` in their place | |
--- | nodes of a cache | 1,000,000, then it ends with LIMIT | |
--- | output kept of a child process | 64 MiB of each, the rest is dropped | `limit` of `zk.run` |
--- | from SIGTERM to SIGKILL of a child | 5 s | |
--- | watches in one message when they are armed again | 128 KiB | |
--- | ttl of a node | 2^40 - 1 ms | |
--- | zxid | 2^53; beyond it the session ends with an error | |
---@class zklua
local zk = {}

zk._VERSION = "" ---@type string

--- Writes null data, which is not the same as "".
zk.null = {} ---@type zklua.Null
---@class zklua.Null

--- Every code, by name: `zk.code.NONODE == "NONODE"`. A name that is no code raises, so a typing
--- mistake in a comparison is found the first time the line runs.
---@type table<zklua.Code, zklua.Code>
zk.code = {}

--- What the third result of a failed call can be, what it means, and what to do about it.
---
--- From ZooKeeper:
---@alias zklua.Code
---| "NONODE" # the node, or for create its parent, does not exist. `parents = true` makes parents
---| "NODEEXISTS" # create: there is one. Often that is an answer and not a failure
---| "BADVERSION" # set, delete, check: changed since it was read. Read again; `c:update` does that
---| "NOTEMPTY" # delete: has children. `recursive = true`
---| "NOCHILDRENFOREPHEMERALS" # create: the parent is ephemeral
---| "NOAUTH" # the ACL does not let this session do it. Add an identity (`auth`) or change the ACL
---| "INVALIDACL" # an entry that the server does not accept; "creator" without an identity
---| "AUTHFAILED" # the server refused an identity. The session has ended: correct the credential
---| "CONNECTIONLOSS" # sent, the reply was lost. A write may have happened: read before repeating
---| "SESSIONEXPIRED" # the session is gone, its ephemerals with it. `on_expire` says what follows
---| "SESSIONMOVED" # the session is used through another server; repeat
---| "NOTREADONLY" # a write to a server that is cut off from its ensemble. Repeat later
---| "QUOTAEXCEEDED" # a hard quota on the path
---| "THROTTLEDOP" # the server is overloaded. Repeat after a pause
---| "EPHEMERALONLOCALSESSION" # a local session cannot create ephemerals
---| "NOWATCHER" # there is no such watch on the server
---| "UNIMPLEMENTED" # the server is too old, or has the feature switched off (ttl, for one)
---| "BADARGUMENTS" # the server refused the arguments
---| "MARSHALLINGERROR" # the server could not read the request (larger than its limit, mostly)
---| "REQUESTTIMEOUT" # the server gave up. A write may have happened
---| "RECONFIGDISABLED" # reconfig: not switched on at the server
---| "RECONFIGINPROGRESS" # reconfig: another one is going on
---| "NEWCONFIGNOQUORUM" # reconfig: the new servers would have no quorum
---| "SESSIONCLOSEDREQUIRESASLAUTH" # the server wants SASL
---| "RUNTIMEINCONSISTENCY" # transaction: another operation of it failed; see its index
---| "SYSTEMERROR" # a fault in the server; its log says more
---| "DATAINCONSISTENCY" # a fault in the server; its log says more
---| "OPERATIONTIMEOUT" # not sent by today's servers
---| "INVALIDSTATE" # not sent by today's servers
---| "UNKNOWNSESSION" # not sent by today's servers
---| "APIERROR" # not sent by today's servers
---| "INVALIDCALLBACK" # not sent by today's servers
---| "CLOSING" # not sent by today's servers
---| "NOTHING" # not sent by today's servers
---
--- From zklua:
---| "TIMEOUT" # the call's timeout has passed. A write may have happened if it was sent
---| "CANCELLED" # the task was cancelled. A write may have happened if it was sent
---| "CLOSED" # the client (stream, queue ...) was closed, by `close` or with its client
---| "NOTCONNECTED" # there was no connection; surely not sent, so it can be repeated
---| "BUSY" # somebody else holds it, and the time to wait for it is over
---| "LOST" # it was held and is no longer. Stop: another may hold it by now
---| "EMPTY" # queue: nothing came in time
---| "FULL" # queue: at its limit
---| "FOREIGN" # nodes of another program's shape are in the way; the message shows one
---| "BADDATA" # the node's data is not what the recipe writes there
---| "LIMIT" # a limit of the table above; nothing was sent

-- Connecting -----------------------------------------------------------------------------------

---@class zklua.ConnectOptions
---@field servers string|string[]|nil  the same as the first argument
---@field session_timeout number|nil  seconds to ask the server for; default 30
---@field timeout number|nil  seconds for `connect` itself and the default of every call; default:
---  the session timeout, for calls as the server granted it
---@field readonly boolean|nil  a server that is cut off from its ensemble will do until another is
---  found; default false
---@field auth { [1]: string, [2]: string }[]|nil  identities: `{ { "digest", "user:password" } }`
---@field acl zklua.AclArgument|nil  of nodes that this client creates; default "open"
---@field tls table|nil  Later version: raises "not in this version"
---@field on_expire "renew"|"stop"|nil  a new session after an expiry (default), or none
---@field on_error fun(message: string, traceback: string)|nil  an error in a handler or in a task
---  that nobody waits for; default: standard error
---@field log fun(level: string, message: string)|nil  gets lines about connections and stalls
---@field id string|nil  who we are to others in locks and elections; default "host/pid"
---@field session { id: string, password: string }|nil  goes on with a session of `c:session()`
---@field fail_fast boolean|nil  calls end in NOTCONNECTED while there is no connection instead of
---  waiting for one; default false
---@field reply_max integer|nil  bytes of the longest reply that is taken; default 64 MiB. A longer
---  one costs the connection, and its call ends in CONNECTIONLOSS or at its timeout

--- A client with a session: connected, and every identity in `auth` accepted by the server.
---
--- `servers` is "host:port,host:port/chroot", or a list of such; the port may be left out, IPv6
--- goes in brackets. "memory:" or "memory:/chroot" is a server inside this process, which begins
--- empty and ends with the program; all who connect to it here share it. For tests, and for tasks
--- of one program: its sessions end only when they are closed. "local:" or "local:DIR" is this
--- user's own server on this machine, with its data in DIR: the first program that connects starts
--- it, it ends by itself after the last, and a session ends at once with its process. It takes no
--- chroot; `c:at` does the same.
--- Without `servers`, the first of these that names some: `-s` of the runner, `ZKLUA_SERVER`,
--- `server = "host:port"` in `$XDG_CONFIG_HOME/zklua/rc.lua` (or `~/.config/zklua/rc.lua`), the same
--- in `/etc/zklua.conf`; else it is "local:". What is wrong with one of the files raises.
--- The chroot need not exist: recipes and `c:ensure("/")` make it, other writes get NONODE.
---
--- The message of a TIMEOUT names what stood in the way: a host that does not resolve, a port
--- where nobody listens, a peer that does not speak ZooKeeper. NOTCONNECTED comes at once and says
--- why there is no `local:`: a directory of another user, a server that is stopped or on another
--- host, no space. Cancelled, it leaves nothing.
--- Codes: TIMEOUT NOTCONNECTED CANCELLED AUTHFAILED SESSIONEXPIRED (of `session`).
---@param servers string|string[]|nil
---@param options zklua.ConnectOptions|nil
---@return zklua.Client|nil client
---@return string|nil message
---@return zklua.Code|nil code
---@overload fun(options: zklua.ConnectOptions): zklua.Client|nil, string|nil, zklua.Code|nil
function zk.connect(servers, options) end

-- Tasks ----------------------------------------------------------------------------------------

--- Starts `fn(...)` as a task; it begins when the caller next waits. A program ends with its main
--- chunk: wait for the tasks that matter (`task:wait`, `zk.group`). Under a loop of your own, the
--- loop goes on for them.
---@param fn function
---@param ... any
---@return zklua.Task
function zk.spawn(fn, ...) end

---@class zklua.Task
local Task = {}

--- Waits for the task to end and returns what its function returned. If it raised, `wait` raises
--- the same error; but a cancelled task that ended by `assert(call())` has ended as it was asked
--- to: `nil, message, "CANCELLED"`. An error in a task that nobody waits for goes to `on_error`.
--- Codes: TIMEOUT (the task goes on) CANCELLED (the waiting task was).
---@param timeout number|nil  seconds; nil waits for ever
---@return any ...
function Task:wait(timeout) end

--- Ends the wait that the task is in, and every later one, with CANCELLED. The task still runs
--- to its own end; clean-up in `zk.shield` can wait. Does nothing to a task that has ended.
function Task:cancel() end

--- Whether the task's function has returned or raised.
---@return boolean
function Task:done() end

--- Runs `fn(g)` and returns its results when it and every task of `g:spawn` have ended. The first
--- error of any of them cancels the others and is raised here when all have ended. Cancelling
--- the task that is in `zk.group` cancels all, and it returns `nil, message, "CANCELLED"`.
---@param fn fun(g: zklua.Group): ...
---@return any ...
function zk.group(fn) end

---@class zklua.Group
local Group = {}

--- Starts a task that belongs to the group.
---@param fn function
---@param ... any
---@return zklua.Task
function Group:spawn(fn, ...) end

--- Runs `fn(...)` in this task and returns its results. From the deadline on, every wait inside
--- ends with TIMEOUT.
---@param seconds number
---@param fn function
---@param ... any
---@return any ...
function zk.timeout(seconds, fn, ...) end

--- Runs `fn(...)` in this task, its waits out of reach of cancellation and of `zk.timeout`
--- around it: for clean-up. Give the calls inside their own timeouts.
---@param fn function
---@param ... any
---@return any ...
function zk.shield(fn, ...) end

--- Waits. Codes: CANCELLED TIMEOUT (of a `zk.timeout` around it).
---@param seconds number
---@return true|nil slept
---@return string|nil message
---@return zklua.Code|nil code
function zk.sleep(seconds) end

--- Lets other tasks and the sessions have a turn; for long computations. Codes: as `sleep`.
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function zk.pause() end

--- Seconds on a monotonic clock that goes on while the machine sleeps. Its zero means nothing.
---@return number
function zk.now() end

--- A flag to wait for, between tasks.
---@return zklua.Event
function zk.event() end

---@class zklua.Event
local Event = {}

--- Wakes the task that has waited longest; if none waits, the next `wait` returns at once (one
--- of them, however often it was set). May be called anywhere, also in a callback.
function Event:set() end

--- Waits until set, and takes the mark off.
--- Codes: CANCELLED TIMEOUT (of a `zk.timeout` around it).
---@param timeout number|nil  seconds; nil waits for ever
---@return boolean|nil set  false: not within `timeout`
---@return string|nil message
---@return zklua.Code|nil code
function Event:wait(timeout) end

--- The same with a point in time on the clock of `zk.now()`.
---@param deadline number|nil
---@return boolean|nil set
---@return string|nil message
---@return zklua.Code|nil code
function Event:wait_until(deadline) end

--- Something that happens once and stays: all who wait are woken, and later ones do not wait.
---@class zklua.Flag
---@field reason string|nil  why it is set
local Flag = {}

---@return boolean
function Flag:is_set() end

--- Waits until set. Codes: CANCELLED TIMEOUT (of a `zk.timeout` around it).
---@param timeout number|nil  seconds; nil waits for ever
---@return boolean|nil set  false: not within `timeout`
---@return string|nil message
---@return zklua.Code|nil code
function Flag:wait(timeout) end

---@class zklua.RunOptions
---@field stdin string|nil  given to the child and then closed; default: nothing
---@field stdout "capture"|"inherit"|nil  default "capture"
---@field stderr "capture"|"inherit"|nil  default "inherit"
---@field env table<string, string>|nil  added to the environment
---@field cwd string|nil
---@field limit number|nil  bytes kept of each output; default 64 MiB, what is more is dropped
---@field timeout number|nil  seconds; then SIGTERM, and SIGKILL if that does not help

---@class zklua.RunResult
---@field code integer  exit status
---@field signal integer  what ended the child, 0 if nothing did
---@field stdout string|nil  when captured
---@field stderr string|nil  when captured
---@field truncated boolean|nil  true: an output was longer than `limit`

--- Runs a program while the sessions live on. (`os.execute` and `io.popen` stop them: a lock can
--- be lost in the meantime.) A status other than 0 is a result, not a failure. On cancellation
--- and timeout the child gets SIGTERM, then SIGKILL, and has ended when this returns.
--- Codes: CANCELLED TIMEOUT, and the system's name when the program cannot be started ("ENOENT").
---@param argv string[]  program and arguments; no shell is involved
---@param options zklua.RunOptions|nil
---@return zklua.RunResult|nil result
---@return string|nil message
---@return string|nil code
function zk.run(argv, options) end

-- Helpers --------------------------------------------------------------------------------------

--- This machine's name.
---@return string
function zk.hostname() end

--- The text of a zxid, as ZooKeeper's own logs write it: "0x100000002".
---@param zxid number
---@return string
function zk.format_zxid(zxid) end

---@class zklua.AclEntry
---@field perms string|integer  letters of "rwcda" (read write create delete admin), or their bits
---@field scheme string  "world" "auth" "digest" "ip" "x509" "sasl"
---@field id string

---@alias zklua.AclArgument "open"|"creator"|"read"|zklua.AclEntry|zklua.AclEntry[]

--- Access control lists. Wherever one is asked for, a name ("open": everyone everything;
--- "creator": whoever is logged in here; "read": everyone may read) does as well as a list.
---@class zklua.acl
---@field open zklua.AclEntry[]
---@field creator zklua.AclEntry[]
---@field read zklua.AclEntry[]
zk.acl = {}

--- An entry for everyone.
---@param perms string|integer|nil  default "rwcda"
---@return zklua.AclEntry
function zk.acl.world(perms) end

--- An entry for whoever this session is logged in as.
---@param perms string|integer|nil  default "rwcda"
---@return zklua.AclEntry
function zk.acl.auth(perms) end

--- An entry for an address or a network: "10.0.0.0/8".
---@param address string
---@param perms string|integer|nil  default "rwcda"
---@return zklua.AclEntry
function zk.acl.ip(address, perms) end

--- An entry for a user of scheme digest, from the password in clear.
---@param user string
---@param password string
---@param perms string|integer|nil  default "rwcda"
---@return zklua.AclEntry
function zk.acl.digest(user, password, perms) end

--- Paths as text. None of these asks a server.
---@class zklua.path
zk.path = {}

--- Puts pieces together with one slash between them: `join("/a", "b", "/c")` is "/a/b/c".
---@param ... string
---@return string
function zk.path.join(...) end

--- "/a" of "/a/b"; "/" of "/a"; nil of "/".
---@param path string
---@return string|nil
function zk.path.parent(path) end

--- "b" of "/a/b"; "" of "/".
---@param path string
---@return string
function zk.path.name(path) end

--- The components as a list.
---@param path string
---@return string[]
function zk.path.split(path) end

--- "lock-", 7 of "lock-0000000007", as `sequential` makes names; nil where there is no number.
---@param name string
---@return string|nil prefix
---@return number|nil sequence
function zk.path.split_sequence(name) end

--- Why this is no well-formed path, as part of a sentence; nil when it is one.
---@param path string
---@param sequential boolean|nil  the last component is one that the server completes
---@return string|nil
function zk.path.problem(path, sequential) end

-- Client ---------------------------------------------------------------------------------------

--- A session and its operations. Every call that asks the server takes `timeout` and can fail
--- with the codes CONNECTIONLOSS TIMEOUT NOTCONNECTED CANCELLED CLOSED SESSIONEXPIRED AUTHFAILED
--- LIMIT THROTTLEDOP; a comment lists those that a call adds.
---@class zklua.Client
local Client = {}

---@class zklua.CallOptions
---@field timeout number|nil  seconds for the whole call; default: the client's
---@field deadline number|nil  instead of `timeout`: a point in time on the clock of `zk.now()`
---@field fail_fast boolean|nil  NOTCONNECTED instead of waiting for a connection

--- As ZooKeeper keeps it. Ids and owners are text, all else are numbers.
---@class zklua.Stat
---@field czxid number  of the transaction that created the node
---@field mzxid number  of the last one that set its data
---@field pzxid number  of the last one that changed its list of children
---@field ctime number  milliseconds since 1970, by the server's clock
---@field mtime number  milliseconds since 1970, by the server's clock
---@field version number  of the data
---@field cversion number  of the list of children
---@field aversion number  of the ACL
---@field ephemeral_owner string|nil  "0x..." of the session it goes with; nil: not ephemeral
---@field data_length number
---@field children_count number
---@field null boolean|nil  true: the data is null, not ""

---@class zklua.WatchEvent
---@field type "created"|"changed"|"deleted"|"children"|"gap"|"closed"
---@field path string
---@field zxid number|nil  of the change, where the server tells it
---@field code zklua.Code|nil  of "closed": why

--- ZooKeeper's one-shot watch: the event object is set, or the function called once as a task,
--- at the first change after the read. It says that there was one, not how many.
---@alias zklua.OneShot zklua.Event|fun(event: zklua.WatchEvent)

---@class zklua.CreateOptions: zklua.CallOptions
---@field ephemeral boolean|nil  goes with the session
---@field sequential boolean|nil  the server appends a number of ten digits
---@field container boolean|nil  the server removes it some time after its last child has gone
---@field ttl number|nil  milliseconds without a change and without children, then removed
---@field acl zklua.AclArgument|nil  default: the client's
---@field parents boolean|nil  makes missing parents, as plain nodes; default false

--- Creates a node; `data` may be left out before options. With `sequential` the path returned is
--- the one to use from then on; a path that ends in "/" gives a name of digits alone.
---
--- Connection loss: may have been created. With a plain path `c:exists` tells (and
--- `stat.ephemeral_owner` whose it is); with `sequential` the name is unknown, which is what
--- recipes are for. Cancelled, it may have been created.
--- Codes: NONODE (the parent) NODEEXISTS NOCHILDRENFOREPHEMERALS NOAUTH INVALIDACL QUOTAEXCEEDED
--- UNIMPLEMENTED (container, ttl on an old server or one that has them switched off).
---@param path string
---@param data string|zklua.Null|nil  nil writes ""
---@param options zklua.CreateOptions|nil
---@return string|nil path
---@return zklua.Stat|string|nil stat  or the message
---@return zklua.Code|nil code
function Client:create(path, data, options) end

---@class zklua.GetOptions: zklua.CallOptions
---@field watch zklua.OneShot|nil  on success only
---@field fresh boolean|nil  sync first: at least as new as what any client had read before the call

--- Reads a node. Without `fresh` it is what the server at hand knows, which may be behind
--- others by a moment but never behind what this session has seen or written.
--- Codes: NONODE NOAUTH.
---@param path string
---@param options zklua.GetOptions|nil
---@return string|nil data
---@return zklua.Stat|string|nil stat  or the message
---@return zklua.Code|nil code
function Client:get(path, options) end

---@class zklua.SetOptions: zklua.CallOptions
---@field version number|nil  only if the data has this version
---@field create boolean|nil  an absent node is created, its parents too (not one transaction)

--- Writes a node's data.
--- Codes: NONODE BADVERSION NOAUTH QUOTAEXCEEDED.
---@param path string
---@param data string|zklua.Null
---@param options zklua.SetOptions|nil
---@return zklua.Stat|nil stat
---@return string|nil message
---@return zklua.Code|nil code
function Client:set(path, data, options) end

---@class zklua.DeleteOptions: zklua.CallOptions
---@field version number|nil  only if the data has this version
---@field recursive boolean|nil  and everything below it; not one transaction, others see it go
---@field missing_ok boolean|nil  an absent node is success

--- Deletes a node.
--- Codes: NONODE NOTEMPTY BADVERSION NOAUTH.
---@param path string
---@param options zklua.DeleteOptions|nil
---@return true|nil deleted
---@return string|nil message
---@return zklua.Code|nil code
function Client:delete(path, options) end

--- Three answers: a stat; `false`, known to be absent; `nil`, not known. `if not c:exists(p)` is
--- true for the last two: when something is done because a node is absent, ask
--- `c:exists(p) == false`. With `watch`, absence is watched as well.
---@param path string
---@param options zklua.GetOptions|nil
---@return zklua.Stat|false|nil stat
---@return string|nil message
---@return zklua.Code|nil code  NONODE with false
function Client:exists(path, options) end

--- The names of the children, sorted, and the node's stat.
--- Codes: NONODE NOAUTH.
---@param path string
---@param options zklua.GetOptions|nil
---@return string[]|nil names
---@return zklua.Stat|string|nil stat  or the message
---@return zklua.Code|nil code
function Client:children(path, options) end

--- Read, change, write if nobody else has written meanwhile, and again on BADVERSION.
--- `fn(data, stat)` gives the new data, or nil to leave it as it is; it may be called several
--- times and must not wait for long. Returns the data that is there now and its stat.
---
--- Connection loss during the write: CONNECTIONLOSS, it may have happened; `fn` is not called
--- again, for it might then be applied twice.
--- Codes: NONODE NOAUTH.
---@param path string
---@param fn fun(data: string, stat: zklua.Stat): string|nil
---@param options zklua.SetOptions|nil  `create`: an absent node is made; `fn` gets "" and no stat
---@return string|nil data
---@return zklua.Stat|string|nil stat  or the message
---@return zklua.Code|nil code
function Client:update(path, fn, options) end

---@class zklua.EnsureOptions: zklua.CallOptions
---@field acl zklua.AclArgument|nil
---@field container boolean|nil  as containers, where the server has them

--- Makes the node and its parents where they are missing, those of the chroot too; their data
--- is "". Safe to repeat.
--- Codes: NOAUTH NOCHILDRENFOREPHEMERALS.
---@param path string
---@param options zklua.EnsureOptions|nil
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Client:ensure(path, options) end

--- Codes: NONODE NOAUTH.
---@param path string
---@param options zklua.CallOptions|nil
---@return zklua.AclEntry[]|nil acl
---@return zklua.Stat|string|nil stat  or the message
---@return zklua.Code|nil code
function Client:get_acl(path, options) end

--- Replaces the ACL. `version` is that of the ACL (`stat.aversion`).
--- Codes: NONODE NOAUTH INVALIDACL BADVERSION.
---@param path string
---@param acl zklua.AclArgument
---@param options zklua.SetOptions|nil
---@return zklua.Stat|nil stat
---@return string|nil message
---@return zklua.Code|nil code
function Client:set_acl(path, acl, options) end

--- Waits until the server at hand has all that the ensemble had agreed on when it was asked.
---@param path string|nil  default "/"
---@param options zklua.CallOptions|nil
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Client:sync(path, options) end

--- The identities of this session as the server sees them.
---@param options zklua.CallOptions|nil
---@return { scheme: string, user: string }[]|nil identities
---@return string|nil message
---@return zklua.Code|nil code
function Client:whoami(options) end

--- The paths of this session's ephemeral nodes, at and below `path`; sorted.
---@param path string|nil  default "/"
---@param options zklua.CallOptions|nil
---@return string[]|nil paths
---@return string|nil message
---@return zklua.Code|nil code
function Client:ephemerals(path, options) end

--- How many nodes there are below `path`, at any depth. The server walks them all.
--- Codes: NONODE.
---@param path string
---@param options zklua.CallOptions|nil
---@return number|nil count
---@return string|nil message
---@return zklua.Code|nil code
function Client:count(path, options) end

--- The ensemble's configuration, as the text of /zookeeper/config. Codes: NONODE NOAUTH.
---@param options zklua.GetOptions|nil
---@return string|nil text
---@return zklua.Stat|string|nil stat  or the message
---@return zklua.Code|nil code
function Client:config(options) end

---@class zklua.Reconfiguration
---@field joining string|nil  "server.4=host:2888:3888;2181", comma between two
---@field leaving string|nil  "2,3"
---@field members string|nil  the whole new list; not together with the other two
---@field version number|nil  only if the configuration has this version

--- Changes the ensemble. Returns the new configuration.
--- Codes: RECONFIGDISABLED RECONFIGINPROGRESS NEWCONFIGNOQUORUM BADVERSION BADARGUMENTS NOAUTH.
---@param change zklua.Reconfiguration
---@param options zklua.CallOptions|nil
---@return string|nil text
---@return zklua.Stat|string|nil stat  or the message
---@return zklua.Code|nil code
function Client:reconfig(change, options) end

--- Starts a transaction: operations that happen all or not at all.
---@return zklua.Transaction
function Client:transaction() end

--- The first steps return the transaction, so that they can be chained. Nothing is sent before
--- `commit`, which can be called once.
---@class zklua.Transaction
local Transaction = {}

---@param path string
---@param data string|zklua.Null|nil
---@param options zklua.CreateOptions|nil  without `parents`
---@return zklua.Transaction
function Transaction:create(path, data, options) end

---@param path string
---@param data string|zklua.Null
---@param options { version: number|nil }|nil
---@return zklua.Transaction
function Transaction:set(path, data, options) end

---@param path string
---@param options { version: number|nil }|nil
---@return zklua.Transaction
function Transaction:delete(path, options) end

--- The others happen only if this node exists and, with `version`, has that version.
---@param path string
---@param options { version: number|nil }|nil
---@return zklua.Transaction
function Transaction:check(path, options) end

---@class zklua.TransactionResult
---@field op "create"|"set"|"delete"|"check"
---@field path string|nil  of create
---@field stat zklua.Stat|nil  of create, where the server tells it, and set

--- Sends it. On failure nothing has happened (but see CONNECTIONLOSS and TIMEOUT), the code is
--- that of the operation that failed, and `index` says which that was.
---@param options zklua.CallOptions|nil
---@return zklua.TransactionResult[]|nil results
---@return string|nil message
---@return zklua.Code|nil code
---@return integer|nil index
function Transaction:commit(options) end

---@class zklua.ReadResult
---@field op "get"|"children"|"error"
---@field data string|nil
---@field children string[]|nil  sorted
---@field stat zklua.Stat|nil
---@field code zklua.Code|nil  of "error": why this one could not be read

--- Reads many nodes in one request, at one moment: `{ { "get", path }, { "children", path } }`.
--- One that cannot be read does not fail the others.
---@param list { [1]: "get"|"children", [2]: string }[]
---@param options zklua.CallOptions|nil
---@return zklua.ReadResult[]|nil results
---@return string|nil message
---@return zklua.Code|nil code
function Client:read_many(list, options) end

--- Logs in; true when the server has accepted it. It is repeated on every later connection.
--- AUTHFAILED ends the session: ZooKeeper closes it.
---@param scheme string
---@param id string  "user:password" of scheme digest
---@param options zklua.CallOptions|nil
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Client:add_auth(scheme, id, options) end

---@alias zklua.State "connecting"|"connected"|"readonly"|"disconnected"|"expired"|"closed"

---@return zklua.State
function Client:state() end

--- The session: `id` is "0x...", `password` hexadecimal text, `timeout` what the server granted,
--- in seconds. After a renewal it is another one.
---@return { id: string, password: string, timeout: number }
function Client:session() end

--- Counters since the client was made: bytes and frames each way, connections, expiries, requests
--- without a reply, and per operation count, errors and a histogram of latencies.
---@return table
function Client:metrics() end

--- Calls `fn` as a task at each news: "state" with the new state and the reason; "expired" with a
--- list of the ephemerals that went with the session; "error" with message and traceback.
---@param event "state"|"expired"|"error"
---@param fn function
---@return fun() off  takes the handler off
function Client:on(event, fn) end

--- A view of the same session whose paths are relative to `path`.
---@param path string
---@return zklua.Client
function Client:at(path) end

--- The view of everything within the chroot.
---@return zklua.Client
function Client:root() end

--- The path within the chroot of a path of this view.
---@param path string
---@return string
function Client:resolve(path) end

--- Takes a one-shot watch (`watch =`) off again; true if it was still there.
---@param path string
---@param kind "data"|"exist"|"child"|nil  nil: whichever it is
---@param watch zklua.OneShot  the object that was given
---@return boolean
function Client:unwatch(path, kind, watch) end

--- Ends the session: what was asked before is still answered, then the ephemerals of the session
--- go, at once and for everybody. When the server cannot be reached in time the session ends by
--- expiry instead. Closing twice is no mistake. A client that is collected, or open when the Lua
--- state is closed, does the same without waiting; `os.exit` without `true` does not.
---@param timeout number|nil  seconds; default: the call's, at most 5
---@return true
function Client:close(timeout) end

-- Watching -------------------------------------------------------------------------------------

---@class zklua.WatchOptions: zklua.CallOptions
---@field recursive boolean|nil  everything below it too
---@field data boolean|nil  created, changed, deleted; default true
---@field children boolean|nil  the list of children; default true. Never with `recursive`, where
---  children report themselves

--- A stream of what happens to a node, in the order in which it happened. The results are made
--- for a generic for: `for ev in assert(c:watch(path)) do ... end`. On Lua 5.4 leaving the loop
--- closes the stream; `stream:each` does so everywhere, and the end of the task that opened it.
---
--- Servers do not repeat what was missed while disconnected: after each reconnection a stream
--- gives `gap`, and who needs the present state reads it then. `c:live` and `c:cache` do that.
--- Codes: NOAUTH.
---@param path string  need not exist
---@param options zklua.WatchOptions|nil
---@return zklua.Stream|nil stream
---@return string|nil message
---@return zklua.Code|nil code
---@return zklua.Stream|nil closing  the stream again, for a generic for
function Client:watch(path, options) end

---@class zklua.Stream
---@operator call: zklua.WatchEvent
local Stream = {}

--- The next event; calling the stream does the same. After `closed` comes nothing but nil.
--- Codes: TIMEOUT CANCELLED CLOSED.
---@param timeout number|nil  seconds; nil waits for ever
---@return zklua.WatchEvent|nil event
---@return string|nil message
---@return zklua.Code|nil code
function Stream:next(timeout) end

--- Calls `fn(event)` for each event until it returns something other than nil or raises, closes
--- the stream on every way out, and returns what `fn` returned.
---@param fn fun(event: zklua.WatchEvent): any
---@return any ...
function Stream:each(fn) end

--- The stream outlives the task that opened it; somebody must close it.
---@return zklua.Stream
function Stream:detach() end

--- Takes the watch off. Closing twice is no mistake.
function Stream:close() end

---@class zklua.LiveOptions: zklua.CallOptions
---@field default string|nil  the `data` of an absent node

--- A value that is always the newest known: read when made, and again after every change and
--- every reconnection. Between two readings changes can pass unseen: the last one never does.
--- Codes: NOAUTH.
---@param path string  need not exist
---@param options zklua.LiveOptions|nil
---@return zklua.Live|nil live
---@return string|nil message
---@return zklua.Code|nil code
function Client:live(path, options) end

---@class zklua.Live
---@field exists boolean
---@field data string|nil  nil, or `default`, when the node is absent
---@field stat zklua.Stat|nil
---@field revision number  grows with each reading that found something new
---@field stale boolean  true while disconnected: it may have changed since
local Live = {}

--- Seconds since it was last known to be the newest: 0 while connected and read.
---@return number
function Live:age() end

--- Waits until `predicate(data, stat)` is true, asked now and after every change, and returns
--- data and stat. Without a predicate: until the next change. For an absent node without a
--- `default`, data is `false` and there is no stat: nil would be a failure.
--- Codes: TIMEOUT CANCELLED CLOSED.
---@param predicate (fun(data: string|nil, stat: zklua.Stat|nil): boolean)|nil
---@param timeout number|nil  seconds; nil waits for ever
---@return string|false|nil data
---@return zklua.Stat|string|nil stat  or the message
---@return zklua.Code|nil code
function Live:wait(predicate, timeout) end

--- Calls `fn(data, stat)` with the value now and after each change, until `fn` returns something
--- other than nil, and returns that.
--- Codes: CANCELLED CLOSED.
---@param fn fun(data: string|nil, stat: zklua.Stat|nil): any
---@return any ...
function Live:each(fn) end

--- Stops following. `data` stays what it was.
function Live:close() end

--- The subtree at `path`, kept in memory: after each change only what has changed is read, after
--- a reconnection all is compared. Returns at once; `ready` waits for the first reading.
--- Paths of the cache are relative to `path`, which is "/". A subtree that does not exist is empty.
---@param path string  need not exist
---@param options zklua.CallOptions|nil
---@return zklua.Cache
function Client:cache(path, options) end

---@class zklua.CachedNode
---@field path string  relative to the cache's
---@field name string  its last component
---@field data string
---@field stat zklua.Stat

---@class zklua.Cache
---@field revision number  grows with each change
---@field stale boolean  true while disconnected: it may have changed since
local Cache = {}

--- Data and stat from memory; nil for an absent node, which is no failure.
---@param path string
---@return string|nil data
---@return zklua.Stat|nil stat
function Cache:get(path) end

--- Sorted names from memory; nil for an absent node. The table is the cache's own.
---@param path string
---@return string[]|nil
function Cache:children(path) end

--- All nodes in order of their paths: `for path, node in cache:pairs() do`, as it was when the
--- loop began.
---@return fun(): string, zklua.CachedNode
function Cache:pairs() end

--- All nodes in order of their paths; the same table until `revision` changes.
---@return zklua.CachedNode[]
function Cache:list() end

---@class zklua.CacheEvent
---@field type "snapshot"|"added"|"changed"|"removed"|"closed"
---@field path string
---@field data string|nil  of "added" and "changed"; of "removed" the last one known
---@field stat zklua.Stat|nil
---@field nodes zklua.CachedNode[]|nil  of "snapshot": all there are
---@field code zklua.Code|nil  of "closed": why

--- A stream of changes for a generic for: first a "snapshot", then what changes, in order, without
--- gaps. A listener that falls behind by more than 10,000 gets a snapshot instead.
---@return zklua.CacheChanges
function Cache:changes() end

---@class zklua.CacheChanges
local CacheChanges = {}

--- The next change. Codes: TIMEOUT CANCELLED CLOSED.
---@param timeout number|nil  seconds; nil waits for ever
---@return zklua.CacheEvent|nil
---@return string|nil message
---@return zklua.Code|nil code
function CacheChanges:next(timeout) end

--- Ends the stream; the cache goes on.
function CacheChanges:close() end

--- Seconds since it was last known to be the newest: 0 while connected.
---@return number
function Cache:age() end

--- Waits until the subtree has been read once. Codes: TIMEOUT CANCELLED CLOSED NOAUTH LIMIT.
---@param timeout number|nil  seconds; nil waits for ever
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Cache:ready(timeout) end

--- Stops following; what is in memory stays.
function Cache:close() end

-- Holding something ----------------------------------------------------------------------------

--- What a lock, a term of an election or a lease hands out.
---
--- That no two work at once is promised by the token at the resource: give `token` to what the
--- lock protects and let that refuse a smaller one, or write through the guarded calls here.
--- `valid()` alone is advisory, because clocks and pauses are as they are.
---@class zklua.Held
---@field token number  grows from holder to holder
---@field token_text string  the same as text, "0x..."
---@field doubt boolean  true while disconnected: may still be ours
---@field lost zklua.Flag  set for good: expired, past the local deadline, or our node gone
local Held = {}

--- Whether it is surely still ours by our own clock, connected or not: until the send time of the
--- last answered request plus the session timeout. Asks no server. May be false in a
--- disconnection and true again after it; once `lost` it stays false.
---@param options { strict: boolean|nil }|nil  strict: only while connected
---@return boolean
function Held:valid(options) end

--- Waits; true, or false as soon as it is lost. Codes: CANCELLED.
---@param seconds number
---@return boolean|nil
---@return string|nil message
---@return zklua.Code|nil code
function Held:sleep(seconds) end

--- `c:set`, in one transaction with a check that we still hold it.
--- Codes: as `c:set`, and LOST when we do not. Lost while the answer was awaited, it may have
--- happened, at a time when we did hold it.
---@param path string
---@param data string|zklua.Null
---@param options zklua.SetOptions|nil  without `create`
---@return zklua.Stat|nil stat
---@return string|nil message
---@return zklua.Code|nil code
function Held:set(path, data, options) end

--- `c:create`, guarded as `held:set` is.
---@param path string
---@param data string|zklua.Null|nil
---@param options zklua.CreateOptions|nil  without `parents`
---@return string|nil path
---@return zklua.Stat|string|nil stat  where the server tells it; or the message
---@return zklua.Code|nil code
function Held:create(path, data, options) end

--- `c:delete`, guarded as `held:set` is.
---@param path string
---@param options zklua.DeleteOptions|nil  without `recursive`
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Held:delete(path, options) end

--- `c:transaction`, guarded as `held:set` is; the guard is not counted in `index` and results.
---@return zklua.Transaction
function Held:transaction() end

--- Gives it up. Out of reach of cancellation; without a connection the session sees to it as soon
--- as it has one again, and expiry does if it never has. Releasing twice is no mistake.
---@return true
function Held:release() end

-- Lock -----------------------------------------------------------------------------------------

---@class zklua.LockOptions
---@field id string|nil  shown to others as the holder; default: the client's
---@field dialect "curator"|"kazoo"|"apache"|nil  whose node names; default "curator"
---@field sees string[]|nil  other dialects whose contenders count as well
---@field reentrant boolean|nil  a task that holds it may take it again; default false: that raises

--- A lock, held by at most one at a time in order of arrival. Missing parents are made.
---
--- Guarantees: one holder at a time as the server sees it, first come first served, a holder
--- whose session dies is followed by the next; each hand-off wakes one waiter. Does not
--- guarantee that a holder that stood still notices in time: see `held`.
--- Connection loss while waiting: the place in line is kept and found again. Cancellation and
--- timeout while waiting: the place is given up, so the next can move on.
---@param path string
---@param options zklua.LockOptions|nil
---@return zklua.Lock
function Client:lock(path, options) end

---@class zklua.Lock
local Lock = {}

---@class zklua.WaitOptions
---@field wait number|nil  seconds to wait for our turn; nil waits for ever. To find out whether it
---  has come takes as long as the server takes, at most the client's timeout
---@field timeout number|nil  the same
---@field deadline number|nil  the same as a point in time on the clock of `zk.now()`

--- Waits for the lock, runs `fn(held)`, releases. `true` and the results of `fn` when the lock was
--- ours to the end of it. An error in `fn` is raised again after the release. When the session
--- goes while `fn` runs, calls that wait inside return LOST and so does this, whatever `fn`
--- returned.
--- Codes: BUSY (message names the holder and since when) LOST CANCELLED FOREIGN, and a call's.
---@param options zklua.WaitOptions|nil  may be left out
---@param fn fun(held: zklua.Held): ...
---@return true|nil
---@return any ...  or message and code
---@overload fun(self: zklua.Lock, fn: fun(held: zklua.Held): ...): true|nil, ...
function Lock:with(options, fn) end

--- Waits for the lock and hands it out; release it yourself.
--- Codes: BUSY (`wait` is over; names the holder) CANCELLED FOREIGN, and a call's.
---@param options zklua.WaitOptions|nil
---@return zklua.Held|nil held
---@return string|nil message
---@return zklua.Code|nil code
function Lock:acquire(options) end

--- Takes the lock if nobody holds it. `false` when somebody does (message names who).
--- Codes: BUSY with false; FOREIGN, and a call's.
---@return zklua.Held|false|nil held
---@return string|nil message
---@return zklua.Code|nil code
function Lock:try() end

---@class zklua.Contender
---@field id string  as it calls itself
---@field path string  its node
---@field since number  when it came, milliseconds since 1970 by the server's clock
---@field token number  what it holds, or would hold, as `held.token`

--- Who holds the lock and who waits, in order.
---@param options zklua.WaitOptions|nil
---@return zklua.Contender[]|nil contenders
---@return string|nil message
---@return zklua.Code|nil code
function Lock:contenders(options) end

--- Asks the holder to give it up. Later version.
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Lock:revoke() end

--- Many readers or one writer: `:read()` and `:write()` are locks. Later version.
---@param path string
---@param options zklua.LockOptions|nil
---@return table
function Client:rwlock(path, options) end

--- As a lock with `permits` holders. Later version.
---@param path string
---@param options table
---@return table
function Client:semaphore(path, options) end

--- Several locks as one, taken in a fixed order. Later version.
---@param locks table
---@return table
function Client:multilock(locks) end

-- Election -------------------------------------------------------------------------------------

---@class zklua.ElectionOptions
---@field dialect "curator"|"kazoo"|"apache"|nil  as for a lock; default "curator"
---@field id string|nil  default: the client's
---@field data string|nil  shown to others instead of `id`
---@field mode "dynamic"|"static"|nil  dynamic: in order of arrival; static: whoever comes first to
---  one node, the others watch it. Default "dynamic"
---@field dialect "curator"|"kazoo"|"apache"|nil  as of a lock; dynamic only

--- One leader among many candidates. Guarantees and loss as for a lock; a term is a `held`.
---@param path string
---@param options zklua.ElectionOptions|nil
---@return zklua.Election
function Client:election(path, options) end

---@class zklua.Election
local Election = {}

--- Stands, and runs `fn(term)` once for each term. When `fn` returns, steps down and returns its
--- results; when it raises, steps down and raises. When the term is lost, `fn`'s waits return
--- LOST, and once it has returned we stand again.
--- Codes: CANCELLED CLOSED, and a call's.
---@param fn fun(term: zklua.Held): ...
---@return any ...
function Election:campaign(fn) end

--- Stands, waits until elected and hands the term out; `term:release()` steps down.
--- Codes: BUSY (`wait` is over; names the leader) CANCELLED, and a call's.
---@param options zklua.WaitOptions|nil
---@return zklua.Held|nil term
---@return string|nil message
---@return zklua.Code|nil code
function Election:latch(options) end

--- Who leads now, as far as the server at hand knows; false when nobody does.
---@param options zklua.WaitOptions|nil
---@return zklua.Contender|false|nil leader
---@return string|nil message
---@return zklua.Code|nil code
function Election:leader(options) end

--- A stream of leaders, the present one first: `for leader in assert(e:changes()) do`. An item is
--- a contender, or false while there is none.
--- What comes and goes between two readings is not seen; the last one always is.
---@return zklua.Changes
function Election:changes() end

--- A stream of values, each different from the one before; for a generic for.
---@class zklua.Changes
local Changes = {}

--- The next value. Codes: TIMEOUT CANCELLED CLOSED.
---@param timeout number|nil  seconds; nil waits for ever
---@return any value
---@return string|nil message
---@return zklua.Code|nil code
function Changes:next(timeout) end

--- Calls `fn(value)` for each until it returns something other than nil or raises, closes, and
--- returns what `fn` returned.
---@param fn fun(value: any): any
---@return any
function Changes:each(fn) end

--- Ends the stream. Closing twice is no mistake.
function Changes:close() end

--- All candidates in order, the leader first. In static mode nobody stands in line: the leader,
--- or none.
---@param options zklua.WaitOptions|nil
---@return zklua.Contender[]|nil candidates
---@return string|nil message
---@return zklua.Code|nil code
function Election:candidates(options) end

--- Steps down and stops standing, wherever this object does: the waits of a campaign's function
--- end with CANCELLED, and it steps down when the function has returned.
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Election:resign() end

--- Makes the candidate of this id the next leader. Later version.
---@param id string
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Election:appoint(id) end

-- Queue ----------------------------------------------------------------------------------------

---@class zklua.QueueOptions
---@field lease boolean|nil  true (default): at least once, an item comes back when its worker dies;
---  false: at most once, an item is gone when it is taken
---@field limit number|nil  `put` is FULL at so many items; default: none
---@field id string|nil  who works on an item, for a person to read; default: the client's

--- First in, first out, any number of producers and consumers. An empty queue waits on a watch.
---
--- At least once: an item is done when `item:done()` has returned true; a worker that dies before
--- leaves it to another, so handling must bear a repetition. At most once: a worker that dies
--- after taking has the item with it, and a lost reply is answered by looking for our claim.
--- Order is that of creation; with several consumers the order of completion is theirs.
---@param path string
---@param options zklua.QueueOptions|nil
---@return zklua.Queue
function Client:queue(path, options) end

---@class zklua.Queue
local Queue = {}

--- Adds an item. Connection loss: CONNECTIONLOSS, may have been added; putting it again may
--- double it. Codes: FULL, and a call's.
---@param data string
---@param options zklua.CallOptions|nil
---@return string|nil path  the item's node
---@return string|nil message
---@return zklua.Code|nil code
function Queue:put(data, options) end

--- Adds many, all or none, in this order.
---@param list string[]
---@param options zklua.CallOptions|nil
---@return string[]|nil paths
---@return string|nil message
---@return zklua.Code|nil code
function Queue:put_all(list, options) end

--- Takes the oldest item that nobody works on, waiting for one if there is none.
--- Cancelled or timed out it has taken nothing.
--- Codes: EMPTY (nothing came in time) CLOSED (`close` of this handle) BADDATA, and a call's.
---@param options zklua.WaitOptions|nil
---@return zklua.Item|nil item
---@return string|nil message
---@return zklua.Code|nil code
function Queue:take(options) end

--- `for item in queue:items() do`: takes one item after the other and waits between them. Ends
--- when this handle is closed or the task cancelled; any other failure raises.
---@return fun(): zklua.Item|nil
function Queue:items() end

--- Wakes whoever takes from this handle with CLOSED. The queue and other handles go on.
---@return true
function Queue:close() end

---@class zklua.Item: zklua.Held
---@field data string
---@field path string
local Item = {}

--- Done with it: gone from the queue. Codes: LOST (the lease was; another may have it), and a
--- call's. Connection loss is looked into: true is certain. After LOST the item may be gone by our
--- own doing at the last moment, or come to another.
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Item:done() end

--- Gives it back at once, to the place in the queue where it was. Codes: as `done`.
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Item:retry() end

--- Moves it aside, with the reason, for a person to look at. Codes: as `done`.
---@param reason string
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Item:fail(reason) end

-- Barrier --------------------------------------------------------------------------------------

---@class zklua.BarrierOptions
---@field parties integer  how many must come
---@field id string|nil  default: the client's

--- A synchronizing barrier: nobody passes before all `parties` have come, and with `leave` nobody
--- goes before all are done. One path serves one round at a time.
---
--- A party whose session dies before all have come is counted out; one that dies inside counts as
--- having left. Cancelled or timed out while entering, its place is given up.
---@param path string
---@param options zklua.BarrierOptions
---@return zklua.Barrier
function Client:barrier(path, options) end

---@class zklua.Barrier
local Barrier = {}

--- Waits until all parties have come. Codes: TIMEOUT CANCELLED LOST, and a call's.
---@param options zklua.WaitOptions|nil
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Barrier:enter(options) end

--- Waits until all parties have left. Codes: as `enter`.
---@param options zklua.WaitOptions|nil
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Barrier:leave(options) end

--- Enter, then leave.
---@param options zklua.WaitOptions|nil
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Barrier:wait(options) end

--- One node that stops everybody while it is there: `close open wait`. Later version.
---@param path string
---@return table
function Client:gate(path) end

-- Member ---------------------------------------------------------------------------------------

--- An ephemeral node that heals: made again after an expiry, and a stale one that an older session
--- of ours has left replaced. Returns when it is there the first time.
--- Codes: NODEEXISTS (somebody else has that name), and a call's.
---@param path string
---@param data string
---@param options zklua.WaitOptions|nil  of the first time
---@return zklua.Member|nil member
---@return string|nil message
---@return zklua.Code|nil code
function Client:member(path, data, options) end

---@class zklua.Member
local Member = {}

--- Changes the data, also for every healing after.
---@param data string
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Member:set(data) end

--- Takes the node away and stops healing it.
---@return true|nil
---@return string|nil message
---@return zklua.Code|nil code
function Member:close() end

--- The members below a path, `members()` and `changes()`. Later version.
---@param path string
---@return table
function Client:group(path) end

-- Recipes to come ------------------------------------------------------------------------------

--- A number that many change: `add get set reserve`. Later version.
---@param path string
---@param options table|nil
---@return table
function Client:counter(path, options) end

--- Services and their instances. Later version.
---@param path string
---@param options table|nil
---@return table
function Client:discovery(path, options) end

--- Work that outlives its workers. Later version.
---@param path string
---@param options table|nil
---@return table
function Client:tasks(path, options) end

--- Runs something once among many. Later version.
---@param path string
---@param options table|nil
---@return table
function Client:once(path, options) end

--- An ordered log of entries. Later version.
---@param path string
---@param options table|nil
---@return table
function Client:journal(path, options) end

--- Splits a set among the members of a group. Later version.
---@param path string
---@param options table|nil
---@return table
function Client:partition(path, options) end

--- Ids that are never given twice. Later version.
---@param path string
---@param options table|nil
---@return table
function Client:ids(path, options) end

-- For tests ------------------------------------------------------------------------------------

--- A private server inside this process: no thread, no socket, no disk. It serves clients of this
--- program only, by `connect_string` or `client`, until it is closed or the program ends. Every
--- write is kept until then, so that it can be stopped and started.
---@param options table|nil  none in this version
---@return zklua.Server
function zk.server(options) end

--- Makes a waiting function the body of a test, for busted and others that do not know waiting:
---
--- ```lua
--- it("is known by its name", zk.test(function()
---   local c = assert(zk.server():client())
---   assert(c:create("/a", "x"))
---   assert.equal("x", (assert(c:get("/a"))))
--- end))
--- ```
---
--- What `fn` raises is raised again, and so is an error in a task of the test that nobody waits
--- for. What has begun in it ends with it: its tasks are cancelled, its clients closed, its servers
--- gone. Lines about connections are not written meanwhile, unless a client has a `log`.
---@param fn function
---@param options { timeout: number|nil }|nil  seconds, default 10; then the test fails
---@return function
function zk.test(fn, options) end

--- What `zk.server` gives. Its sessions expire only on request.
---@class zklua.Server
---@field connect_string string  for zk.connect, with or without a chroot behind it
local Server = {}

--- A client of this server, as zk.connect gives it, but for its `log`: by default nothing is
--- written about what happens to it.
---@param options zklua.ConnectOptions|nil
---@return zklua.Client
function Server:client(options) end

--- Ends the session of a client, as if it had expired; false when it has ended already. The client
--- hears of it when it next connects, so at once if it is connected.
---@param client zklua.Client
---@return boolean
function Server:expire(client) end

--- Breaks a client's connection. What it had asked and was not answered may have been done. It
--- connects again at once; to keep it away, stop the server.
---@param client zklua.Client
function Server:cut(client) end

--- What comes to the client comes so much later, on later connections too; 0: at once again.
---@param client zklua.Client
---@param seconds number
function Server:delay(client, seconds) end

--- The client's `count`-th reply from now on (1: the next one) does not arrive: the connection
--- breaks in its place. The server has done what was asked, and the client cannot know. Replies to
--- the program's calls and to those of its recipes count, on whatever connection.
---@param client zklua.Client
---@param count integer|nil  default 1
function Server:drop_reply(client, count) end

--- The same with the `count`-th request: the server has not done what was asked, and the client
--- cannot know that either.
---@param client zklua.Client
---@param count integer|nil  default 1
function Server:drop_request(client, count) end

--- Ends as a server does that is killed: connections break, and new ones are refused.
function Server:stop() end

--- Serves again, with all that was acknowledged; sessions go on.
function Server:start() end

--- Stops it for good, and closes its clients.
function Server:close() end

return zk

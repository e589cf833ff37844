-- Wrong use, call by call: each raises at the line that made it, and says what was wrong.
local chroot = require("support.chroot")

describe("wrong use of", function()
  local zk, servers, c, held, stream

  setup(function()
    zk = require("zklua")
    servers = chroot("wrong")
    c = assert(zk.connect(servers))
    held = assert(c:lock("/held"):acquire())
    stream = assert(c:watch("/"))
  end)

  teardown(function()
    held:release()
    c:close()
  end)

  -- What is wrong, a word of the message, and the call.
  local CASES = {
    { "get: no path", "path", function() c:get() end },
    { "get: empty component", "empty component", function() c:get("/a//b") end },
    { "get: watch", "watch", function() c:get("/a", { watch = 1 }) end },
    { "get: timeout", "timeout", function() c:get("/a", { timeout = "x" }) end },
    { "get: misspelt option", "tiemout", function() c:get("/a", { tiemout = 1 }) end },
    { "children: option", "foo", function() c:children("/a", { foo = 1 }) end },
    { "exists: relative path", "must start with '/'", function() c:exists("a") end },
    { "set: no data", "data", function() c:set("/a") end },
    { "set: number", "data", function() c:set("/a", 3) end },
    { "delete: options", "options", function() c:delete("/a", 3) end },
    { "create: modes", "exclude each other", function()
      c:create("/a", "x", { ephemeral = true, ttl = 5 })
    end },
    { "create: acl", "acl", function() c:create("/a", "x", { acl = "foo" }) end },
    { "create: acl entry", "acl", function()
      c:create("/a", "x", { acl = { { perms = "z", scheme = "world", id = "anyone" } } })
    end },
    { "ensure: path", "path", function() c:ensure("a") end },
    { "update: function", "fn", function() c:update("/a") end },
    { "transaction: path", "path", function() c:transaction():create("a") end },
    { "transaction: data", "data", function() c:transaction():set("/a") end },
    { "transaction: option", "parents", function()
      c:transaction():create("/a", "", { parents = true })
    end },
    { "read_many: verb", "list[1]", function() c:read_many({ { "foo", "/a" } }) end },
    { "read_many: no list", "list", function() c:read_many() end },
    { "get_acl: path", "path", function() c:get_acl(1) end },
    { "set_acl: acl", "acl", function() c:set_acl("/a", "nobody") end },
    { "sync: path", "path", function() c:sync({}) end },
    { "count: no path", "path", function() c:count() end },
    { "ephemerals: path", "path", function() c:ephemerals(4) end },
    { "whoami: options", "options", function() c:whoami(4) end },
    { "add_auth: id", "id", function() c:add_auth("digest") end },
    { "config: options", "options", function() c:config(4) end },
    { "reconfig: no change", "change", function() c:reconfig() end },
    { "on: event", "event", function() c:on("foo", print) end },
    { "on: function", "fn", function() c:on("state") end },
    { "at: path", "path", function() c:at("x") end },
    { "unwatch: path", "path", function() c:unwatch(4) end },
    { "resolve: path", "path", function() c:resolve("x") end },
    { "close: timeout", "timeout", function() c:close("x") end },
    { "watch: path", "path", function() c:watch("x") end },
    { "watch: option", "foo", function() c:watch("/x", { foo = 1 }) end },
    { "stream:each: function", "fn", function() stream:each() end },
    { "stream:next: timeout", "timeout", function() stream:next("x") end },
    { "live: no path", "path", function() c:live() end },
    { "live: default", "default", function() c:live("/x", { default = 1 }) end },
    { "lock: relative path", "path", function() c:lock("x") end },
    { "lock: no path", "path", function() c:lock() end },
    { "lock: option", "foo", function() c:lock("/x", { foo = 1 }) end },
    { "lock: dialect", "dialect", function() c:lock("/x", { dialect = "foo" }) end },
    { "lock: sees", "sees", function() c:lock("/x", { sees = { "foo" } }) end },
    { "lock:with: no function", "fn", function() c:lock("/x"):with({ wait = 1 }) end },
    { "lock:with: option", "wiat", function() c:lock("/x"):with({ wiat = 1 }, print) end },
    { "lock:acquire: option", "wiat", function() c:lock("/x"):acquire({ wiat = 1 }) end },
    { "lock:acquire: number", "options", function() c:lock("/x"):acquire(3) end },
    { "lock:contenders: options", "options", function() c:lock("/x"):contenders(3) end },
    { "rwlock: later", "not in this version", function() c:rwlock("/x") end },
    { "election: mode", "mode", function() c:election("/x", { mode = "foo" }) end },
    { "election: path", "path", function() c:election("x") end },
    { "election: static root", "path", function() c:election("/", { mode = "static" }) end },
    { "campaign: no function", "fn", function() c:election("/x"):campaign() end },
    { "latch: option", "foo", function() c:election("/x"):latch({ foo = 1 }) end },
    { "leader: options", "options", function() c:election("/x"):leader(4) end },
    { "queue: path", "path", function() c:queue("x") end },
    { "queue: root", "path", function() c:queue("/") end },
    { "queue:put: number", "data", function() c:queue("/q"):put(4) end },
    { "queue:put: option", "foo", function() c:queue("/q"):put("x", { foo = 1 }) end },
    { "queue:put_all: text", "list", function() c:queue("/q"):put_all("x") end },
    { "queue:put_all: item", "list[1]", function() c:queue("/q"):put_all({ 1 }) end },
    { "queue:take: option", "foo", function() c:queue("/q"):take({ foo = 1 }) end },
    { "barrier: no parties", "parties", function() c:barrier("/b") end },
    { "barrier: path", "path", function() c:barrier("b", { parties = 2 }) end },
    { "barrier: 0 parties", "parties", function() c:barrier("/b", { parties = 0 }) end },
    { "barrier:enter: options", "options", function()
      c:barrier("/b", { parties = 1 }):enter(4)
    end },
    { "barrier:leave: outside", "entered", function()
      c:barrier("/b", { parties = 1 }):leave()
    end },
    { "member: path", "path", function() c:member("m", "x") end },
    { "member: no data", "data", function() c:member("/m") end },
    { "member: option", "foo", function() c:member("/m", "x", { foo = 1 }) end },
    { "held:set: path", "path", function() held:set("x", "y") end },
    { "held:set: no data", "data", function() held:set("/x") end },
    { "held:create: option", "parents", function() held:create("/x", "y", { parents = true }) end },
    { "held:delete: path", "path", function() held:delete(3) end },
    { "held:delete: option", "recursive", function() held:delete("/x", { recursive = true }) end },
    { "held:transaction: path", "path", function() held:transaction():create(3) end },
    { "held:sleep: seconds", "seconds", function() held:sleep("x") end },
    { "held:valid: options", "options", function() held:valid(3) end },
    { "a lock that this task holds", "holds", function() c:lock("/held"):acquire() end },
    { "connect: option", "foo", function() zk.connect(servers, { foo = 1 }) end },
    { "connect: servers", "servers", function() zk.connect("h:p:q") end },
    { "connect: chroot", "chroot", function() zk.connect("h/a//b") end },
    { "connect: tls", "not in this version", function() zk.connect(servers, { tls = {} }) end },
    { "connect: local", "stands alone", function() zk.connect("local:,h:1") end },
    { "connect: auth", "auth", function() zk.connect(servers, { auth = { "digest", "a" } }) end },
    { "connect: on_expire", "on_expire", function() zk.connect(servers, { on_expire = "x" }) end },
    { "connect: reply_max", "reply_max", function()
      zk.connect(servers, { reply_max = 10 })
    end },
    { "connect: session_timeout", "session_timeout", function()
      zk.connect(servers, { session_timeout = -1 })
    end },
    { "connect: session", "session", function() zk.connect(servers, { session = { id = 3 } }) end },
    { "spawn: no function", "fn", function() zk.spawn() end },
    { "group: no function", "fn", function() zk.group() end },
    { "timeout: seconds", "timeout", function() zk.timeout("x", print) end },
    { "timeout: no function", "fn", function() zk.timeout(1) end },
    { "shield: no function", "fn", function() zk.shield() end },
    { "sleep: no seconds", "seconds", function() zk.sleep() end },
    { "run: text", "argv", function() zk.run("ls") end },
    { "run: option", "foo", function() zk.run({ "ls" }, { foo = 1 }) end },
    { "event:wait: timeout", "timeout", function() zk.event():wait("x") end },
    { "task:wait: timeout", "timeout", function() zk.spawn(function() end):wait("x") end },
    { "code", "FOO", function() return zk.code.FOO end },
    { "acl.digest: no user", "user", function() zk.acl.digest() end },
    { "path.parent: no path", "path", function() zk.path.parent() end },
    { "format_zxid: text", "zxid", function() zk.format_zxid("x") end },
    { "a generator", "zk.spawn", function() coroutine.wrap(function() c:get("/x") end)() end },
  }

  for _, case in ipairs(CASES) do
    local name, word, call = case[1], case[2], case[3]
    it(name, function()
      local place = debug.getinfo(call, "S")
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches(word, message, 1, true)
      local line = tonumber(message:match("wrong_use_spec%.lua:(%d+): "))
      assert.is_truthy(line and line >= place.linedefined and line <= place.lastlinedefined,
        message)
    end)
  end

  -- On a client that this task has closed: the operation is named, at the caller's line.
  local CLOSED = {
    { "get", function(closed) closed:get("/") end },
    { "transaction", function(closed) closed:transaction() end },
    { "watch", function(closed) closed:watch("/x") end },
    { "lock:acquire", function(closed) closed:lock("/x"):acquire() end },
    { "queue:put", function(closed) closed:queue("/x"):put("x") end },
    { "member", function(closed) closed:member("/x", "x") end },
  }

  for _, case in ipairs(CLOSED) do
    local name, call = case[1], case[2]
    it("a closed client: " .. name, function()
      local closed = assert(zk.connect(servers))
      closed:close()
      local ok, message = pcall(call, closed)
      assert.is_false(ok)
      assert.matches("closed", message, 1, true)
      assert.matches("wrong_use_spec%.lua:%d+: ", message)
    end)
  end
end)

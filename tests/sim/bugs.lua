--- Bugs on purpose: each is a change of a source text that the trials have to find.
---
--- Fields: name; what it is; trial, the pattern whose trial finds it by seeds (from: where the
--- short search of bugs_spec.lua begins); matrix and fault, the scenario and the kind of fault of
--- the matrix of waits that find it; or unseen, why nothing of this does. Then the changes: a file,
--- an old text that occurs once in it, and the new one.
---
--- `tools/bugs` shows and tries them; README.md has the table of what was found when.
return {
  -- Contending ------------------------------------------------------------------------------------
  {
    name = "no-search", trial = "queue", matrix = "lock", fault = "lost_after",
    what = "after a lost reply nobody looks whether the node is there",
    { file = "lua/zklua/own.lua",
      from = [[
    if node.unsure then
      local found, message, code = own.find(client, node.life]],
      to = [[
    if false then
      local found, message, code = own.find(client, node.life]] },
  },
  {
    name = "release-by-prefix", trial = "lock", matrix = "lock", fault = "cancelled",
    what = "who gives up his place deletes every node that looks like one",
    { file = "lua/zklua/own.lua",
      from = "    if name:sub(1, #id) == id then",
      to = "    if name:sub(1, 3) == id:sub(1, 3) then" },
    { file = "lua/zklua/own.lua",
      from = [[
      elseif stat and stat.ephemeral_owner == life.id then
        found[]],
      to = [[
      elseif stat then
        found[]] },
  },
  {
    name = "gives-up-cleaning", trial = "lock", from = 20,
    what = "a clean-up that finds no connection in time is not tried again",
    { file = "lua/zklua/own.lua",
      from = 'return PASSING[code] or code == "TIMEOUT" or code == "NOTCONNECTED"',
      to = "return PASSING[code]" },
  },
  {
    name = "no-cleaning", trial = "lock", matrix = "lock", fault = "timed_out",
    what = "who has waited in vain leaves his node in the line",
    { file = "lua/zklua/recipes/line.lua",
      from = [[
  if front ~= true then
    self:leave()]],
      to = [[
  if front == nil then
    self:leave()]] },
  },
  {
    name = "no-cleaning-when-cancelled", matrix = "lock", fault = "cancelled",
    what = "who is cancelled while waiting leaves his node in the line",
    { file = "lua/zklua/recipes/line.lua",
      from = [[
  if front ~= true then
    self:leave()]],
      to = [[
  if front ~= true and code ~= "CANCELLED" then
    self:leave()]] },
  },
  {
    name = "keeps-its-watch", matrix = "lock", fault = "timed_out",
    what = "who gives up waiting leaves its watch behind",
    { file = "lua/zklua/recipes/line.lua",
      from = [[
    client:unwatch(path, "data", event)
]],
      to = "" },
  },
  {
    name = "believes-the-watch", trial = "lock",
    what = "who is woken takes himself for the first and does not look again",
    { file = "lua/zklua/recipes/line.lua",
      from = [[
    return false, first
  end
  return nil, why, reason]],
      to = [[
    return false, first
  end
  return woken, why, reason]] },
  },
  {
    name = "waits-for-nothing", trial = "lock",
    what = "a contender waits although the one before it had gone when it set its watch",
    { file = "lua/zklua/recipes/line.lua",
      from = [[
  if not data then
    return nil, message, what ~= "NONODE" and what or nil
  end]],
      to = [[
  if not data and what ~= "NONODE" then
    return nil, message, what
  end]] },
  },
  {
    name = "watches-the-first",
    what = "a contender waits for the first in line, not for the one before itself",
    unseen = "right but dear: all who wait wake at each departure. tests/recipes/lock_spec.lua "
      .. "counts the requests of a hand-off",
    { file = "lua/zklua/recipes/line.lua",
      from = "near = (not near or entry.distance > near.distance) and entry or near",
      to = "near = (not near or entry.distance < near.distance) and entry or near" },
  },
  {
    name = "no-sync",
    what = "after a lost reply a server that may be behind is asked without sync",
    unseen = "the simulation has one server, which is never behind itself",
    { file = "lua/zklua/own.lua",
      from = [[
  local ok, message, code = client:sync(parent, limit)
]],
      to = [[
  local ok, message, code = true, nil, nil
]] },
  },
  {
    name = "no-guard", trial = "lock",
    what = "guarded writes do not check the holder's node",
    { file = "lua/zklua/holder.lua", from = "    inner:check(path)", to = '    inner:check("/")' },
    { file = "lua/zklua/holder.lua",
      from = [[
  if not held._node.life.alive then
    lose(held, SESSION_ENDED) -- nothing]],
      to = [[
  if false then
    lose(held, SESSION_ENDED) -- nothing]] },
  },
  {
    name = "leads-on", trial = "election", matrix = "lock", fault = "expired",
    what = "a leader whose session has ended is not told, and its writes go on without a check",
    { file = "lua/zklua/holder.lua",
      from = [[
local function lose(held, reason)
  if held._over then]],
      to = [[
local function lose(held, reason)
  if held._over or reason == SESSION_ENDED then]] },
    { file = "lua/zklua/holder.lua", from = "    inner:check(path)", to = '    inner:check("/")' },
    { file = "lua/zklua/holder.lua",
      from = "    elseif data and message.ephemeral_owner ~= node.life.id then",
      to = "    elseif false then" },
  },
  -- Queues ----------------------------------------------------------------------------------------
  {
    name = "deleted-before-done", trial = "queue",
    what = "an item is deleted when it is taken, not when it is done",
    { file = "lua/zklua/recipes/claim.lua",
      from = [[
  item.data, item.path, item._claims = read.data, path, self
]],
      to = [[
  item.data, item.path, item._claims = read.data, path, self
  self._client:delete(path)
]] },
  },
  {
    name = "adopts-foreign", trial = "queue", from = 35,
    what = "after a lost reply another worker's claim of the same name counts as one's own",
    { file = "lua/zklua/recipes/claim.lua",
      from = "    return data == claim.proof and stat.ephemeral_owner == claim.life.id",
      to = "    return true" },
  },
  {
    name = "taken-twice", trial = "queue",
    what = "a take whose reply was lost counts as done, whoever was faster",
    { file = "lua/zklua/recipes/claim.lua",
      from = [[
      if done or done == nil and not own.PASSING[code] then
        return done]],
      to = [[
      if true then
        return true]] },
  },
  -- Barriers, members, values, streams ------------------------------------------------------------
  {
    name = "one-is-missing", trial = "barrier",
    what = "a barrier opens when all but one have come",
    { file = "lua/zklua/recipes/round.lua",
      from = "  if count >= self._parties then", to = "  if count >= self._parties - 1 then" },
  },
  {
    name = "old-ready-opens", trial = "barrier",
    what = "a barrier that an earlier round has left open lets the next one in",
    { file = "lua/zklua/recipes/round.lua",
      from = "  elseif upto >= self._node.czxid then", to = "  else" },
  },
  {
    name = "not-made-again", trial = "member", matrix = "member", fault = "expired",
    what = "a member is not made again on a new session",
    { file = "lua/zklua/recipes/member.lua",
      from = [[
      made, _, code = make(self, arguments.deadline(client))
]],
      to = [[
      if client._session.expiries == 0 then
        made, _, code = make(self, arguments.deadline(client))
      end
]] },
  },
  {
    name = "own-past-in-the-way", trial = "standstill",
    what = "a member takes the node of its own older session for another's, and waits",
    { file = "lua/zklua/recipes/member.lua",
      from = '      elseif stat and self._owners[stat.ephemeral_owner or ""] then',
      to = "      elseif false then" },
  },
  {
    name = "old-data-made-again", trial = "member", matrix = "member", fault = "expired",
    what = "a member is made again with the data that it had first",
    { file = "lua/zklua/recipes/member.lua",
      from = "_data = data, _owners", to = "_data = data, _first = data, _owners" },
    { file = "lua/zklua/recipes/member.lua",
      from = "client:create(path, self._data,", to = "client:create(path, self._first," },
  },
  {
    name = "value-stays-old", trial = "live",
    what = "a live value does not read again after a reconnection",
    { file = "lua/zklua/live.lua",
      from = [[
  while value:next_event() do
    value.queue:clear()
]],
      to = [[
  for event in function() return value:next_event() end do
    value.queue:clear()
    if event.type == "gap" then value:next_event() end
]] },
  },
  {
    name = "no-gap", trial = "stream",
    what = "a stream does not say that it may have missed something",
    { file = "lua/zklua/watch.lua",
      from = [[
  if self.closed then
    return
  end
  local kind = event.type]],
      to = [[
  if self.closed or event.type == "gap" then
    return
  end
  local kind = event.type]] },
  },
  -- The client ------------------------------------------------------------------------------------
  {
    name = "data-before-event", trial = "core",
    what = "what a watch tells comes behind the replies that came with it",
    { file = "lua/zklua/driver.lua",
      from = [[
  local replies = 0
  while true do]],
      to = [[
  local replies, late = 0, {}
  while true do]] },
    { file = "lua/zklua/driver.lua",
      from = [[
    if kind == nil then
]],
      to = [[
    if kind ~= "watch" and kind ~= "reply" then
      for _, event in ipairs(late) do
        handler:watch(event[1], event[2], event[3], event[4])
      end
      late = {}
    end
    if kind == nil then
]] },
    { file = "lua/zklua/driver.lua",
      from = "      handler:watch(a, b, c, d)", to = "      late[#late + 1] = { a, b, c, d }" },
  },
  {
    name = "tick-before-feed", trial = "standstill",
    what = "the clock is looked at before what waits in the socket",
    { file = "lua/zklua/driver.lua",
      from = [[
    if not self.event:wait(deadline) then
      scheduler.sleep(0)
]],
      to = [[
    if not self.event:wait(deadline) then
]] },
  },
  {
    name = "valid-without-clock", trial = "standstill",
    what = "a holder believes to be one until it is told otherwise, whatever time has passed",
    { file = "lua/zklua/lifetime.lua",
      from = "  return self.alive and self.core:valid()", to = "  return self.alive" },
  },
  {
    name = "renewal-tells-nobody", trial = "lock",
    what = "watches that went with the session are not told when a new one begins",
    { file = "lua/zklua/watches.lua",
      from = [[
  fire_one_shots(self, { type = "gap" })
]],
      to = "" },
  },
  -- The cores, in C -------------------------------------------------------------------------------
  {
    name = "watch-forgotten", trial = "lock",
    what = "watches are not set again after a reconnection",
    { file = "src/client/watches.c",
      from = [[
    zkl_list_join(&watches->unasked, &watches->asked);
}

static size_t path_bytes]],
      to = [[
    (void)watches;
}

static size_t path_bytes]] },
  },
  {
    name = "missed-events-dropped", trial = "core",
    what = "watches are set again as of now, so that what happened meanwhile is never told",
    { file = "src/client/links.c",
      from = "        .zxid = client->links[main].asked_zxid,", to = "        .zxid = INT64_MAX," },
  },
  {
    name = "early-answer", trial = "core",
    what = "the server acknowledges writes before they are durable",
    { file = "src/lua/server.c",
      from = [[
    zkl_push_slice(L, logged.payload);
    return 2;]],
      to = [[
    zkl_push_slice(L, logged.payload);
    zkl_server_committed(hosted->core, logged.zxid, clock_of(hosted));
    return 2;]] },
  },
  {
    name = "never-expires", trial = "lock",
    what = "the server ends no session whose client is gone",
    { file = "src/server/sessions.c",
      from = "            if (session->expires_ms <= own_ms) return session;",
      to = "            if (session->expires_ms < 0) return session;" },
  },
  {
    name = "expires-early", trial = "core",
    what = "the server ends sessions a tick before their time",
    { file = "src/server/sessions.c",
      from = "tick_after(sessions, own_ms + timeout_ms);",
      to = "tick_after(sessions, own_ms + timeout_ms) - sessions->tick_ms;" },
  },
  {
    name = "ephemeral-stays", trial = "lock",
    what = "the end of a session leaves one of its ephemeral nodes",
    { file = "src/server/prepare_session.c",
      from = "    struct zkl_list *link = owner->nodes.next;",
      to = "    struct zkl_list *link = owner->nodes.next->next;" },
    { file = "src/server/apply.c",
      from = "    while ((owner = zkl_tree_owner(&server->tree, id)) != NULL) {",
      to = "    while ((owner = zkl_tree_owner(&server->tree, id)) != NULL && id == 0) {" },
  },
  {
    name = "numbers-again", trial = "core",
    what = "numbers of sequential nodes are given again when nodes have gone",
    { file = "src/server/prepare_create.c",
      from = "int32_t number = parent->record.stat.cversion;",
      to = "int32_t number = parent->record.stat.children_count;" },
  },
  {
    name = "any-version", trial = "core",
    what = "the server does not compare versions",
    { file = "src/server/prepare.c",
      from = "return asked == -1 || asked == current ? 0",
      to = "return asked == -1 || asked == current || asked >= 0 ? 0" },
  },
  {
    name = "fires-again", trial = "lock",
    what = "a watch that is to fire once stays with the server",
    { file = "src/server/watches.c",
      from = "if (entry->kind & ONE_SHOT) drop", to = "if (entry->kind & ONE_SHOT & 0) drop" },
  },
}

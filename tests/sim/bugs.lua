--- Bugs on purpose: each is a change of a source text that the trials have to find.
---
--- { name, what = in one sentence, { file, from = old text, to = new text }, ...,
---   trial = the pattern whose trial finds it, seed = the first that does, counting from 1 }
---
--- `tools/bugs` shows and tries them. A trial that finds all of them is worth its seeds; one that is
--- made weaker by a later change misses some.
return {
  -- Contending ------------------------------------------------------------------------------------
  {
    name = "no-search", trial = "queue",
    what = "after a lost reply nobody looks whether the node is there",
    { file = "lua/zklua/own.lua",
      from = "    if node.unsure then\n      local found, message, code = own.find(client, node.life",
      to = "    if false then\n      local found, message, code = own.find(client, node.life" },
  },
  {
    name = "release-by-prefix", trial = "lock",
    what = "who gives up his place deletes every node that looks like one",
    { file = "lua/zklua/own.lua",
      from = "    if name:sub(1, #id) == id then",
      to = "    if name:sub(1, 3) == id:sub(1, 3) then" },
    { file = "lua/zklua/own.lua",
      from = "      elseif stat and stat.ephemeral_owner == life.id then\n        found[",
      to = "      elseif stat then\n        found[" },
  },
  {
    name = "gives-up-cleaning", trial = "lock",
    what = "a clean-up that finds no connection in time is not tried again",
    { file = "lua/zklua/own.lua",
      from = 'return PASSING[code] or code == "TIMEOUT" or code == "NOTCONNECTED"',
      to = "return PASSING[code]" },
  },
  {
    name = "no-cleaning", trial = "lock",
    what = "who has waited in vain leaves his node in the line",
    { file = "lua/zklua/recipes/line.lua",
      from = "  if front ~= true then\n    self:leave()",
      to = "  if front == nil then\n    self:leave()" },
  },
  {
    name = "believes-the-watch", trial = "lock",
    what = "who is woken takes himself for the first and does not look again",
    { file = "lua/zklua/recipes/line.lua",
      from = "    return false, first\n  end\n  return nil, why, reason",
      to = "    return false, first\n  end\n  return woken, why, reason" },
  },
  {
    name = "waits-for-nothing", trial = "lock",
    what = "a contender waits although the one before it had gone when it set its watch",
    { file = "lua/zklua/recipes/line.lua",
      from = "  if not data then\n    return nil, message, what ~= \"NONODE\" and what or nil\n  end",
      to = "  if not data and what ~= \"NONODE\" then\n    return nil, message, what\n  end" },
  },
  {
    name = "watches-the-last", trial = "lock",
    what = "a contender waits for whoever came last before the first, not for the one before itself",
    { file = "lua/zklua/recipes/line.lua",
      from = "near = (not near or entry.distance > near.distance) and entry or near",
      to = "near = near or entry" },
  },
  {
    name = "no-guard", trial = "lock",
    what = "guarded writes do not check the holder's node",
    { file = "lua/zklua/holder.lua", from = "    inner:check(path)", to = '    inner:check("/")' },
    { file = "lua/zklua/holder.lua",
      from = "  if not held._node.life.alive then\n    lose(held, SESSION_ENDED) -- nothing",
      to = "  if false then\n    lose(held, SESSION_ENDED) -- nothing" },
  },
  {
    name = "leads-on", trial = "election",
    what = "a leader whose session has ended is not told, and its writes go on without a check",
    { file = "lua/zklua/holder.lua",
      from = "  held._off = node.life:on_end(function()\n    lose(held, SESSION_ENDED)",
      to = "  held._off = node.life:on_end(function()" },
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
      from = "  item.data, item.path, item._claims = read.data, path, self\n",
      to = "  item.data, item.path, item._claims = read.data, path, self\n  self._client:delete(path)\n" },
  },
  {
    name = "adopts-foreign", trial = "queue",
    what = "after a lost reply another worker's claim of the same name counts as one's own",
    { file = "lua/zklua/recipes/claim.lua",
      from = "    return data == claim.proof and stat.ephemeral_owner == claim.life.id",
      to = "    return true" },
  },
  -- The client ------------------------------------------------------------------------------------
  {
    name = "renewal-tells-nobody", trial = "lock",
    what = "watches that went with the session are not told when a new one begins",
    { file = "lua/zklua/watches.lua",
      from = '  fire_one_shots(self, { type = "gap" })\n', to = "" },
  },
  -- The cores, in C -------------------------------------------------------------------------------
  {
    name = "watch-forgotten", trial = "lock",
    what = "watches are not set again after a reconnection",
    { file = "src/client/watches.c",
      from = "    zkl_list_join(&watches->unasked, &watches->asked);\n}\n\nstatic size_t path_bytes",
      to = "    (void)watches;\n}\n\nstatic size_t path_bytes" },
  },
  {
    name = "missed-events-dropped", trial = "lock",
    what = "watches are set again as of now, so that what happened meanwhile is never told",
    { file = "src/client/links.c",
      from = "        .zxid = client->links[main].asked_zxid,", to = "        .zxid = INT64_MAX," },
  },
  {
    name = "early-answer", trial = "lock",
    what = "the server acknowledges writes before they are durable",
    { file = "src/lua/server.c",
      from = "    zkl_push_slice(L, logged.payload);\n    return 2;",
      to = "    zkl_push_slice(L, logged.payload);\n"
        .. "    zkl_server_committed(hosted->core, logged.zxid, clock_of(hosted));\n    return 2;" },
  },
  {
    name = "never-expires", trial = "lock",
    what = "the server ends no session whose client is gone",
    { file = "src/server/sessions.c",
      from = "            if (session->expires_ms <= own_ms) return session;",
      to = "            if (session->expires_ms < 0) return session;" },
  },
  {
    name = "expires-early", trial = "lock",
    what = "the server gives sessions half of their timeout",
    { file = "src/server/sessions.c",
      from = "    int64_t expires_ms = tick_after(sessions, own_ms + timeout_ms);",
      to = "    int64_t expires_ms = tick_after(sessions, own_ms + timeout_ms / 4);" },
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
}

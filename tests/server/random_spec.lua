--- Several sessions at random: pipelines, a slow disk, clients that stop reading, lost and taken
--- over connections, nonsense. Whatever happens, each connection's answers come in the order of
--- its requests, a session reads what it wrote, and nothing is left behind.
local codec = require("wire.codec")
local host = require("server.host")

local op = host.op
local SEEDS = 20
local LARGE = ("x"):rep(900000)

--- A client with what it has to expect.
local function new_client(h, number, before)
  local c = assert(h:connect())
  c.node, c.expected, c.value = "/own" .. number, {}, nil
  c:handshake(before and { session_id = before.session, password = before.password })
  h:settle()
  local answer = c:receive()[1]
  if not answer or answer.refused then
    return nil
  end
  c.session, c.password = answer.session, answer.password
  return c
end

local function expect(c, xid, check)
  c.expected[#c.expected + 1] = { xid = xid, check = check }
end

local actions = {
  function(c, random) -- its own node, in a value that only it writes
    c.written = (c.written or 0) + 1
    c.value = c.session .. ":" .. c.written
    if random.below(10) == 0 then
      c.value = c.value .. LARGE
    end
    local value = c.value
    expect(c, c:send("multi", { operations = {
      { op = op.set, path = c.node, data = value, version = -1 } } }), function(answer)
      assert.are.equal(op.set, answer.result.items[1].op)
    end)
  end,
  function(c)
    local value = c.value
    expect(c, c:get(c.node, true), function(answer)
      assert.is_true(value == nil or answer.result.data == value)
    end)
  end,
  function(c, random)
    expect(c, c:create("/n" .. random.below(30), { flags = random.below(4) }))
  end,
  function(c, random)
    expect(c, c:send("delete", { path = "/n" .. random.below(30), version = -1 }))
  end,
  function(c, random)
    expect(c, c:send("exists", { path = "/n" .. random.below(30), watch = true }))
  end,
  function(c) expect(c, c:send("get_children", { path = "/", watch = true })) end,
  function(c) expect(c, c:send("sync", { path = "/" })) end,
  function(c) expect(c, c:send("ping")) end,
  function(c) expect(c, c:send("add_watch", { path = "/", kind = 1 })) end,
  function(c) expect(c, c:send("whoami")) end,
  function(c) expect(c, c:send("ephemerals", { path = "/" })) end,
}

local function check_answers(c)
  for _, answer in ipairs(c:receive()) do
    if not answer.event then
      local first = table.remove(c.expected, 1)
      assert.are.equal(first.xid, answer.xid)
      if first.check and answer.code == 0 then
        first.check(answer)
      end
    end
  end
end

local function disturb(h, list, i, random)
  local c = list[i]
  local what = random.below(8)
  if what < 4 then
    c.stuck = not c.stuck
    if not c.stuck and not c.gone then
      c:take_output()
      h:drain()
    end
  elseif what == 4 then
    c:close()
    list[i] = new_client(h, i, c) or new_client(h, i)
  elseif what == 5 then -- taken over while it is open
    local taken = new_client(h, i, c)
    assert.is_true(c.gone == "at once" or not taken)
    if not c.gone then
      c:close()
    end
    list[i] = taken or new_client(h, i)
  elseif what == 6 then
    c:feed(codec.int(random.below(100)) .. ("?"):rep(random.below(40)))
    c.broken = true
  else
    expect(c, c:send("close"))
    c.leaving = true -- what is sent behind it is never answered
  end
end

local function run(seed)
  local random = codec.random(seed)
  local h = host.new({ outstanding_max = random.pick({ 3, 20, 1000 }),
    split = random.below(10) == 0 })
  local first, list = h:attach(), {}
  for i = 1, 4 do
    first:ask("create", { path = "/own" .. i, data = "", acl = host.OPEN_ACL })
    list[i] = new_client(h, i)
  end
  for _ = 1, 400 do
    local i = random.below(4) + 1
    if list[i].gone or list[i].broken then
      if not list[i].gone then
        list[i]:close()
      end
      list[i] = new_client(h, i, list[i]) or new_client(h, i)
    end
    local c = list[i]
    local dice = random.below(100)
    if dice < 80 then
      if not c.leaving then
        random.pick(actions)(c, random)
      end
    elseif dice < 83 then
      disturb(h, list, i, random)
    elseif dice < 90 then
      h:log()
      h:commit(random.below(#h.shown + 1))
    else
      h:set_time(h.now + random.below(50))
      h.server:tick()
    end
    for _, one in ipairs(list) do
      if not one.broken then
        check_answers(one)
      end
    end
  end
  for _, c in ipairs(list) do
    c.stuck = false
    if not c.gone then
      c:take_output()
    end
  end
  h:settle()
  for _, c in ipairs(list) do
    if not c.gone then
      c:take_output()
    end
  end
  h:settle()
  local answered = 0
  for _, c in ipairs(list) do
    if not c.broken then
      check_answers(c)
    end
    if not c.gone and not c.broken then
      assert.are.equal(0, #c.expected)
      assert.is_true(h.server:reads(c.number))
      answered = answered + 1
    end
  end
  assert.are.equal(0, h.server:count().outstanding)
  h:free()
  return answered
end

describe("random conversations", function()
  it("are answered in order, and leave nothing behind", function()
    local answered = 0
    for seed = 1, SEEDS do
      local ok, message = pcall(run, seed)
      assert(ok, "seed " .. seed .. ": " .. tostring(message))
      answered = answered + message
    end
    assert.is_true(answered > SEEDS) -- most connections live to the end
  end)
end)

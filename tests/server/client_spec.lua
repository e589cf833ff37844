--- Our client core against our server core, in memory: the driver is a loop in this file, the
--- network a pair of strings per link, the disk a number of transactions that wait.
local codec = require("wire.codec")
local host = require("server.host")
local world = require("client.world")

local op, brief = host.op, world.brief

--- A client with its links to the host's server. `random` cuts bytes into pieces.
local pair = {}
pair.__index = pair

local function join(h, options, random)
  local all = { now = h.now, timeout = 10000 }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return setmetatable({ h = h, w = world.new(all), random = random, links = {}, events = {} },
    pair)
end

function pair:piece(bytes)
  if self.random then
    return bytes:sub(1, self.random.below(#bytes) + 1)
  end
  return bytes
end

function pair:take_events()
  for _, event in ipairs(self.w:drain()) do
    if event.kind == "connect" then
      table.insert(self.links, { number = event.link, opens = event.not_before })
    elseif event.kind == "disconnect" then
      self:drop(event.link, true)
    else
      table.insert(self.events, event)
    end
  end
end

--- The link is gone at both ends; `told`: the client has ended it itself.
function pair:drop(number, told)
  for i, link in ipairs(self.links) do
    if link.number == number then
      table.remove(self.links, i)
      if link.peer and not link.peer.gone then
        link.peer:close()
      end
      if not told then
        self.w.client:disconnected(number)
      end
      return
    end
  end
end

function pair:move(link)
  local moved = false
  local client = self.w.client
  local bytes = client:output(link.number)
  while bytes and not link.peer.gone do
    local piece = self:piece(bytes)
    client:sent(link.number, #piece)
    link.peer:feed(piece)
    moved, bytes = true, client:output(link.number)
  end
  self.h:settle()
  while #link.peer.bytes > 0 do
    local piece = self:piece(link.peer.bytes)
    link.peer.bytes = link.peer.bytes:sub(#piece + 1)
    client:feed(link.number, piece)
    moved = true
  end
  if link.peer.gone then
    self:drop(link.number)
    moved = true
  end
  return moved
end

--- One turn of both drivers; false when nothing moved.
function pair:turn()
  local moved = false
  self:take_events()
  for _, link in ipairs({ (table.unpack or unpack)(self.links) }) do
    if not link.peer and link.opens <= self.h.now then
      link.peer = self.h:connect()
      self.w.client:connected(link.number)
      moved = true
    end
    if link.peer then
      moved = self:move(link) or moved
    end
  end
  self:take_events()
  return moved
end

--- Lets things happen until nothing more does, at this moment.
function pair:run(...)
  local others = { self, ... }
  local moved = true
  while moved do
    moved = false
    for _, one in ipairs(others) do
      moved = one:turn() or moved
    end
  end
end

--- Time passes for the server and its clients.
local function pass(h, ms, ...)
  local pairs_ = { ... }
  for _ = 1, math.ceil(ms / 100) do
    h:after(100)
    for _, one in ipairs(pairs_) do
      one.w:at(h.now)
      one:run()
    end
  end
end

function pair:news()
  local list = brief(self.events)
  self.events = {}
  return list
end

function pair:lose()
  for _, link in ipairs({ (table.unpack or unpack)(self.links) }) do
    self:drop(link.number)
  end
  self:take_events()
end

function pair:ask(request)
  local xid = assert(self.w:submit(request))
  self:run()
  for i, event in ipairs(self.events) do
    if event.kind == "reply" and event.xid == xid then
      table.remove(self.events, i)
      return event
    end
  end
  error("no answer")
end

function pair:free()
  self.w:free()
end

describe("client core and server core", function()
  for _, cut in ipairs({ false, true }) do
    describe(cut and "in pieces" or "in whole frames", function()
      local h, a, b
      before_each(function()
        h = host.new({ ttl_nodes = true })
        local random = cut and codec.random(5) or nil
        a, b = join(h, { seed = 1 }, random), join(h, { seed = 2 }, random)
        a:run(b)
      end)
      after_each(function()
        a:free()
        b:free()
        h:free()
      end)

      it("make a session", function()
        assert.are.same({ "state connected" }, a:news())
        local info = a.w.client:info()
        assert.are.equal(10000, info.timeout)
        assert.are.equal(2, h.server:count().sessions)
      end)

      it("understand each other in every operation", function()
        local acl = host.OPEN_ACL
        local function ask(fields)
          local reply = a:ask(fields)
          return reply.code == "OK" and reply.result or reply.code
        end
        assert.are.equal("/a", ask({ op = op.create, path = "/a", data = "1", acl = acl }).path)
        assert.are.equal("/a/s0000000000",
          ask({ op = op.create2, path = "/a/s", data = "", acl = acl, flags = 3 }).path)
        assert.are.equal("/c",
          ask({ op = op.container, path = "/c", data = "", acl = acl, flags = 4 }).path)
        assert.are.equal("/t", ask({ op = op.ttl, path = "/t", data = "", acl = acl, flags = 5,
          ttl_ms = 5000 }).path)
        assert.are.equal("NODEEXISTS", ask({ op = op.create, path = "/a", data = "", acl = acl }))
        assert.are.equal(1, ask({ op = op.set, path = "/a", data = "2", version = 0 })
          .stat.version)
        assert.are.equal("BADVERSION", ask({ op = op.set, path = "/a", data = "2", version = 7 }))
        assert.are.equal("2", ask({ op = op.get, path = "/a" }).data)
        assert.are.equal(1, ask({ op = op.exists, path = "/a" }).stat.children_count)
        assert.are.equal("NONODE", ask({ op = op.exists, path = "/no" }))
        assert.are.same({ "s0000000000" }, ask({ op = op.get_children, path = "/a" }).items)
        assert.are.equal("s0000000000", ask({ op = op.children, path = "/a" }).items[1])
        assert.are.same(acl, ask({ op = op.get_acl, path = "/a" }).items)
        assert.are.equal(1, ask({ op = op.set_acl, path = "/a", acl = acl, version = 0 })
          .stat.aversion)
        assert.are.equal("/a", ask({ op = op.sync, path = "/a" }).path)
        assert.are.equal(1, ask({ op = op.count, path = "/a" }).number)
        assert.are.same({ "/a/s0000000000" }, ask({ op = op.ephemerals, path = "/" }).items)
        assert.are.equal("ip", ask({ op = op.whoami }).items[1].scheme)
        local results = ask({ op = op.multi, operations = {
          { op = op.check, path = "/a", version = 1 },
          { op = op.create, path = "/a/m", data = "", acl = acl },
          { op = op.set, path = "/a/m", data = "x", version = -1 },
          { op = op.delete, path = "/a/m", version = -1 },
        } }).items
        assert.are.equal("/a/m", results[2].path)
        assert.are.equal(1, results[3].stat.version)
        results = ask({ op = op.multi, operations = {
          { op = op.create, path = "/a/m", data = "", acl = acl },
          { op = op.check, path = "/a", version = 9 },
          { op = op.delete, path = "/a", version = -1 },
        } }).items
        assert.are.same({ { op = -1 }, { op = -1, number = -103 }, { op = -1, number = -2 } },
          results)
        results = ask({ op = op.multi_read, operations = {
          { op = op.get, path = "/a" }, { op = op.get_children, path = "/no" } } }).items
        assert.are.equal("2", results[1].data)
        assert.are.equal(-101, results[2].number)
        assert.are.equal("NOTEMPTY", ask({ op = op.delete, path = "/a", version = -1 }))
        assert.are.equal("OK", a:ask({ op = op.delete, path = "/c", version = -1 }).code)
        assert.are.equal("RECONFIGDISABLED", ask({ op = op.reconfig, members = "x", zxid = -1 }))
      end)

      it("tell each other what changes", function()
        a:ask({ op = op.exists, path = "/x", watch = true })
        a:ask({ op = op.add_watch, path = "/", kind = 1 })
        a:news()
        b:ask({ op = op.create, path = "/x", data = "", acl = host.OPEN_ACL })
        a:run()
        assert.are.same({ "watch 1 /x" }, a:news())
        b:ask({ op = op.set, path = "/x", data = "y", version = -1 })
        a:run()
        assert.are.same({ "watch 3 /x" }, a:news())
      end)

      it("keep the session over a lost link, and what is watched", function()
        a:ask({ op = op.create, path = "/e", data = "", acl = host.OPEN_ACL, flags = 1 })
        a:ask({ op = op.get, path = "/e", watch = true })
        a:ask({ op = op.exists, path = "/later", watch = true })
        a:ask({ op = op.auth, scheme = "digest", data = "u:p" })
        local session = a.w.client:info().session_id
        a:news()
        a:lose()
        b:ask({ op = op.set, path = "/e", data = "missed", version = -1 })
        pass(h, 4000, a, b)
        assert.are.equal("connected", a.w.client:info().state)
        assert.are.equal(session, a.w.client:info().session_id)
        local news = a:news()
        assert.are.equal("state disconnected", news[1])
        local seen = {}
        for _, line in ipairs(news) do
          seen[line] = true
        end
        assert.is_true(seen["watch 3 /e"], table.concat(news, ", "))
        assert.are.equal(2, #a:ask({ op = op.whoami }).result.items)
        b:ask({ op = op.create, path = "/later", data = "", acl = host.OPEN_ACL })
        a:run()
        assert.are.same({ "watch 1 /later" }, a:news())
      end)

      it("stay together by pings, and part when one is silent", function()
        pass(h, 60000, a, b)
        assert.are.equal(2, h.server:count().sessions)
        assert.are.equal("connected", a.w.client:info().state)
        b:ask({ op = op.create, path = "/e", data = "", acl = host.OPEN_ACL, flags = 1 })
        pass(h, 15000, a) -- b's program hangs
        assert.are.equal(1, h.server:count().sessions)
        assert.are.equal(0, h.server:count().ephemerals)
        b.w:at(h.now)
        pass(h, 5000, a, b)
        assert.are.equal("expired", b.w.client:info().state)
      end)

      it("agree on an end that the server has decided", function()
        local session = a.w.client:info().session_id
        h.server:expire(session)
        h:settle()
        pass(h, 4000, a, b)
        assert.are.equal("expired", a.w.client:info().state)
        assert.are.equal("connected", b.w.client:info().state)
      end)

      it("close together", function()
        a:ask({ op = op.create, path = "/e", data = "", acl = host.OPEN_ACL, flags = 1 })
        a.w.client:close(h.now + 5000)
        a:run(b)
        assert.are.equal("closed", a.w.client:info().state)
        assert.are.equal(1, h.server:count().sessions)
        assert.are.equal(0, h.server:count().ephemerals)
      end)
    end)
  end

  it("lose nothing that was acknowledged, whatever is lost between", function()
    for seed = 1, 10 do
      local random = codec.random(seed)
      local h = host.new()
      local clients = { join(h, { seed = seed }, random), join(h, { seed = seed + 99 }, random) }
      local asked, acknowledged = {}, {}
      for step = 1, 120 do
        for number, one in ipairs(clients) do
          if random.below(3) > 0 then
            local path = ("/n%d-%d"):format(number, step)
            local xid = one.w:submit({ op = op.create, path = path, data = path,
              acl = host.OPEN_ACL })
            if xid then
              asked[("%d:%d"):format(number, xid)] = path
            end
          end
          if random.below(12) == 0 then
            one:lose()
          end
          one:turn()
        end
        h:after(random.below(300))
        for number, one in ipairs(clients) do
          one.w:at(h.now)
          one:turn()
          for _, event in ipairs(one.events) do
            local path = event.kind == "reply" and
              asked[("%d:%d"):format(number, event.xid)]
            if path and event.code == "OK" then
              assert.is_nil(acknowledged[path])
              acknowledged[path] = true
            end
          end
          one.events = {}
        end
      end
      local judge = h:attach()
      local count = 0
      for path in pairs(acknowledged) do
        local answer = judge:ask("get", { path = path })
        assert.are.equal(path, answer.result and answer.result.data)
        count = count + 1
      end
      assert.is_true(count > 20, "seed " .. seed .. ": only " .. count)
      for _, one in ipairs(clients) do
        assert.is_nil(({ expired = true, closed = true })[one.w.state])
        one:free()
      end
      h:free()
    end
  end)
end)

local compare = require("differential.compare")
local frames = require("support.frames")

local i32, i64 = frames.i32, frames.i64
local GET, EXISTS, CHILDREN, SET, DELETE, CLOSE = 4, 3, 8, 5, 2, -11

local function reply(op, xid, zxid, code, body)
  return { kind = "reply", request = { xid = xid, op = op },
    body = i32(xid) .. i64(zxid) .. i32(code) .. (body or "") }
end

local function stat(fields)
  fields.ctime, fields.mtime = fields.ctime or 1700000000000, 1700000000000
  return frames.stat(fields)
end

local function event(kind, path, zxid)
  return { kind = "event", body = frames.watch_event(kind, path, zxid):sub(5) }
end

local function got(xid, zxid, fields, data)
  return reply(GET, xid, zxid, 0, frames.string(data or "d") .. stat(fields))
end

local function children(xid, zxid, names)
  return reply(CHILDREN, xid, zxid, 0, frames.strings(names))
end

local function transcript(stream, sessions)
  return { streams = { stream }, tree = {}, sessions = sessions or {} }
end

local function kinds_and_fields(found)
  local names = {}
  for i, frame in ipairs(found) do
    names[i] = frame.kind .. ": " .. table.concat(frame.fields, " ")
  end
  return names
end

local function differing(left, right, left_sessions, right_sessions)
  local found = compare.transcripts(transcript(left, left_sessions),
    transcript(right, right_sessions))
  return kinds_and_fields(found)
end

describe("two transcripts", function()
  it("agree when only zxids, times and ids have other numbers", function()
    local left = {
      reply(SET, 1, 10, 0, stat({ czxid = 9, mzxid = 10, ephemeral_owner = "0x10a" })),
      event(3, "/a", 10), children(2, 10, { "x", "y" }), reply(DELETE, 3, 11, -101),
    }
    local right = {
      reply(SET, 1, 700, 0,
        stat({ czxid = 650, mzxid = 700, ctime = 5, ephemeral_owner = "0x20b" })),
      event(3, "/a", 700), children(2, 700, { "y", "x" }), reply(DELETE, 3, 701, -101),
    }
    assert.are.same({},
      differing(left, right, { { id = "0x10a" } }, { { id = "0x20b" } }))
  end)

  for _, case in ipairs({
    { "in the code", { reply(DELETE, 1, 5, -101) }, { reply(DELETE, 1, 5, -103) },
      { "reply: code" } },
    { "in a version", { got(1, 5, { version = 1 }) }, { got(1, 5, { version = 2 }) },
      { "reply: result.stat.version" } },
    { "in data", { got(1, 5, {}, "one") }, { got(1, 5, {}, "two") }, { "reply: result.data" } },
    { "in null and empty data", { reply(GET, 1, 5, 0, i32(-1) .. stat({})) }, { got(1, 5, {}, "") },
      { "reply: result.data" } },
    { "in a time that is not set", { got(1, 5, { ctime = 0 }) }, { got(1, 5, {}) },
      { "reply: result.stat.ctime_ms" } },
    { "in a child", { children(1, 5, { "x" }) }, { children(1, 5, { "x", "y" }) },
      { "reply: result.items.2" } },
    { "in whose a node is", { got(1, 5, { ephemeral_owner = "0x1" }) },
      { got(1, 5, { ephemeral_owner = "0x2" }) }, { "reply: result.stat.ephemeral_owner" },
      { { id = "0x1" } }, { { id = "0x3" }, { id = "0x2" } } },
    { "in a write that took no zxid",
      { reply(EXISTS, 1, 5, 0, stat({})), reply(DELETE, 2, 6, -101) },
      { reply(EXISTS, 1, 5, 0, stat({})), reply(DELETE, 2, 5, -101) }, { "reply: zxid" } },
    { "in which change a Stat names",
      { got(1, 6, { czxid = 5, mzxid = 6 }) }, { got(1, 6, { czxid = 5, mzxid = 5 }) },
      { "reply: result.stat.mzxid" } },
    { "in the order of zxids", { got(1, 6, { czxid = 5 }) }, { got(1, 6, { czxid = 7 }) },
      { "zxids: order" } },
    { "in an event", { event(1, "/a", 5) }, { event(2, "/a", 5) }, { "event: type" } },
    { "in an event's path", { event(1, "/a", 5) }, { event(1, "/b", 5) }, { "event: path" } },
    { "in an event that is missing", { event(1, "/a", 5), reply(DELETE, 1, 5, 0) },
      { reply(DELETE, 1, 5, 0) }, { "event: kind" } },
    { "in an event that comes late", { event(1, "/a", 5), reply(DELETE, 1, 5, 0) },
      { reply(DELETE, 1, 5, 0), event(1, "/a", 5) }, { "event: kind" } },
    { "in the order of events", { event(1, "/a", 5), event(1, "/b", 5) },
      { event(1, "/b", 5), event(1, "/a", 5) }, { "event: path", "event: path" } },
    { "in what follows an answer", { reply(DELETE, 1, 5, 0) }, { reply(DELETE, 1, 5, 0, "more") },
      { "reply: rest" } },
    { "in what follows an error", { reply(DELETE, 1, 5, -101) },
      { reply(DELETE, 1, 5, -101, "more") }, { "reply: rest" } },
    { "in an answer that cannot be read", { got(1, 5, {}) }, { reply(GET, 1, 5, 0, "xx") },
      { "reply: rest result" } },
    { "in a connection that was closed", { reply(DELETE, 1, 5, 0) },
      { reply(DELETE, 1, 5, 0), { kind = "end" } }, { "end: kind" } },
    { "in a request that was not answered", { reply(DELETE, 1, 5, 0) },
      { { kind = "silence", missing = 1 } }, { "reply: kind" } },
  }) do
    it("differ " .. case[1], function()
      local found = differing(case[2], case[3], case[5], case[6])
      for i, text in ipairs(found) do
        local kind, fields = text:match("^(%w+: )(.*)$")
        local list = {}
        for field in fields:gmatch("%S+") do
          list[#list + 1] = field
        end
        table.sort(list)
        found[i] = kind .. table.concat(list, " ")
      end
      assert.are.same(case[4], found)
    end)
  end

  it("agree in the order of events that a server chooses: at the end of a session", function()
    local mark = { kind = "mark", unordered = true }
    local one, two = event(2, "/a", 5), event(2, "/b", 5)
    assert.are.same({}, differing({ one, two, mark }, { two, one, mark }))
    local closed = reply(CLOSE, 1, 5, 0)
    assert.are.same({}, differing({ one, two, closed, { kind = "end" } },
      { two, one, closed, { kind = "end" } }))
    local ordered = { kind = "mark" }
    assert.are.equal(2, #differing({ one, two, ordered }, { two, one, ordered }))
  end)

  it("agree in whose write was last when other sequences ran beside them", function()
    local function beside(zxid, own)
      return transcript({ reply(SET, 1, own, 0, stat({ mzxid = own })),
        reply(EXISTS, 2, zxid, 0, stat({ mzxid = own })), event(1, "/a", zxid) })
    end
    local left, right = beside(70, 10), beside(10, 10)
    assert.are_not.same({}, kinds_and_fields(compare.transcripts(left, right, false)))
    assert.are.same({}, kinds_and_fields(compare.transcripts(left, right, true)))
    right.streams[1][1] = reply(SET, 1, 9, 0, stat({ mzxid = 10 }))
    assert.are.same({ "reply: result.stat.mzxid", "reply: result.stat.mzxid" },
      kinds_and_fields(compare.transcripts(left, right, true)))
  end)

  local function with(name, items)
    local made = transcript({})
    made[name] = items
    return made
  end

  it("differ in what ended before its time or never", function()
    local function lapse(early, missing)
      return with("aside", { { kind = "lapse", early = early, missing = missing } })
    end
    assert.are.same({}, kinds_and_fields(compare.transcripts(lapse(0, 0), lapse(0, 0))))
    assert.are.same({ "lapse: early" },
      kinds_and_fields(compare.transcripts(lapse(0, 0), lapse(1, 0))))
    assert.are.same({ "lapse: missing" },
      kinds_and_fields(compare.transcripts(lapse(0, 0), lapse(0, 1))))
  end)

  it("differ in values of a four-letter word by their names", function()
    local function says(count, zxid)
      return with("aside", { { kind = "word", word = "srvr", names = {}, sessions = {},
        text = ("Zxid: %s\nMode: standalone\nNode count: %d\n"):format(zxid, count) } })
    end
    assert.are.same({}, kinds_and_fields(compare.transcripts(says(5, "0x1"), says(5, "0x2"))))
    assert.are.same({ "word: values.Node count" },
      kinds_and_fields(compare.transcripts(says(5, "0x1"), says(6, "0x2"))))
  end)

  it("differ when a write behind the end of its session was done", function()
    local function late(op, code)
      return with("late", { reply(op, 9, 5, code) })
    end
    local none = transcript({})
    for _, fine in ipairs({ { SET, -112 }, { SET, -12 }, { GET, 0 }, { CLOSE, 0 } }) do
      assert.are.same({}, kinds_and_fields(compare.transcripts(late(fine[1], fine[2]), none)))
    end
    assert.are.same({ "late: code" }, kinds_and_fields(compare.transcripts(none, late(SET, 0))))
  end)
end)

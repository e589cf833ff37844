local generator = require("differential.generator")
local hits = require("differential.hits")
local words = require("differential.words")

local SEEDS = 600
local SEQUENTIAL = { [2] = true, [3] = true, [6] = true }

local function each_request(sequence, visit)
  for _, step in ipairs(sequence.steps) do
    for _, request in ipairs(step.requests or {}) do
      visit(request, false)
      for _, operation in ipairs(request.record and request.record.operations or {}) do
        visit({ op = operation.op, record = operation }, true)
      end
    end
  end
end

local function over_seeds(visit)
  for seed = 1, SEEDS do
    local sequence = generator.sequence(seed)
    each_request(sequence, function(request, inside_multi)
      visit(request, inside_multi, sequence)
    end)
  end
end

describe("the generator of sequences #once", function()
  it("makes the same of the same seed, and of another something else", function()
    assert.are.same(generator.sequence(7), generator.sequence(7))
    assert.are_not.same(generator.sequence(7).steps, generator.sequence(8).steps)
  end)

  it("sends nothing that keeps an Apache server from starting again", function()
    local wrong = {}
    local function expect(fact, sequence, request)
      if not fact then
        wrong[#wrong + 1] = { sequence.seed, request }
      end
    end
    over_seeds(function(request, inside_multi, sequence)
      local record = request.record or {}
      local path, never = record.path or "", sequence.root .. "/never"
      if request.op == 13 and not inside_multi then
        expect(path == never, sequence, request)
      else
        expect(path ~= never, sequence, request)
      end
      if request.op == 21 and record.flags and record.flags < 5 then
        expect(record.ttl_ms == 0 or record.ttl_ms == "0x1" or record.ttl_ms == "0x3e8", sequence,
          request)
      end
      expect(path ~= "/zookeeper/quota/zookeeper_limits", sequence, request)
      -- Nothing stays behind outside of the root: later sequences would read it.
      expect(not (request.op == 5 and (path == "/" or path == "/zookeeper"
        or path == "/zookeeper/quota")), sequence, request)
      if SEQUENTIAL[record.flags] then
        expect(path:sub(1, #sequence.root + 1) == sequence.root .. "/" or path:sub(1, 1) ~= "/",
          sequence, request)
      end
      if record.data and path:find("/zookeeper_[ls]") then
        expect(record.data:match("^count=%-?%d+,bytes=%-?%d+"), sequence, request)
      end
    end)
    assert.are.same({}, wrong)
  end)

  it("sends every operation", function()
    local seen = {}
    over_seeds(function(request) seen[request.op] = true end)
    for op in pairs(hits.REACHABLE) do
      assert.is_true(seen[op] or false, hits.NAMES[op])
    end
  end)

  it("leaves no session behind, and asks at least fifty times", function()
    for seed = 1, SEEDS do
      local sequence = generator.sequence(seed)
      local open, requests = {}, 0
      for _, step in ipairs(sequence.steps) do
        if step.kind == "connect" and not step.wrong and not step.attach then
          open[step.session] = true
        end
      end
      local at = {}
      for _, step in ipairs(sequence.steps) do
        if step.kind == "connect" then
          at[step.connection] = step.session
        elseif step.ended then
          open[step.ended] = nil
        end
        for _, request in ipairs(step.requests or {}) do
          requests = requests + 1
          if request.op == -11 then
            open[at[step.connection]] = nil
          end
        end
      end
      if next(open) or requests < 50 then
        error(("seed %d: %d requests, session %s is open"):format(seed, requests,
          tostring((next(open)))))
      end
    end
  end)

  it("lets nothing end by itself but what it waits for", function()
    local counts = { sessions = 0, nodes = 0, kept = 0 }
    for seed = 5, SEEDS, 24 do
      local sequence = generator.sequence(seed)
      assert.are.equal("brief", sequence.setup)
      local volatile, before = {}, nil
      for _, step in ipairs(sequence.steps) do
        if step.kind == "await" then
          counts.sessions = counts.sessions + (step.ended and 1 or 0)
          counts.nodes = counts.nodes + (step.ended and 0 or #step.gone)
          counts.kept = counts.kept + (step.keep and 1 or 0)
          -- Nothing else is asked of a server that may act by itself.
          assert.is_true(before.kind == "send" or before.kind == "connect"
            or before.kind == "drop")
          for _, awaited in ipairs(step.gone) do
            volatile[awaited.path:match("^(.*)/") or ""] = true
          end
        end
        before = step
      end
      each_request(sequence, function(request)
        if request.op == 19 or request.op == 21 then
          local path = request.record.path
          assert.is_true(volatile[path:match("^(.*)/")] or false, path)
        end
      end)
    end
    assert.is_true(counts.sessions > 10 and counts.nodes > 10 and counts.kept > 0)
  end)

  it("asks every four-letter word", function()
    local asked = {}
    for seed = 1, SEEDS do
      for _, step in ipairs(generator.sequence(seed).steps) do
        for _, word in ipairs(step.words or {}) do
          asked[word] = true
        end
      end
    end
    for _, word in ipairs(words.ALL) do
      assert.is_true(asked[word] or false, word)
    end
  end)
end)

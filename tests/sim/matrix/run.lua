--- One run of a scenario: what faults, points and judgements know of it, and what a scenario tells.
local faults = require "sim.matrix.faults"
local nets = require "zklua.scheduler.sim_net"
local servers = require "zklua.sim.server"
local worlds = require "zklua.scheduler.sim_world"

local SEED = 1

local Run = {}
Run.__index = Run

local M = {}

--- What touching a handle raises that the fault "collected" has dropped.
M.DROPPED = setmetatable({}, { __tostring = function() return "its handles were dropped" end })
--- What Run:here raises.
M.USER_ERROR = "user error"

--- A run that has not begun. plan: number of a point -> kind of fault.
---@param options { fault: string|nil, point: table|nil, seed: integer|nil, lines: boolean|nil }
---  the first fault of the plan and its point; lines: keep the story
function M.new(scenario, plan, options)
  local world = worlds.new({ seed = options.seed or SEED, lines = options.lines })
  local fault = options.fault
  return setmetatable({
    scenario = scenario, plan = plan, fault = fault,
    deadline = faults.LATE[fault] and options.point.time + faults.LIMIT or nil, -- the subject's
    world = world, network = nets.of(world), server = servers.new(world),
    points = {}, count = 0, phase = "before",
    beliefs = {}, writes = {}, tally = {}, sessions = {}, clients = {},
    handles = setmetatable({}, { __index = function() error(M.DROPPED, 0) end }),
  }, Run)
end

-- For faults and points ---------------------------------------------------------------------------

--- The open connection of the subject; nil while it has none.
function Run:link()
  local links = self.network:links_of("subject")
  return links[#links]
end

function Run:is_open(link)
  return self.network.links[link] ~= nil
end

--- The id of the subject's session.
function Run:session()
  for session in pairs(self.process.runtime.sessions) do
    return session.life.id or "0x0"
  end
  return "0x0"
end

--- fn(...) after so many seconds of the world.
function Run:after(seconds, fn, ...)
  self.world:at(self.world.time + seconds, fn, ...)
end

-- For scenarios ----------------------------------------------------------------------------------

--- From here on the waits of the subject count.
function Run:begin(phase)
  self.counting = true
  self:enter(phase)
end

--- What the subject is about, for the table of what may come of it.
function Run:enter(phase)
  self.phase, self.limited, self.in_user_code = phase, false, false
end

--- The same, inside a function that the subject has given to the library.
function Run:enter_function(phase)
  self:enter(phase)
  self.in_user_code = true
end

--- Options for a call that has a deadline of its own.
function Run:limit()
  self.limited = true
  return { deadline = self.fault == "timed_out" and self.deadline or nil }
end

--- In a function given to the library: raises when that is what goes wrong. Passes values on.
function Run:here(...)
  if self.raises then
    self.raises = false
    error(M.USER_ERROR, 0)
  end
  return ...
end

--- Somebody believes to have the token. What `who` writes under it is told by `wrote`.
function Run:took(who, token)
  if who == "subject" then
    self.sessions[self:session()] = true
  end
  self.beliefs[#self.beliefs + 1] = { who = who, token = token, at = #self.server.log }
end

--- A guarded write was acknowledged.
function Run:wrote(who, token, stat)
  if stat then
    self.writes[#self.writes + 1] = { who = who, token = token, zxid = stat.mzxid }
  end
end

--- One more `what` of `item`, for the judgement of a scenario.
function Run:add(what, item)
  local of_kind = self.tally[what] or {}
  self.tally[what] = of_kind
  of_kind[item] = (of_kind[item] or 0) + 1
  self:note("tally", what .. " " .. item)
end

--- Whether the session of this id is one that a program still has.
function Run:lives(id)
  for _, process in ipairs({ self.process, self.company }) do
    if process.status == nil then
      for session in pairs(process.runtime.sessions) do
        if session.life.id == id then
          return true
        end
      end
    end
  end
  return false
end

--- A client of the company, kept until the run is over.
function Run:client(zk, who)
  local c = assert(zk.connect({ timeout = 1000, id = who }))
  self.clients[#self.clients + 1] = c
  return c
end

--- Whether the subject does nothing any more.
function Run:subject_is_over()
  return self.subject_done or self.process and self.process.status ~= nil
end

--- For the company: calls call(...) until it has been done, while a server restarts.
function Run:persist(zk, call, ...)
  local ok, message, code
  repeat
    ok, message, code = call(...)
    if not ok and code ~= "CONNECTIONLOSS" and code ~= "NODEEXISTS" then
      error(message, 2)
    end
    zk.sleep(ok and 0 or 0.05)
  until ok or code == "NODEEXISTS"
end

--- A line of the story.
function Run:note(who, what)
  self.world:trace(who, what)
end

return M

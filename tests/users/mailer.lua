--- Letters that many workers deliver: each is tried until it is delivered, and laid aside for a
--- person after some attempts. A worker that dies loses nothing.
local mailer = {}

local PATH = "/mail/outbox"

--- Puts a letter into the queue. What cannot be known to be there (CONNECTIONLOSS) may be sent
--- again: readers bear a letter that comes twice better than none.
function mailer.send(c, letter)
  while true do
    local path, message, code = c:queue(PATH):put(letter)
    if path or code ~= "CONNECTIONLOSS" then
      return path, message, code
    end
  end
end

-- One letter: whether it counts as delivered; or nil, message, code.
local function handle(item, deliver, attempts, attempts_max)
  local ok, delivered, reason = pcall(deliver, item.data, item)
  if ok and delivered then
    return item:done()
  end
  reason = ok and reason or delivered
  attempts[item.path] = (attempts[item.path] or 0) + 1
  local put_away, message, code
  if attempts[item.path] < attempts_max then
    put_away, message, code = item:retry()
  else
    put_away, message, code = item:fail(tostring(reason))
  end
  if not put_away then
    return nil, message, code
  end
  return false
end

--- Delivers letters until none has come for `options.idle` seconds, and returns how many this
--- worker has delivered. deliver(text, item) returns true, or false and a reason, or raises.
function mailer.work(c, deliver, options)
  assert(type(deliver) == "function", "deliver must be a function")
  local queue, attempts, count = c:queue(PATH), {}, 0
  while true do
    local item, message, code = queue:take({ wait = options.idle })
    if not item then
      if code == "EMPTY" then
        return count
      elseif code ~= "SESSIONEXPIRED" then -- after which there is a new session to go on with
        return nil, message, code
      end
    else
      local delivered
      delivered, message, code = handle(item, deliver, attempts, options.attempts or 3)
      if delivered then
        count = count + 1
      elseif delivered == nil and code ~= "LOST" then -- another has it by now
        return nil, message, code
      end
    end
  end
end

--- What was laid aside: { letter, ... }.
function mailer.laid_aside(c)
  local names, message, code = c:children(PATH .. "-failed")
  if not names then
    return code == "NONODE" and {} or nil, message, code
  end
  local letters = {}
  for i, name in ipairs(names) do
    letters[i] = assert(c:get(PATH .. "-failed/" .. name))
  end
  return letters
end

return mailer

--- How many of an article there are. Orders are taken from it by compare and set; the last orders
--- are kept beside the number, so that an order whose reply was lost is not taken twice.
local stock = {}

local KEPT = 50 -- orders; one is asked for again at once or never

local function decode(text)
  local count, orders = text:match("^(%d+):(.*)$")
  local list = {}
  for order in (orders or ""):gmatch("[^,]+") do
    list[#list + 1] = order
  end
  return tonumber(count) or 0, list
end

local function encode(count, orders)
  while #orders > KEPT do
    table.remove(orders, 1)
  end
  return count .. ":" .. table.concat(orders, ",")
end

local function has(orders, order)
  for _, one in ipairs(orders) do
    if one == order then
      return true
    end
  end
  return false
end

-- Adds `amount`, which may be below 0, for an order: what there is then; or nil, message, code,
-- "SHORT" when there is not enough.
local function change(c, article, amount, order)
  assert(type(order) == "string" and not order:find("[,:]"), "order must be a word")
  while true do
    local short
    local text, message, code = c:update("/stock/" .. article, function(old)
      local count, orders = decode(old)
      short = not has(orders, order) and count + amount < 0
      if short or has(orders, order) then
        return nil
      end
      orders[#orders + 1] = order
      return encode(count + amount, orders)
    end, { create = true })
    if text and short then
      return nil, ("only %d of %s"):format(decode(text), article), "SHORT"
    elseif text then
      return (decode(text))
    elseif code ~= "CONNECTIONLOSS" then
      return nil, message, code
    end
  end
end

function stock.put(c, article, amount, order)
  return change(c, article, amount, order)
end

function stock.take(c, article, amount, order)
  return change(c, article, -amount, order)
end

--- How many there are; waits at most `options.timeout` seconds for a connection.
function stock.count(c, article, options)
  local text, message, code = c:get("/stock/" .. article, options)
  if not text then
    return code == "NONODE" and 0 or nil, message, code
  end
  return (decode(text))
end

return stock

--- Accounts, and payments between them: all of a payment happens or nothing of it, once, whatever
--- is lost on the way.
local bank = {}

local function account(name)
  return "/bank/accounts/" .. name
end

function bank.open(c, name, balance)
  local ok, message, code = c:ensure("/bank/payments")
  if ok then
    ok, message, code = c:create(account(name), tostring(balance), { parents = true })
  end
  return ok and true, message, code
end

function bank.balance(c, name)
  local text, stat, code = c:get(account(name))
  if not text then
    return nil, stat, code
  end
  return tonumber(text), stat
end

-- One attempt: true; or nil, message, code.
local function attempt(c, id, from, to, amount)
  local has, of_from, code = bank.balance(c, from)
  if not has then
    return nil, of_from, code
  end
  local gets, of_to
  gets, of_to, code = bank.balance(c, to)
  if not gets then
    return nil, of_to, code
  elseif has < amount then
    return nil, ("%s has only %d"):format(from, has), "SHORT"
  end
  local done, message, why = c:transaction()
    :create("/bank/payments/" .. id, ("%s %s %d"):format(from, to, amount))
    :set(account(from), tostring(has - amount), { version = of_from.version })
    :set(account(to), tostring(gets + amount), { version = of_to.version })
    :commit()
  return done and true, message, why
end

--- Pays. `id` names the payment: asked for again, it is not done again.
function bank.pay(c, id, from, to, amount)
  assert(type(amount) == "number" and amount > 0 and amount % 1 == 0, "amount must be whole")
  assert(from ~= to, "from and to must not be the same")
  while true do
    local paid, message, code = c:exists("/bank/payments/" .. id)
    if paid then
      return true
    elseif paid == false then
      paid, message, code = attempt(c, id, from, to, amount)
    end
    if paid or code ~= "BADVERSION" and code ~= "CONNECTIONLOSS" and code ~= "NODEEXISTS" then
      return paid, message, code
    end
  end
end

return bank

--- An object whose collection calls a function: a table with __gc, or where Lua does not run __gc
--- of tables (LuaJIT) a proxy userdata. The function must not wait and cannot fail loudly.
return function(fn)
  local function collected()
    pcall(fn)
  end
  if newproxy then -- luacheck: ignore
    local proxy = newproxy(true) -- luacheck: ignore
    getmetatable(proxy).__gc = collected
    return proxy
  end
  return setmetatable({}, { __gc = collected })
end

--- A second way to a server for specs: what zklua wrote is read by other eyes, and a session is
--- ended behind its owner's back. Each call is one short process (raw.py), so it blocks and
--- turns no loop. Failures are `nil, text`, where the text is the server's error number.
local raw = {}

local SUPPORT = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "tests/support"

local function quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local function run(server, ...)
  -- Without a sanitizer that the specs may run under: in Python it costs half a second.
  local words = { "unset LD_PRELOAD; exec /usr/bin/python3", quote(SUPPORT .. "/raw.py"),
    quote(server.connect_string) }
  for i = 1, select("#", ...) do
    words[#words + 1] = quote((select(i, ...)))
  end
  local pipe = assert(io.popen(table.concat(words, " ")))
  local text = pipe:read("*a")
  pipe:close()
  return assert((loadstring or load)(text, "=raw.py"))()
end

--- A node as the server shows it: { data =, stat =, acl =, children = }.
---@return table|nil, string|nil
function raw.read(server, path)
  return run(server, "read", path)
end

--- flags: 0 plain, 2 sequential, 4 container. Ephemerals would end with this call's session.
---@return string|nil path, string|nil
function raw.create(server, path, data, flags)
  return run(server, "create", path, data or "", flags or 0)
end

---@return table|nil stat, string|nil
function raw.set(server, path, data, version)
  return run(server, "set", path, data, version or -1)
end

---@return boolean|nil, string|nil
function raw.delete(server, path, version)
  return run(server, "delete", path, version or -1)
end

--- Ends another client's session at the server: its ephemerals go, and the client is told
--- "expired" when it comes back.
---@param session { id: string, password: string }
---@return boolean|nil, string|nil
function raw.end_session(server, session)
  return run(server, "end_session", session.id, session.password)
end

return raw

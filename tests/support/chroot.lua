--- A corner of the shared Apache server for one test: makes it, gives its connect string.
local apache = require("support.apache")

---@param name string  a word for whoever reads a dump
---@return string connect_string
return function(name)
  local zk = require("zklua")
  local server, path = apache.shared(), apache.fresh_path(name)
  local c = assert(zk.connect(server.connect_string))
  assert(c:ensure(path))
  assert(c:close())
  return server.connect_string .. path
end

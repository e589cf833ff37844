--- Null data, which ZooKeeper keeps apart from no bytes: c:create(path, zk.null).
local wrong = require "zklua.wrong"
return setmetatable({}, {
  __newindex = function()
    wrong("zk.null has no fields")
  end,
  __tostring = function()
    return "zk.null"
  end,
})

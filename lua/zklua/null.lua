--- Null data, which ZooKeeper keeps apart from no bytes: c:create(path, zk.null).
return setmetatable({}, {
  __newindex = function()
    error("zk.null has no fields", 2)
  end,
  __tostring = function()
    return "zk.null"
  end,
})

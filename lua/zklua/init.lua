--- zklua: coordination through ZooKeeper, in straight-line Lua. The API is in library/zklua.lua.
return require("zklua.facade").new(require("zklua.runtime").new())

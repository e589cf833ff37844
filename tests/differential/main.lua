--- The command line of tools/differential.
local run = require("differential.run")

local function usage()
  io.stderr:write("usage: tools/differential SEED COUNT [--servers LEFT,RIGHT]\n")
  os.exit(2)
end

local words, list = { "apache", "zklua" }, {}
local i = 1
while arg[i] do
  if arg[i] == "--servers" and arg[i + 1] then
    words = {}
    for word in arg[i + 1]:gmatch("[^,]+") do
      words[#words + 1] = word
    end
    i = i + 1
  else
    list[#list + 1] = tonumber(arg[i])
  end
  i = i + 1
end
local seed, count = list[1], list[2]
if not (seed and count) or #list > 2 or #words ~= 2 or seed < 0 or count < 1 then
  usage()
end

io.stdout:setvbuf("line")
local ok, result = pcall(run.run, seed, count, {
  servers = words, shrink = true, write = function(text) io.stdout:write(text) end,
})
if not ok then
  io.stderr:write("differential: ", tostring(result), "\n")
  os.exit(2)
end
os.exit(result.failures == 0 and 0 or 1)

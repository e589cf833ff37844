-- A zoo.cfg as `zklua server` reads it: what it refuses, what it passes over, what it takes.
local program = require("support.program")
local zkserver = require("support.zkserver")

local ZKLUA = program.zklua()

local function write(name, text)
  local file = assert(io.open(name, "wb"))
  assert(file:write(text))
  assert(file:close())
  return name
end

local GOOD = "dataDir=/nonexistent/zklua\nclientPort=0\n"

-- A file that cannot be served: what is said is "zklua: FILE:LINE: MESSAGE", and `line` nil is
-- the file as a whole.
local BAD = {
  -- the syntax
  { text = "a\\u12=1\n" .. GOOD, line = 1, message = "\\u needs four hexadecimal digits" },
  { text = GOOD .. "a=\\ud800\n", line = 3, message = "\\u names no character" },
  { text = GOOD .. "a=\\u0000\n", line = 3, message = "\\u names no character" },
  { text = GOOD .. "a=\0\n", line = 3, message = "a NUL byte" },
  { text = "# c\r\n\r\n! c\r\n  nonsense = 1\r\n" .. GOOD, line = 4,
    message = "unknown key 'nonsense'" },
  { text = "#c\\\nnonsense:1\n" .. GOOD, line = 2, message = "unknown key 'nonsense'" },
  { text = GOOD .. "nonsense 1", line = 3, message = "unknown key 'nonsense'" },
  { text = GOOD .. "non\\\n   sense=1\n\nworse=1\n", line = 3, message = "unknown key 'nonsense'" },
  { text = GOOD .. "non\\\n   sense=1\n\nworse=1\n", line = 6, message = "unknown key 'worse'" },
  { text = GOOD .. "n\\=\\:\\ \\t\\u00e4\\u20ac=1\n", line = 3,
    message = "unknown key 'n=: \t\195\164\226\130\172'" },
  { text = GOOD .. "=1\n", line = 3, message = "unknown key ''" },
  -- what is missing or does not go together
  { text = "", message = "dataDir is not set" },
  { text = "clientPort=0\n", message = "dataDir is not set" },
  { text = "dataDir=/x\n", message = "clientPort is not set: nobody could connect" },
  { text = "dataDir=/x\nclientPortAddress=::1\n",
    message = "clientPortAddress is set, clientPort is not" },
  { text = GOOD .. "minSessionTimeout=100\nmaxSessionTimeout=99\n",
    message = "minSessionTimeout is 100, more than maxSessionTimeout, which is 99" },
  { text = GOOD .. "maxSessionTimeout=5999\n",
    message = "minSessionTimeout is 6000, more than maxSessionTimeout, which is 5999" },
  { text = GOOD .. "tickTime=200000000\n", message = "tickTime=200000000: 20 ticks" },
  -- values
  { text = "dataDir=\nclientPort=0\n", line = 1, message = "dataDir has no value" },
  { text = GOOD .. "dataDir=" .. ("x"):rep(4096) .. "\n", line = 3,
    message = "dataDir may have at most 4095 bytes" },
  { text = GOOD .. "tickTime=0\n", line = 3,
    message = "tickTime must be a whole number from 1 to 2147483647, not '0'" },
  { text = GOOD .. "tickTime=-1\n", line = 3, message = "tickTime must be" },
  { text = GOOD .. "tickTime=\n", line = 3, message = "tickTime must be" },
  { text = GOOD .. "tickTime=2s\n", line = 3, message = "not '2s'" },
  { text = GOOD .. "tickTime=0x10\n", line = 3, message = "not '0x10'" },
  { text = GOOD .. "tickTime=1.5\n", line = 3, message = "not '1.5'" },
  { text = GOOD .. "tickTime=1 2\n", line = 3, message = "not '1 2'" },
  { text = GOOD .. "tickTime=2147483648\n", line = 3, message = "not '2147483648'" },
  { text = GOOD .. "tickTime=99999999999999999999\n", line = 3, message = "tickTime must be" },
  { text = GOOD .. "clientPort=65536\n", line = 3, message = "from 0 to 65535, not '65536'" },
  { text = GOOD .. "clientPort=-1\n", line = 3, message = "from 0 to 65535, not '-1'" },
  { text = GOOD .. "maxClientCnxns=-1\n", line = 3, message = "maxClientCnxns must be" },
  { text = GOOD .. "jute.maxbuffer=1023\n", line = 3, message = "jute.maxbuffer must be" },
  { text = GOOD .. "jute.maxbuffer=0xfffff\n", line = 3, message = "jute.maxbuffer must be" },
  { text = GOOD .. "extendedTypesEnabled=yes\n", line = 3,
    message = "extendedTypesEnabled must be true or false, not 'yes'" },
  { text = GOOD .. "enforceQuota=1\n", line = 3, message = "must be true or false" },
  { text = GOOD .. "autopurge.purgeInterval=-1\n", line = 3, message = "a number of hours" },
  { text = GOOD .. "autopurge.purgeInterval=1w\n", line = 3, message = "not '1w'" },
  { text = GOOD .. "autopurge.purgeInterval=m\n", line = 3, message = "not 'm'" },
  { text = GOOD .. "4lw.commands.whitelist=" .. ("x"):rep(1024) .. "\n", line = 3,
    message = "at most 1023 bytes" },
  { text = GOOD .. "sessionPassword=secret\n", line = 3, message = "must be random or apache" },
  { text = GOOD .. "DigestAuthenticationProvider.superDigest=me\n", line = 3,
    message = "must be USER:BASE64" },
  { text = GOOD .. "DigestAuthenticationProvider.digestAlg=MD5\n", line = 3,
    message = "only SHA1 is served" },
  -- keys
  { text = GOOD .. "ticktime=2000\n", line = 3,
    message = "unknown key 'ticktime': it is written 'tickTime'" },
  { text = GOOD .. "zookeeper.snapCount=5\n", line = 3,
    message = "in this file it is written 'snapCount'" },
  { text = GOOD .. "tickTimes=5\n", line = 3, message = "unknown key 'tickTimes'" },
  -- what must not be passed over in silence
  { text = GOOD .. "secureClientPort=2281\n", line = 3, message = "TLS is not served yet" },
  { text = GOOD .. "authProvider.1=x.Y\n", line = 3, message = "no other authentication" },
  { text = GOOD .. "enforce.auth.enabled=true\n", line = 3, message = "cannot be made to" },
  { text = GOOD .. "sessionRequireClientSASLAuth=true\n", line = 3, message = "cannot be made to" },
  { text = GOOD .. "DigestAuthenticationProvider.enabled=false\n", line = 3,
    message = "cannot be turned off" },
  { text = GOOD .. "emulate353TTLNodes=true\n", line = 3, message = "3.5.3" },
  { text = GOOD .. "dynamicConfigFile=/x\n", line = 3, message = "ensembles are not served yet" },
  { text = GOOD .. "peerType=observer\n", line = 3, message = "ensembles are not served yet" },
  { text = GOOD .. "server.1=a:1:2\nserver.2=b:1:2\n", line = 3,
    message = "2 lines server.N: ensembles are not served yet" },
  { text = GOOD .. "server.x=a:1:2\n", line = 3, message = "the name is server.NUMBER" },
  { text = GOOD .. "server.1=a:1:2\nstandaloneEnabled=false\n",
    message = "standaloneEnabled=false: ensembles are not served yet" },
}

-- What is taken, and `conf` shows; `says` stands in the log.
local TAKEN = {
  { name = "Apache's defaults", text = "", conf = {
    tickTime = "3000", minSessionTimeout = "6000", maxSessionTimeout = "60000",
    maxClientCnxns = "60", clientPortListenBacklog = "-1", serverId = "0",
    secureClientPort = "-1" } },
  { name = "numbers, trimmed and with a sign", text = "tickTime =  +500 \nmaxClientCnxns:0\n",
    conf = { tickTime = "500", minSessionTimeout = "1000", maxSessionTimeout = "10000",
      maxClientCnxns = "0" } },
  { name = "the last of two", text = "tickTime=1\ntickTime=2\n", conf = { tickTime = "2" } },
  { name = "lines of Windows, and none at the end", text = "tickTime=7\r\nmaxClientCnxns=3",
    conf = { tickTime = "7", maxClientCnxns = "3" } },
  { name = "limits of sessions", text = "minSessionTimeout=1\nmaxSessionTimeout=2\n",
    conf = { minSessionTimeout = "1", maxSessionTimeout = "2" } },
  { name = "a backlog", text = "clientPortListenBacklog=7\n",
    conf = { clientPortListenBacklog = "7" } },
  { name = "the sample that Apache ships", text = "initLimit=10\nsyncLimit=5\n",
    says = "zoo.cfg:5: note: initLimit is for ensembles, which are not served yet: passed over" },
  { name = "one server line", text = "server.1=localhost:2888:3888\n", conf = { serverId = "0" } },
  { name = "what has no counterpart", text = "admin.enableServer=false\n",
    says = "zoo.cfg:5: note: admin.enableServer is passed over: there is no admin server" },
  { name = "the largest requests that Apache takes, up to a limit", text = "jute.maxbuffer=99999999\n",
    says = "zoo.cfg:5: note: jute.maxbuffer is 33554432 here: longer requests are refused" },
  { name = "no forceSync=no", text = "forceSync=no\n", says = "what is acknowledged here is on" },
  { name = "what nobody could notice", text = "maxBatchSize=5\nnetty.x=1\naudit.enable=true\n" },
}

describe("zoo.cfg", function()
  local dir

  setup(function()
    local pipe = io.popen("mktemp -d")
    dir = pipe:read("*l")
    pipe:close()
  end)

  teardown(function()
    os.execute("rm -rf '" .. dir .. "'")
  end)

  local function run(name)
    return program.run({ ZKLUA, "server", name })
  end

  for i, case in ipairs(BAD) do
    it(("refuses row %d: %s"):format(i, case.message), function()
      local name = write(dir .. "/zoo.cfg", case.text)
      local result = run(name)
      assert.equal(2, result.code, result.stderr)
      local place = "zklua: " .. name .. (case.line and ":" .. case.line or "") .. ": "
      local said = false
      for line in result.stderr:gmatch("[^\n]+") do
        said = said or line:sub(1, #place) == place
          and line:find(case.message, #place + 1, true) ~= nil
      end
      assert.is_true(said, result.stderr)
    end)
  end

  it("tells all errors at once", function()
    local result = run(write(dir .. "/zoo.cfg", "tickTime=x\nfoo=1\n"))
    local _, lines = result.stderr:gsub("\n", "")
    assert.equal(4, lines, result.stderr)
  end)

  it("must be there, a file, and of a size that makes sense", function()
    local result = run(dir .. "/none.cfg")
    assert.equal(2, result.code)
    assert.truthy(result.stderr:find("none.cfg: No such file or directory", 1, true))
    result = run(dir)
    assert.equal(2, result.code)
    assert.truthy(result.stderr:find("Is a directory", 1, true), result.stderr)
    result = run(write(dir .. "/large.cfg", ("#"):rep(1024 * 1024 + 1)))
    assert.equal(2, result.code)
    assert.truthy(result.stderr:find("File too large", 1, true), result.stderr)
  end)

  for _, case in ipairs(TAKEN) do
    it("takes " .. case.name, function()
      local name = write(dir .. "/zoo.cfg", ("dataDir=%s/data\nclientPort=0\n"):format(dir)
        .. "clientPortAddress=127.0.0.1\n4lw.commands.whitelist=conf\n" .. case.text)
      local server = zkserver.serve({ ZKLUA, "server", name })
      if case.says then
        local text = server.process.stderr
        assert.truthy(text:find(case.says, 1, true), text)
      end
      local answer = server:four_letter("conf")
      for key, value in pairs(case.conf or {}) do
        assert.equal(value, answer:match("\n" .. key .. "=([^\n]*)"), answer)
      end
      assert.equal(tostring(server.port), answer:match("^clientPort=(%d+)"))
      assert.equal(0, server:stop().code)
    end)
  end
end)

-- A zoo.cfg as `zklua server` reads it: what it refuses, what it passes over, what it takes.
local program = require("support.program")
local zkserver = require("support.zkserver")
local write = require("support.file").write

local ZKLUA = program.zklua()

local GOOD = "dataDir=/nonexistent/zklua\nclientPort=0\n"

-- A file that cannot be served: what is said is "zklua: FILE:LINE: MESSAGE", and `line` nil is
-- the file as a whole. Most are the good file, a third line, and what is said of that.
local BAD = {
  -- the syntax
  { text = "a\\u12=1\n" .. GOOD, line = 1, message = "\\u needs four hexadecimal digits" },
  { "a=\\ud800", "\\u names no character" },
  { "a=\\ud83d!", "\\u names no character" },
  { "a=\\ud83d\\u0041", "\\u names no character" },
  { "a=\\ud83d\\u41", "\\u needs four hexadecimal digits" },
  { "a=\\ude80\\ud83d", "\\u names no character" },
  { "a=\\u0000", "\\u names no character" },
  { "a=\0", "a NUL byte" },
  { text = "# c\r\n\r\n! c\r\n  nonsense = 1\r\n" .. GOOD, line = 4,
    message = "unknown key 'nonsense'" },
  { text = "#c\\\nnonsense:1\n" .. GOOD, line = 2, message = "unknown key 'nonsense'" },
  { text = GOOD .. "nonsense 1", line = 3, message = "unknown key 'nonsense'" },
  { "non\\\n   sense=1\n\nworse=1", "unknown key 'nonsense'" },
  { text = GOOD .. "non\\\n   sense=1\n\nworse=1\n", line = 6, message = "unknown key 'worse'" },
  { "n\\=\\:\\ \\t\\u00e4\\u20ac=1", "unknown key 'n=: \t\195\164\226\130\172'" },
  { "\\ud83d\\ude80=1", "unknown key '\240\159\154\128'" },
  { "=1", "unknown key ''" },
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
  { "dataDir=" .. ("x"):rep(4096), "dataDir may have at most 4095 bytes" },
  { "tickTime=0", "tickTime must be a whole number from 1 to 2147483647, not '0'" },
  { "tickTime=-1", "tickTime must be" },
  { "tickTime=", "tickTime must be" },
  { "tickTime=2s", "not '2s'" },
  { "tickTime=0x10", "not '0x10'" },
  { "tickTime=1.5", "not '1.5'" },
  { "tickTime=1 2", "not '1 2'" },
  { "tickTime=2147483648", "not '2147483648'" },
  { "tickTime=99999999999999999999", "tickTime must be" },
  { "clientPort=65536", "from 0 to 65535, not '65536'" },
  { "clientPort=-1", "from 0 to 65535, not '-1'" },
  { "maxClientCnxns=-1", "maxClientCnxns must be" },
  { "jute.maxbuffer=1023", "jute.maxbuffer must be" },
  { "jute.maxbuffer=0xfffff", "jute.maxbuffer must be" },
  { "extendedTypesEnabled=yes", "extendedTypesEnabled must be true or false, not 'yes'" },
  { "enforceQuota=1", "must be true or false" },
  { "autopurge.purgeInterval=-1", "a number of hours" },
  { "autopurge.purgeInterval=1w", "not '1w'" },
  { "autopurge.purgeInterval=m", "not 'm'" },
  { "4lw.commands.whitelist=" .. ("x"):rep(1024), "at most 1023 bytes" },
  { "sessionPassword=secret", "must be random or apache" },
  { "DigestAuthenticationProvider.superDigest=me", "must be USER:BASE64" },
  { "DigestAuthenticationProvider.digestAlg=MD5", "only SHA1 is served" },
  -- keys
  { "ticktime=2000", "unknown key 'ticktime': it is written 'tickTime'" },
  { "zookeeper.snapCount=5", "in this file it is written 'snapCount'" },
  { "tickTimes=5", "unknown key 'tickTimes'" },
  -- what must not be passed over in silence
  { "secureClientPort=2281", "TLS is not served yet" },
  { "authProvider.1=x.Y", "no other authentication" },
  { "enforce.auth.enabled=true", "cannot be made to" },
  { "sessionRequireClientSASLAuth=true", "cannot be made to" },
  { "DigestAuthenticationProvider.enabled=false", "cannot be turned off" },
  { "emulate353TTLNodes=true", "3.5.3" },
  { "dynamicConfigFile=/x", "ensembles are not served yet" },
  { "peerType=observer", "ensembles are not served yet" },
  { "server.1=a:1:2\nserver.2=b:1:2", "2 lines server.N: ensembles are not served yet" },
  { "server.x=a:1:2", "the name is server.NUMBER" },
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
  { name = "the largest requests up to a limit", text = "jute.maxbuffer=99999999\n",
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

  for i, row in ipairs(BAD) do
    local case = row.text and row or { text = GOOD .. row[1] .. "\n", line = 3, message = row[2] }
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

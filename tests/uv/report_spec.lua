--- What four-letter words tell of the process and its files, beside what /proc and the directory
--- say.
local apache = require("support.apache")
local raw = require("support.raw")
local zkserver = require("support.zkserver")

local function capture(command)
  local pipe = io.popen(command)
  local text = pipe:read("*a")
  pipe:close()
  return text
end

describe("a server's words", function()
  local server, log_directory
  before_each(function()
    log_directory = capture("mktemp -d"):match("[^\n]+")
    server = zkserver.start({ config = { dataLogDir = log_directory } })
  end)
  after_each(function()
    server:stop()
    os.execute("rm -rf '" .. log_directory .. "'")
  end)

  local function value(word, key)
    return tonumber(server:four_letter(word):match(key .. "[=\t: ]+(%d+)"))
  end

  local function size(directory)
    local sizes = capture(("find '%s' -type f -printf '%%s\n'"):format(directory))
    local sum = 0
    for number in sizes:gmatch("%d+") do
      sum = sum + tonumber(number)
    end
    return sum
  end

  it("tell sizes of the files of now, apart for snapshots and logs", function()
    local logs = server:four_letter("conf"):match("dataLogDir=([^\n]+)")
    local data = server:four_letter("conf"):match("dataDir=([^\n]+)")
    assert.are_not.equal(data, logs)
    for i = 1, 3 do
      raw.create(server, "/n" .. i, ("x"):rep(100000))
      assert.is_truthy(apache.wait_for(10, function()
        return value("dirs", "logdir_size") == size(logs)
      end))
      assert.are.equal(size(logs), value("conf", "dataLogSize"))
      assert.are.equal(size(data), value("conf", "dataDirSize"))
      assert.are.equal(size(data), value("dirs", "datadir_size"))
      assert.is_true(size(logs) > i * 100000)
    end
  end)

  it("tell descriptors, the limit of them, and times of the disk", function()
    raw.create(server, "/a", "")
    assert.is_truthy(apache.wait_for(10, function()
      local open = value("mntr", "zk_open_file_descriptor_count")
      local here = tonumber(capture("ls /proc/" .. server.pid .. "/fd | wc -l"))
      return math.abs(open - here) <= 1 -- that of the question itself
    end))
    local limit = capture("cat /proc/" .. server.pid .. "/limits"):match("Max open files%s+(%d+)")
    assert.are.equal(tonumber(limit), value("mntr", "zk_max_file_descriptor_count"))
    assert.is_true(value("mntr", "zk_cnt_fsynctime") >= 1)
    assert.are.equal(1, value("mntr", "zk_cnt_dbinittime"))
  end)

  it("tell the machine", function()
    local text = server:four_letter("envi")
    assert.is_truthy(text:find("\nhost.name=" .. capture("hostname"), 1, true))
    assert.is_truthy(text:find("\nos.version=" .. capture("uname -r"), 1, true))
    assert.is_truthy(text:find("\nuser.dir=/", 1, true))
  end)
end)

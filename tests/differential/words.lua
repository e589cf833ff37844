--- Four-letter words: which are asked, and what of an answer is compared.
---
--- An answer is read into a flat table of named values, so that a difference has a name. Numbers
--- that depend on time, machine or chance stand there as what they look like ("a number"); ports
--- and session ids as the sequence's names; zxids as { zxid = } for compare.lua to match.
local words = {}

local ANY, NUMBER = "^.", "^%-?%d+$"
local LATENCY = "^%d+/%d+%.%d%d?%d?%d?/%d+$"
local METRIC = "^%-?%d+%.?%d*E?%-?%d*$"

-- Whether `text` is like `pattern` is all that counts.
local function shape(text, pattern)
  return text:match(pattern) and "like " .. pattern or text
end

local function hex_to_zxid(text)
  return { zxid = text }
end

-- Java writes names that are not ASCII as its host's settings have it.
local function plain(text)
  return (text:gsub("[%z\1-\8\11-\31\127-\255?]+", "?"))
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

-- Lines KEY SEPARATOR VALUE: into `values`, and the order of the keys.
local function read_pairs(lines, pattern, shapes, values)
  local order = {}
  for _, line in ipairs(lines) do
    local key, value = line:match(pattern)
    if not key then
      key, value = "odd line", line
    end
    order[#order + 1] = key
    values[key] = shapes[key] and shape(value, shapes[key]) or value
  end
  return order
end

-- Connections -------------------------------------------------------------------------------------

local SESSION_SHAPES = {
  est = NUMBER, lresp = NUMBER, llat = NUMBER, minlat = NUMBER, avglat = NUMBER, maxlat = NUMBER,
}

local function session_of(id, item)
  return item.sessions[id] or "another's session"
end

local function read_connection(line, item, values)
  local port, interest, rest = line:match("^ /127%.0%.0%.1:(%d+)%[(%x+)%]%((.*)%)$")
  local name = port and item.names[tonumber(port)]
  if not name then
    values[#values + 1] = port and "a stranger" or line
    return
  end
  values[name] = "is there"
  if name == "janitor" then
    return -- what it did depends on how often it had to look
  end
  values[name .. " interest"] = interest
  local order = {}
  for key, value in rest:gmatch("([^=,]+)=([^,]*)") do
    order[#order + 1] = key
    if key == "sid" then
      value = session_of(value, item)
    elseif key == "lzxid" then
      value = hex_to_zxid(value)
    elseif SESSION_SHAPES[key] then
      value = shape(value, SESSION_SHAPES[key])
    end
    values[name .. " " .. key] = value
  end
  values[name .. " fields"] = table.concat(order, " ")
end

local function read_connections(lines, item, values)
  for _, line in ipairs(lines) do
    if line ~= "" then
      read_connection(line, item, values)
    end
  end
end

-- The words ---------------------------------------------------------------------------------------

local SERVER_SHAPES = {
  ["Zookeeper version"] = ANY, ["Latency min/avg/max"] = LATENCY, Received = NUMBER, Sent = NUMBER,
}
local CONF_SHAPES = {
  clientPort = NUMBER, dataDir = "^/.*/version%-2$", dataLogDir = "^/.*/version%-2$",
  dataDirSize = NUMBER, dataLogSize = NUMBER,
}
-- What both count in the same way; other metrics are only numbers.
words.METRICS = {
  zk_server_state = true, zk_num_alive_connections = true, zk_outstanding_requests = true,
  zk_znode_count = true, zk_watch_count = true, zk_ephemerals_count = true,
  zk_approximate_data_size = true, zk_global_sessions = true, zk_local_sessions = true,
}

local function exact(text)
  return { text = text }
end

local function read_server(lines, values)
  values.order = table.concat(read_pairs(lines, "^([^:]+): (.*)$", SERVER_SHAPES, values), "|")
  values.Zxid = values.Zxid and hex_to_zxid(values.Zxid)
  return values
end

local function srvr(text)
  return read_server(lines_of(text), {})
end

local function stat(text, item)
  local head, clients, rest = text:match("^(.-\n)Clients:\n(.-\n)\n(.*)$")
  if not head then
    return { text = text }
  end
  local values = {}
  read_connections(lines_of(clients), item, values)
  return read_server(lines_of(head .. rest), values)
end

local function cons(text, item)
  local values = { ends = text:sub(-2) }
  read_connections(lines_of(text), item, values)
  return values
end

local function conf(text)
  local values = {}
  values.order = table.concat(read_pairs(lines_of(text), "^([^=]+)=(.*)$", CONF_SHAPES, values),
    "|")
  return values
end

local function dirs(text)
  local values, any = {}, { datadir_size = NUMBER, logdir_size = NUMBER }
  values.order = table.concat(read_pairs(lines_of(text), "^([^:]+): (.*)$", any, values), "|")
  return values
end

-- Which variables there are, and that each says something: their values are the machine's.
local function envi(text)
  local lines, values = lines_of(text), {}
  values.title = table.remove(lines, 1)
  for _, line in ipairs(lines) do
    local key = line:match("^([^=]+)=.")
    values[key or line] = key and "is set" or "odd line"
  end
  return values
end

local function mntr(text)
  local lines, values = lines_of(text), {}
  for i, line in ipairs(lines) do
    local key, value = line:match("^(zk_%S+)\t(.+)$")
    if not key then
      values[line] = "odd line"
    elseif key == "zk_version" then
      values[key] = "line " .. i
    elseif words.METRICS[key] then
      values[key] = value
    else
      values[key] = shape(value, METRIC)
    end
  end
  return values
end

-- One heading without an indent and what stands below it: sorted, for servers keep sets.
local function read_groups(lines, name_of_heading, name_of_item, values)
  local heading, list = nil, {}
  local function finish()
    if heading then
      table.sort(list)
      values[heading] = table.concat(list, " ")
    end
    list = {}
  end
  for i, line in ipairs(lines) do
    local indented = line:match("^\t(.*)$")
    if indented then
      list[#list + 1] = name_of_item(indented)
    elseif line ~= "" or i < #lines then -- a path may have no name
      finish()
      heading = name_of_heading(line)
    end
  end
  finish()
end

local function wchs(text)
  local connections, paths, total = text:match(
    "^(%d+) connections watching (%d+) paths\nTotal watches:(%d+)\n$")
  if not total then
    return { text = text }
  end
  return { connections = connections, paths = paths, total = total }
end

local function wchc(text, item)
  local values = { ends = text:sub(-1) }
  read_groups(lines_of(text), function(id) return session_of(id, item) end, plain, values)
  return values
end

local function wchp(text, item)
  local values = { ends = text:sub(-1) }
  read_groups(lines_of(text), plain, function(id) return session_of(id, item) end, values)
  return values
end

local EXPIRY = "^%d+ expire at %a%a%a %a%a%a %d%d %d%d:%d%d:%d%d %u+ %d%d%d%d:$"

-- Below "expire at" lines: who is there, whenever it may expire. Lines that `name_of` has no name
-- for are only counted.
local function read_buckets(lines, name_of)
  local list, strangers = {}, 0
  for _, line in ipairs(lines) do
    local name = line:match("^\t") and name_of(line)
    if name then
      list[#list + 1] = name
    elseif line:match("^\t") then
      strangers = strangers + 1
    elseif not line:match(EXPIRY) then
      list[#list + 1] = "odd line " .. line
    end
  end
  table.sort(list)
  return table.concat(list, ", "), strangers
end

local function dump(text, item)
  local tracked, sessions, with, ephemerals, sockets, connections = text:match(
    "^SessionTracker dump:\nSession Sets %(%d+%)/%((%d+)%):\n(.-)"
    .. "ephemeral nodes dump:\nSessions with Ephemerals %((%d+)%):\n(.-)"
    .. "Connections dump:\nConnections Sets %(%d+%)/%((%d+)%):\n(.*)$")
  if not tracked then
    return { text = text }
  end
  local values = { tracked = tracked, with_ephemerals = with, sockets = sockets }
  values.sessions = read_buckets(lines_of(sessions), function(line)
    return session_of(line:match("^\t(0x%x+)$") or line, item)
  end)
  values.connections, values.strangers = read_buckets(lines_of(connections), function(line)
    local port, id = line:match("^\tip: /127%.0%.0%.1:(%d+) sessionId: (0x%x+)$")
    local name = port and item.names[tonumber(port)]
    return name and name .. " of " .. (id == "0x0" and "none" or session_of(id, item))
  end)
  read_groups(lines_of(ephemerals), function(line)
    return "ephemerals of " .. session_of(line:match("^(0x%x+):$") or line, item)
  end, plain, values)
  return values
end

local HASH_LINE = "^%x+: %-?%d+$"

-- At every 128th zxid: which and how many differs with every zxid that only one server took.
local function hash(text)
  for _, line in ipairs(lines_of(text)) do
    if not line:match(HASH_LINE) then
      return { text = text }
    end
  end
  return {}
end

local READERS = {
  ruok = exact, isro = exact, gtmk = exact, crst = exact, srst = exact,
  srvr = srvr, stat = stat, cons = cons, conf = conf, dirs = dirs, envi = envi, mntr = mntr,
  wchs = wchs, wchc = wchc, wchp = wchp, dump = dump, hash = hash,
}

--- All that is asked. Left out: `stmk`, whose argument changes what a server writes into its log.
words.ALL = {}
for word in pairs(READERS) do
  words.ALL[#words.ALL + 1] = word
end
table.sort(words.ALL)

--- An item of errands.lua as { values = }.
function words.read(item)
  if item.text:match("whitelist") then
    return { word = item.word, values = exact(item.text) }
  end
  return { word = item.word, values = READERS[item.word](item.text, item) }
end

return words

--- What the generator believes about the tree below a sequence's root. It takes every request for
--- successful that nothing speaks against; permissions and quotas it does not know. Being wrong is
--- harmless: the belief only makes requests meaningful, the servers are compared with each other.
local model = {}

local Model = {}
Model.__index = Model

function model.parent(path)
  return path:match("^(.*)/[^/]*$")
end

--- Nodes whose name begins with "g" may lose READ. An `exists` that sets a watch is never sent for
--- them: whether it sets one differs between versions, and the difference would stay.
function model.guarded(path)
  return path:match("/g[^/]*$") ~= nil
end

function model.new(root)
  local self = setmetatable({ root = root, nodes = {}, paths = {} }, Model)
  self:_insert(root, {})
  return self
end

function Model:_insert(path, node)
  node.version, node.aversion, node.creates, node.children = 0, 0, 0, 0
  self.paths[#self.paths + 1] = path
  node.place = #self.paths
  self.nodes[path] = node
end

function Model:node(path)
  return self.nodes[path]
end

--- The path a sequential create would get.
function Model:sequential(path)
  local parent = self.nodes[model.parent(path)]
  return ("%s%010d"):format(path, parent and parent.creates or 0)
end

function Model:create(path, session)
  local parent = self.nodes[model.parent(path)]
  if not parent or parent.session or self.nodes[path] then
    return false
  end
  parent.creates = parent.creates + 1
  parent.children = parent.children + 1
  self:_insert(path, { session = session })
  return true
end

function Model:delete(path)
  local node = self.nodes[path]
  if not node or node.children > 0 or path == self.root then
    return false
  end
  local last = self.paths[#self.paths]
  self.paths[node.place] = last
  self.nodes[last].place = node.place
  self.paths[#self.paths] = nil
  self.nodes[path] = nil
  local parent = self.nodes[model.parent(path)]
  parent.children = parent.children - 1
  return true
end

--- Its ephemeral nodes go.
function Model:end_session(session)
  local gone = {}
  for _, path in ipairs(self.paths) do
    if self.nodes[path].session == session then
      gone[#gone + 1] = path
    end
  end
  for _, path in ipairs(gone) do
    self:delete(path)
  end
end

function Model:pick(random)
  return random:pick(self.paths)
end

return model

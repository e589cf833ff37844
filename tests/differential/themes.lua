--- What a sequence is about: which operations it mixes, and how often something else happens.
local themes = {}

local GENERAL = {
  20, "create", 9, "delete", 10, "set_data", 4, "set_acl", 6, "exists", 8, "get_data",
  3, "get_acl", 4, "get_children", 4, "get_children2", 10, "multi", 4, "multi_read", 2, "sync",
  3, "add_watch", 2, "remove_watches", 2, "check_watches", 1, "set_watches", 1, "set_watches2",
  2, "get_ephemerals", 2, "get_all_children_number", 1, "who_am_i", 1, "ping", 1, "reconfig",
  1, "delete_container",
}
local WATCHES = {
  16, "create", 12, "delete", 12, "set_data", 1, "set_acl", 8, "exists", 8, "get_data",
  4, "get_children", 4, "get_children2", 8, "multi", 8, "add_watch", 5, "remove_watches",
  4, "check_watches", 4, "set_watches", 4, "set_watches2", 1, "sync", 1, "ping",
}
local PERMISSIONS = {
  20, "create", 8, "delete", 10, "set_data", 14, "set_acl", 8, "exists", 10, "get_data",
  10, "get_acl", 4, "get_children", 4, "get_children2", 8, "multi", 5, "multi_read",
  4, "get_all_children_number", 3, "who_am_i", 2, "add_watch",
}
local MULTIS = {
  10, "create", 4, "delete", 4, "set_data", 2, "set_acl", 40, "multi", 10, "multi_read",
  5, "get_children2", 3, "add_watch", 3, "get_data",
}
local QUOTAS = {
  25, "create", 12, "delete", 20, "set_data", 12, "multi", 15, "use_quota", 3, "get_data",
  3, "get_children2",
}

-- What is made here stays until it is deleted, or its session ends.
local LASTING = {
  30, "create", 8, "delete", 10, "set_data", 4, "set_acl", 8, "exists", 8, "get_data",
  4, "get_children", 4, "get_children2", 10, "multi", 2, "multi_read", 8, "add_watch",
  2, "remove_watches", 2, "set_watches", 2, "set_watches2", 3, "get_ephemerals",
  2, "get_all_children_number",
}

-- bad: percent of arguments that are wrong; watching: percent of reads that set a watch;
-- moves: percent of steps that open, move or close; auths, spoils, ends: percent of steps; lasting:
-- no node may go by itself.
local THEMES = {
  { weight = 6, mix = GENERAL, bad = 4, watching = 30, moves = 6, auths = 2, spoils = 1, ends = 1 },
  { weight = 4, mix = WATCHES, bad = 2, watching = 70, moves = 8, auths = 1, spoils = 0, ends = 1 },
  { weight = 3, mix = PERMISSIONS, bad = 4, watching = 20, moves = 6, auths = 14, spoils = 0,
    ends = 1 },
  { weight = 3, mix = MULTIS, bad = 3, watching = 20, moves = 3, auths = 1, spoils = 1, ends = 0 },
  { weight = 2, mix = QUOTAS, bad = 1, watching = 10, moves = 3, auths = 1, spoils = 0, ends = 0,
    quota = true },
  { weight = 2, mix = GENERAL, bad = 30, watching = 20, moves = 5, auths = 3, spoils = 15,
    ends = 5 },
  { weight = 2, mix = GENERAL, bad = 2, watching = 40, moves = 35, auths = 5, spoils = 0,
    ends = 4 },
}

local BRIEF = { mix = LASTING, bad = 0, watching = 60, moves = 6, auths = 2, spoils = 0, ends = 0,
  lasting = true }

--- The theme of a sequence.
---@param rng table
---@param setup string
---@return table
function themes.pick(rng, setup)
  if setup == "brief" then
    return BRIEF
  end
  local list = {}
  for _, theme in ipairs(THEMES) do
    list[#list + 1], list[#list + 2] = theme.weight, theme
  end
  return rng:weighted(list)
end

return themes

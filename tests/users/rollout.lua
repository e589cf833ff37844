--- A new release on many hosts: nobody switches before all are prepared, and nobody goes back to
--- work before all have switched.
local rollout = {}

--- Takes part with steps.prepare() and steps.switch(), at most `options.wait` seconds for each of
--- the two waits. true; or nil, message, code: TIMEOUT when not all came. A host whose preparation
--- raises does not take part, so that nobody switches.
function rollout.run(c, release, hosts, steps, options)
  local barrier = c:barrier("/rollout/" .. release, { parties = hosts })
  steps.prepare()
  local ok, message, code = barrier:enter(options)
  if not ok then
    return nil, message, code
  end
  local switched, failure = pcall(steps.switch)
  ok, message, code = barrier:leave(options)
  if not switched then
    error(failure, 0)
  end
  return ok, message, code
end

return rollout

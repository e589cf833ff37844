--- Runs fn as a coroutine of the scheduler, to its end, and raises what it raised.
return function(scheduler, fn)
  local done, failure = scheduler.event(), nil
  scheduler.spawn(function()
    local ok, message = pcall(fn)
    failure = not ok and message or nil
    done:set()
  end)
  assert(done:wait(scheduler.now() + 20), "the test does not come to an end")
  if failure then
    error(failure, 0)
  end
end

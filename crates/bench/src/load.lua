-- Sends the requests of a file again and again, the threads of wrk at different places of it.
-- Arguments: the file, and the number of threads.

local threads = 0

function setup(thread)
   thread:set("number", threads)
   threads = threads + 1
end

local requests, at = {}, 0

function init(arguments)
   local file = assert(io.open(arguments[1], "rb"))
   while true do
      local length = file:read("*l")
      if not length then break end
      requests[#requests + 1] = file:read(tonumber(length))
   end
   file:close()
   at = math.floor(#requests * number / tonumber(arguments[2]))
end

function request()
   at = at % #requests + 1
   return requests[at]
end

-- One line that the bench reads; wrk's own report goes before it. Latencies are in microseconds.
function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      'measured {"requests":%d,"micros":%d,"bytes":%d,"statuses":%d,"sockets":%d,"p50":%d,"p99":%d}\n',
      summary.requests, summary.duration, summary.bytes, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50), latency:percentile(99)))
end

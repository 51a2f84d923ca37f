-- Reserves one unit of each stock, one stock after the other.
-- wrk -t1 -c128 -d5s --latency -s benches/wrk/reserve_spread.lua http://127.0.0.1:8080

local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local stocks = dofile(folder .. "stocks.lua")

function init()
  local requests = {}
  for number = 0, stocks.count - 1 do
    requests[#requests + 1] = stocks.reserve(number)
  end
  request = stocks.in_turn(requests)
end

done = stocks.report

-- Places orders of LINES lines (10 unless set), one unit each, over all stocks in turn.
-- wrk -t1 -c1 -d5s --latency -s benches/wrk/place_orders.lua http://127.0.0.1:8080

local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local stocks = dofile(folder .. "stocks.lua")
local lines = tonumber(os.getenv("LINES") or 10)

function init()
  local requests = {}
  for first = 0, stocks.count - 1, lines do
    requests[#requests + 1] = stocks.order(first, lines)
  end
  request = stocks.in_turn(requests)
end

done = stocks.report

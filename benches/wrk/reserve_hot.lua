-- Reserves one unit of the same stock (number STOCK, 0 unless set), again and again: launch day.
-- wrk -t1 -c128 -d5s --latency -s benches/wrk/reserve_hot.lua http://127.0.0.1:8080

local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local stocks = dofile(folder .. "stocks.lua")

function init()
  request = stocks.in_turn({ stocks.reserve(tonumber(os.getenv("STOCK") or 0)) })
end

done = stocks.report

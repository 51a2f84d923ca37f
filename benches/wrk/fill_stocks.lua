-- Puts QUANTITY units (1,000,000 unless set) into each stock, once, and ends wrk with status 0 if all were accepted.
-- One connection only: the next stock is the one after those that were answered.
-- wrk -t1 -c1 -d60s -s benches/wrk/fill_stocks.lua http://127.0.0.1:8080

local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local stocks = dofile(folder .. "stocks.lua")
local quantity = tonumber(os.getenv("QUANTITY") or 1000000)
local requests = {}
local answered, refused = 0, 0

function init()
  for number = 0, stocks.count - 1 do
    requests[#requests + 1] = stocks.add(number, quantity)
  end
end

function request()
  return requests[answered + 1]
end

function response(status, _, body)
  answered = answered + 1
  if status ~= 201 then
    refused = refused + 1
    print(string.format("stock %d: %d %s", answered - 1, status, body))
  end
  if answered == #requests then
    print(string.format("%d stocks filled, %d refused", answered - refused, refused))
    -- wrk has no other way to end before its time is over.
    os.exit(refused == 0 and 0 or 1)
  end
end

-- Only reached when the time was over first.
function done()
  print("the fill has not come to its end")
  os.exit(1)
end

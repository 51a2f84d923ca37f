-- Fills the log with EVENTS events (1,000,000 unless set), in batches of 8,192, and ends wrk with status 0 if all were accepted:
-- units are put into each stock once, then reserved and sold one by one. All stocks in turn, or stock 0 alone with HOT=1; with
-- TOUCH=1 each stock gets its one event and nothing more.
-- wrk -t1 -c1 -d600s -s benches/wrk/fill_log.lua http://127.0.0.1:8080

local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local stocks = dofile(folder .. "stocks.lua")
local wanted = tonumber(os.getenv("EVENTS") or 1000000)
local is_hot = os.getenv("HOT") == "1"
local only_touches = os.getenv("TOUCH") == "1"
local size = 8192
local filled, sold, sent, refused = 0, 0, 0, 0

local function next_commands()
  local commands = {}
  while #commands < size and filled < (is_hot and 1 or stocks.count) do
    commands[#commands + 1] = stocks.added(filled)
    filled = filled + 1
  end
  while #commands + 2 <= size and not only_touches do
    local number = is_hot and 0 or sold % stocks.count
    commands[#commands + 1], commands[#commands + 2] = stocks.sold(number, sold)
    sold = sold + 1
  end
  sent = sent + #commands
  return commands
end

-- wrk asks for a request that it never sends, so only an answer moves on.
local current

function init()
  current = stocks.batch_of(next_commands())
end

function request()
  return current
end

function response(status, _, body)
  local problems = select(2, body:gsub('"type":"/problems', ""))
  if status ~= 200 or problems > 0 then
    refused = refused + 1
    print(status, body:sub(1, 300))
  end
  if sent >= wanted or (only_touches and filled >= stocks.count) then
    print(string.format("%d commands in batches, %d batches refused", sent, refused))
    os.exit(refused == 0 and 0 or 1)
  end
  current = stocks.batch_of(next_commands())
end

function done()
  print("the fill has not come to its end")
  os.exit(1)
end

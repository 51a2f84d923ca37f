-- Sends batches of SIZE reserves (8,192 unless set) over all stocks, or on one with HOT=1; with KEYS=1 each command has an
-- idempotency key of its own, made anew for each batch: BATCHES of them are made before the load starts, and used once.
-- wrk -t1 -c2 -d5s --latency -s benches/wrk/batch.lua http://127.0.0.1:8080

local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local stocks = dofile(folder .. "stocks.lua")
local size = tonumber(os.getenv("SIZE") or 8192)
local is_hot = os.getenv("HOT") == "1"
local has_keys = os.getenv("KEYS") == "1"
local batches = tonumber(os.getenv("BATCHES") or "") or (has_keys and 200 or 4)
local run = os.getenv("RUN") or tostring(os.time())

function init()
  local requests = {}
  for number = 1, batches do
    requests[#requests + 1] = stocks.batch(0, size, is_hot, has_keys and run .. "-" .. number)
  end
  request = stocks.in_turn(requests)
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  print(string.format("batches %d, of keys %d, errors %d", summary.requests, has_keys and batches or 0, failed))
  print(string.format("result %.0f %d %d %d", summary.requests * size / summary.duration * 1e6, latency:percentile(50),
    latency:percentile(99), failed))
end

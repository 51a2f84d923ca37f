-- The stocks that the load scripts speak of, the requests on them, and the line that scripts/bench-http reads.
-- Ids are made from a number, so that filling and load agree without a file between them.

local stocks = {}

-- How many stocks the fill makes and the spread loads go over.
stocks.count = tonumber(os.getenv("STOCKS") or 1000)

local store_id = "00000000-0000-4000-9000-000000000001"
local customer_id = "00000000-0000-4000-a000-000000000001"

local function product_id(number)
  return string.format("00000000-0000-4000-8000-%012x", number)
end

local function post(path, body)
  local headers = { ["Host"] = wrk.headers["Host"], ["Content-Type"] = "application/json" }
  headers["Authorization"] = wrk.headers["Authorization"] -- Where wrk was given one.
  return wrk.format("POST", path, headers, body)
end

-- The requests, ready to be sent: wrk's one thread must not spend its time on building them.

function stocks.get(number)
  local path = "/api/v1/inventory/products/" .. product_id(number) .. "/stores/" .. store_id
  return wrk.format("GET", path)
end

function stocks.add(number, quantity)
  return post("/api/v1/inventory/stock", string.format(
    '{"product_id":"%s","store_id":"%s","quantity":%d,"reason":"benchmark"}',
    product_id(number), store_id, quantity))
end

function stocks.reserve(number)
  return post("/api/v1/inventory/reserve", string.format(
    '{"product_id":"%s","store_id":"%s","quantity":1,"customer_id":"%s"}',
    product_id(number), store_id, customer_id))
end

-- A batch of `count` reserves: stock after stock from `first` on, or all on that one when `is_hot`. With `key`, each has one of
-- its own.
function stocks.batch(first, count, is_hot, key)
  local commands = {}
  for place = 0, count - 1 do
    local number = is_hot and first or (first + place) % stocks.count
    local idempotency = key and string.format(',"idempotency_key":"%s-%d"', key, place) or ""
    commands[#commands + 1] = string.format(
      '{"op":"reserve","product_id":"%s","store_id":"%s","quantity":1,"customer_id":"%s"%s}',
      product_id(number), store_id, customer_id, idempotency)
  end
  return stocks.batch_of(commands)
end

function stocks.batch_of(commands)
  return post("/api/v1/batch", '{"commands":[' .. table.concat(commands, ",") .. ']}')
end

-- What puts units into a stock, as a command of a batch.
function stocks.added(number)
  return string.format('{"op":"add","product_id":"%s","store_id":"%s","quantity":1000000000,"reason":"benchmark"}',
    product_id(number), store_id)
end

-- What reserves one unit and sells it, as two commands of a batch; `serial` is used once.
function stocks.sold(number, serial)
  local reservation_id = string.format("00000000-0000-7000-8000-%012x", serial)
  local stock = string.format('"product_id":"%s","store_id":"%s","reservation_id":"%s"',
    product_id(number), store_id, reservation_id)
  return '{"op":"reserve",' .. stock .. ',"quantity":1,"customer_id":"' .. customer_id .. '"}',
    '{"op":"commit",' .. stock .. ',"order_id":"' .. customer_id .. '"}'
end

-- An order of one unit each of so many stocks.
function stocks.order(first, lines)
  local parts = {}
  for place = 0, lines - 1 do
    parts[#parts + 1] = string.format('{"product_id":"%s","store_id":"%s","quantity":1}',
      product_id((first + place) % stocks.count), store_id)
  end
  return post("/api/v1/orders", string.format('{"customer_id":"%s","lines":[%s]}', customer_id, table.concat(parts, ",")))
end

-- A function that returns each of `requests` in turn, for ever.
function stocks.in_turn(requests)
  local last, count = 0, #requests
  return function()
    last = last % count + 1
    return requests[last]
  end
end

-- Prints `result <requests a second> <p50, us> <p99, us> <errors>`.
-- wrk itself counts answers of 400 and above, and the service sends none of 1xx or 3xx to these requests. Counting in
-- response() would have wrk build a table of headers for each answer, which makes wrk slower than what it measures.
function stocks.report(summary, latency)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  print(string.format("not 2xx: %d of %d answers; connect, read, write, timeout errors: %d, %d, %d, %d",
    errors.status, summary.requests, errors.connect, errors.read, errors.write, errors.timeout))
  print(string.format("result %.0f %d %d %d",
    (summary.requests - errors.status) / summary.duration * 1e6, latency:percentile(50), latency:percentile(99), failed))
end

return stocks

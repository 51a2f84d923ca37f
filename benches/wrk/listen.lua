-- Listens to events that don't happen: each connection to those of a product of its own, which nobody has, or with BY=type all
-- to those of a type that the loads don't make.
-- wrk -t1 -c1000 -d60s -s benches/wrk/listen.lua http://127.0.0.1:8080

local by_type = os.getenv("BY") == "type"
local number = 0

function request()
  number = number + 1
  local filter = by_type and "type=TransferCancelledEvent"
    or string.format("product_id=00000000-0000-4000-b000-%012x", number)
  return wrk.format("GET", "/api/v1/events/stream?" .. filter)
end

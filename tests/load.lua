-- Load for `sentiment serve`: wrk -s tests/load.lua URL -- FILE [TEXTS]
-- Sends the token in the environment variable SENTIMENT_TOKEN, if there is one.
-- Posts the reviews of FILE, which has one review per line; TEXTS is the number of reviews per request (1).
local bodies, position, step = {}, 0, 1
local threads = {}

function setup(thread)
  thread:set("first", #threads)
  table.insert(threads, thread)
  for _, each in ipairs(threads) do each:set("step", #threads) end
end

function init(args)
  local texts_per_request, texts = tonumber(args[2] or 1), {}
  local escaped = { ['"'] = '\\"', ["\\"] = "\\\\" }
  for line in io.lines(args[1]) do
    local text = line:gsub('["\\]', escaped)
    text = text:gsub("%c", function(byte) return ("\\u%04x"):format(byte:byte()) end)
    table.insert(texts, '"' .. text .. '"')
    if #texts == texts_per_request then
      table.insert(bodies, '{"inputs": [' .. table.concat(texts, ", ") .. "]}")
      texts = {}
    end
  end
  position = first -- so that no two threads post the same review at the same time
end

local headers = { ["Content-Type"] = "application/json" }
local token = os.getenv("SENTIMENT_TOKEN")
if token then headers["Authorization"] = "Bearer " .. token end

function request()
  local body = bodies[position % #bodies + 1]
  position = position + step
  return wrk.format("POST", nil, headers, body)
end

-- Load for `sentiment serve`: wrk -s tests/load.lua URL -- FILE [TEXTS] posts the reviews of a file, one a line, TEXTS to a request.
local bodies, at, step = {}, 0, 1
local threads = {}

function setup(thread)
  thread:set("first", #threads)
  table.insert(threads, thread)
  for _, each in ipairs(threads) do each:set("step", #threads) end
end

function init(args)
  local several, texts = tonumber(args[2] or 1), {}
  local escaped = { ['"'] = '\\"', ["\\"] = "\\\\" }
  for line in io.lines(args[1]) do
    local text = line:gsub('["\\]', escaped):gsub("%c", function(byte) return ("\\u%04x"):format(byte:byte()) end)
    table.insert(texts, '"' .. text .. '"')
    if #texts == several then
      table.insert(bodies, '{"inputs": [' .. table.concat(texts, ", ") .. "]}")
      texts = {}
    end
  end
  at = first -- so that no two threads post the same review at the same time
end

function request()
  local body = bodies[at % #bodies + 1]
  at = at + step
  return wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, body)
end

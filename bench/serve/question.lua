-- Questions of one kind for all: who may do what to which record.
local users = { "alice", "bob", "carol", "dan", "erin", "felix" }
local roles = { alice = "manager", bob = "employee", carol = "contractor", dan = "manager", erin = "employee", felix = "contractor" }
local departments = { alice = "Sales", bob = "Legal", carol = "Legal", dan = "Finance", erin = "Finance", felix = "Accounting" }
local actions = { "view", "edit", "delete" }
local target = os.getenv("BENCH_TARGET")
-- A property makes cku ask its policies each time: it keeps answers to questions that name nothing else.
local properties = os.getenv("BENCH_FRESH") and ',"properties":{"x":1}' or ""

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
math.randomseed(1)

request = function()
  local user, action, record = users[math.random(6)], actions[math.random(3)], 100 + math.random(20)
  if target == "cerbos" then
    local body = string.format('{"requestId":"r","principal":{"id":"%s","roles":["user"],"attr":{"role":"%s","department":"%s"}},"resources":[{"actions":["%s"],"resource":{"kind":"record","id":"%d","attr":{"owner":"%s","department":"%s"}}}]}', user, roles[user], departments[user], action, record, users[record % 6 + 1], departments[users[record % 6 + 1]])
    return wrk.format("POST", "/api/check/resources", nil, body)
  end
  local body = string.format('{"subject":{"type":"user","id":"%s"%s},"action":{"name":"%s"},"resource":{"type":"record","id":"%d"}}', user, properties, action, record)
  return wrk.format("POST", "/access/v1/evaluation", nil, body)
end

done = function(summary, latency)
  io.write(string.format('{"rps":%.0f,"p50":%.3f,"p99":%.3f,"errors":%d}\n', summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000, latency:percentile(99) / 1000, summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end

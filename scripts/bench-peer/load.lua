-- Requests for wrk: what is asked says KIND, how many patients there are PATIENTS.
-- The resources are those of `careledger bench fhir`: see bundles.py.

local kind = os.getenv("KIND")
local patients = tonumber(os.getenv("PATIENTS"))
local base = os.getenv("BASE_PATH")
local token = os.getenv("TOKEN")

local headers = { ["Accept"] = "application/fhir+json" }
if token and token ~= "" then
  headers["Authorization"] = "Bearer " .. token
end

local function code(patient, number)
  return (patient * 31 + number * 7) % 500
end

local function day(patient, number)
  local at = (patient * 17 + number * 97) % 3360
  return string.format("%d-%02d-%02d", 2016 + math.floor(at / 336), math.floor(at / 28) % 12 + 1, at % 28 + 1)
end

local paths = {
  read = function(patient, number)
    return string.format("/Observation/bench-%d-o%d", patient, number)
  end,
  hot = function(_, number)
    return string.format("/Observation/bench-0-o%d", number)
  end,
  identifier = function(patient)
    return string.format("/Patient?identifier=urn:bench:mrn%%7C%d", patient)
  end,
  patient_code = function(patient, number)
    return string.format("/Observation?patient=bench-%d&code=urn:bench:code%%7Cc%d&_count=20", patient, code(patient, number))
  end,
  code = function(patient, number)
    return string.format("/Observation?code=urn:bench:code%%7Cc%d&_count=20", code(patient, number))
  end,
  date = function(patient, number)
    return string.format("/Observation?date=%s&_count=20", day(patient, number))
  end,
  chained = function(patient, number)
    return string.format(
      "/Observation?patient.identifier=urn:bench:mrn%%7C%d&code=urn:bench:code%%7Cc%d&_count=20",
      patient, code(patient, number))
  end,
  everything = function(patient)
    return string.format("/Patient/bench-%d/$everything", patient)
  end,
}

local function create(patient, number)
  headers["Content-Type"] = "application/fhir+json"
  local body = string.format(
    '{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"urn:bench:code","code":"c%d"}]},'
      .. '"subject":{"reference":"Patient/bench-%d"},"effectiveDateTime":"%sT09:30:00Z",'
      .. '"valueQuantity":{"value":72,"unit":"/min","system":"http://unitsofmeasure.org","code":"/min"}}',
    code(patient, number), patient, day(patient, number))
  return wrk.format("POST", base .. "/Observation", headers, body)
end

local threads = 0

-- Threads do not ask for the same at the same time.
function setup(thread)
  threads = threads + 1
  thread:set("seed", threads * 7919)
end

function init()
  math.randomseed(seed)
end

function request()
  local patient, number = math.random(0, patients - 1), math.random(0, 15)
  if kind == "create" then
    return create(patient, number)
  end
  return wrk.format("GET", base .. paths[kind](patient, number), headers)
end

function done(summary, latency)
  local errors = summary.errors
  local bad = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    "RESULT %.0f %.2f %.2f %d\n",
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, bad))
end

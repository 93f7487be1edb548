-- Runs one file of specifications: lua run.lua HOOKS SPEC; prints a line for each, exits 1 if any fails.

local hooks, path = arg[1], arg[2]
package.path = hooks .. "/?.lua;" .. package.path
HOOKS = hooks

local function shown(value)
    if type(value) ~= "table" then
        return type(value) == "string" and string.format("%q", value) or tostring(value)
    end
    local names = {}
    for name in pairs(value) do
        names[#names + 1] = name
    end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    local parts = {}
    for _, name in ipairs(names) do
        parts[#parts + 1] = tostring(name) .. "=" .. shown(value[name])
    end
    return "{" .. table.concat(parts, ", ") .. "}"
end

-- Numbers are compared as numbers: 1 and 1.0 are the same in all versions of Lua.
local function same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then
        return a == b
    end
    for name in pairs(a) do
        if not same(a[name], b[name]) then return false end
    end
    for name in pairs(b) do
        if a[name] == nil then return false end
    end
    return true
end

function equal(found, expected, about)
    if not same(found, expected) then
        error((about and about .. ": " or "") .. shown(found) .. " is not " .. shown(expected), 2)
    end
end

function contains(found, part)
    if not tostring(found):find(part, 1, true) then
        error(shown(found) .. " does not contain " .. shown(part), 2)
    end
end

-- A `slurm` as the plugins give it, that remembers what was logged.
function fake_slurm()
    local said = { user = {}, error = {}, debug = {} }
    local fake = { SUCCESS = 0, ERROR = -1, said = said }
    for _, level in ipairs({ "user", "error", "debug" }) do
        fake["log_" .. level] = function(form, ...)
            table.insert(said[level], string.format(form, ...))
        end
    end
    return fake
end

local failed, count = 0, 0

function spec(name, body)
    count = count + 1
    local done, problem = pcall(body)
    if not done then
        failed = failed + 1
        print("FAILED " .. name .. ": " .. tostring(problem))
    end
end

dofile(path)
print(count .. " specifications in " .. _VERSION)
os.exit((failed > 0 or count == 0) and 1 or 0)

-- JSON, as much of it as the agent's lines need: no null inside of arrays, no deep nesting.
-- For Lua 5.1 to 5.4.

local json = {}

local MAX_DEPTH = 20
local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
local UNESCAPES = {
    ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}
local CONSTANTS = { ["true"] = { true }, ["false"] = { false }, ["null"] = { nil } }

local function encode_text(text)
    return '"' .. text:gsub('[%c"\\]', function(char)
        return ESCAPES[char] or string.format("\\u%04x", char:byte())
    end) .. '"'
end

local function encode_number(number)
    if number ~= number or number == math.huge or number == -math.huge then
        return "null"
    end
    local text = string.format(number % 1 == 0 and math.abs(number) < 1e15 and "%.0f" or "%.17g", number)
    return (text:gsub(",", ".")) -- the decimal point of some locales
end

-- A table is an object, with text for keys; arrays are not needed.
function json.encode(value)
    local kind = type(value)
    if kind == "string" then
        return encode_text(value)
    elseif kind == "number" then
        return encode_number(value)
    elseif kind == "boolean" then
        return tostring(value)
    elseif kind == "table" then
        local parts = {}
        for name, inner in pairs(value) do
            parts[#parts + 1] = encode_text(name) .. ":" .. json.encode(inner)
        end
        return "{" .. table.concat(parts, ",") .. "}"
    end
    error("no JSON for a " .. kind)
end

local function utf8_of(code)
    if code < 0x80 then
        return string.char(code)
    elseif code < 0x800 then
        return string.char(0xC0 + math.floor(code / 0x40), 0x80 + code % 0x40)
    elseif code < 0x10000 then
        return string.char(
            0xE0 + math.floor(code / 0x1000), 0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
    end
    return string.char(
        0xF0 + math.floor(code / 0x40000), 0x80 + math.floor(code / 0x1000) % 0x40,
        0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
end

local function hex_at(text, at)
    local hex = text:match("^%x%x%x%x", at) or error("bad \\u at " .. at)
    return tonumber(hex, 16)
end

local function decode_escaped_code(text, at)
    local code = hex_at(text, at)
    if code >= 0xD800 and code < 0xDC00 and text:sub(at + 4, at + 5) == "\\u" then
        local low = hex_at(text, at + 6)
        return utf8_of(0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00)), at + 10
    end
    return utf8_of(code), at + 4
end

local function decode_text(text, at)
    local parts = {}
    while true do
        local stop = text:find('["\\]', at) or error("a text without end")
        parts[#parts + 1] = text:sub(at, stop - 1)
        if text:sub(stop, stop) == '"' then
            return table.concat(parts), stop + 1
        end
        local escape = text:sub(stop + 1, stop + 1)
        local part
        if escape == "u" then
            part, at = decode_escaped_code(text, stop + 2)
        else
            part, at = UNESCAPES[escape] or error("bad escape at " .. stop), stop + 2
        end
        parts[#parts + 1] = part
    end
end

local decode_value

local function after_space(text, at)
    return text:find("[^ \t\r\n]", at) or #text + 1
end

-- Items up to `close`; `item` reads one and puts it away.
local function decode_items(text, at, close, item)
    at = after_space(text, at)
    if text:sub(at, at) == close then
        return at + 1
    end
    while true do
        at = after_space(text, item(after_space(text, at)))
        local sign = text:sub(at, at)
        at = at + 1
        if sign == close then
            return at
        elseif sign ~= "," then
            error("neither , nor " .. close .. " at " .. at - 1)
        end
    end
end

local function decode_object(text, at, depth)
    local found = {}
    local stop = decode_items(text, at, "}", function(from)
        if text:sub(from, from) ~= '"' then
            error("no name at " .. from)
        end
        local name, colon = decode_text(text, from + 1)
        colon = after_space(text, colon)
        if text:sub(colon, colon) ~= ":" then
            error("no : at " .. colon)
        end
        local rest
        found[name], rest = decode_value(text, after_space(text, colon + 1), depth)
        return rest
    end)
    return found, stop
end

local function decode_array(text, at, depth)
    local found = {}
    local stop = decode_items(text, at, "]", function(from)
        local value, rest = decode_value(text, from, depth)
        found[#found + 1] = value
        return rest
    end)
    return found, stop
end

local function decode_plain(text, at)
    local word = text:match("^[%w%.%+%-]+", at) or error("no value at " .. at)
    local constant = CONSTANTS[word]
    if constant then
        return constant[1], at + #word
    end
    if not word:match("^-?%d+%.?%d*[eE]?[%+%-]?%d*$") then
        error("no number at " .. at)
    end
    local number = tonumber(word) or tonumber((word:gsub("%.", ",")))
    return number or error("no number at " .. at), at + #word
end

function decode_value(text, at, depth)
    if depth > MAX_DEPTH then
        error("too deep")
    end
    local sign = text:sub(at, at)
    if sign == "{" then
        return decode_object(text, at + 1, depth + 1)
    elseif sign == "[" then
        return decode_array(text, at + 1, depth + 1)
    elseif sign == '"' then
        return decode_text(text, at + 1)
    end
    return decode_plain(text, at)
end

-- The value of a text; raises an error where it is no JSON.
function json.decode(text)
    local value, at = decode_value(text, after_space(text, 1), 0)
    if after_space(text, at) <= #text then
        error("more than one value, at " .. at)
    end
    return value
end

return json

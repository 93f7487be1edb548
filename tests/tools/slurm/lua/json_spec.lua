local json = require("rt_predictor_json")

spec("what is written is read again", function()
    local value = {
        text = 'a "b" \\ \n\t\1 ä', whole = 4, negative = -0.25, large = 2 ^ 60, tiny = 1e-300,
        yes = true, no = false, inner = { x = { y = "z" } }, empty = {},
    }
    equal(json.decode(json.encode(value)), value)
end)

spec("whole numbers are written as such, and what is no number as null", function()
    equal(json.encode(4.0), "4")
    equal(json.encode(14400), "14400")
    equal(json.encode(0.5), "0.5")
    equal(json.encode(0 / 0), "null")
    equal(json.encode(math.huge), "null")
end)

spec("a line stays a line", function()
    equal(json.encode("a\nb\r\0"), '"a\\nb\\r\\u0000"')
end)

spec("everything that the agent may say is read", function()
    equal(json.decode(' {"a" : [ 1 , -2.5e+3, "x" ], "b":{ } , "c":[], "d":null,"e":true} '),
        { a = { 1, -2500, "x" }, b = {}, c = {}, e = true })
    equal(json.decode('"\\u00e4\\u20ac\\ud83d\\ude00\\/\\b\\f"'), "ä€😀/\b\f")
end)

spec("what is no JSON is an error", function()
    for _, text in ipairs({
        "", " ", "{", "[1,", "[1 2]", '{"a"}', '{"a":}', "{1:2}", '"x', '"\\q"', '"\\u12"', "tru",
        "1 2", "nan", "0x10", "--1", "{}}", "inf", string.rep("[", 100000),
    }) do
        local read, value = pcall(json.decode, text)
        equal(read, false, text:sub(1, 20) .. " gave " .. tostring(value))
    end
end)

spec("what has no JSON is an error", function()
    equal(pcall(json.encode, print), false)
    equal(pcall(json.encode, nil), false)
end)

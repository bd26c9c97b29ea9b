/// What the parser takes and refuses, and that what is written reads back the same.
import JSON
import Testing

@Suite("JSON") struct JSONTests {
    static let valid: [(String, JSON)] = [
        ("null", .null), (" true\n", true), ("false", false), ("\"\"", ""), ("[]", []), ("{}", [:]),
        ("0", 0), ("-0", .number("-0")), ("12345678901234567890", .number("12345678901234567890")),
        ("1.50", .number("1.50")), ("1e999999", .number("1e999999")), ("-1.5E-07", .number("-1.5E-07")),
        (#""a\"\\\/\b\f\n\r\t\u0041\u00e9""#, "a\"\\/\u{8}\u{C}\n\r\tAé"), (#""\ud83d\ude00""#, "😀"), (#""\u0000""#, "\0"),
        ("\"é😀\"", "é😀"), ("[1, [2,{\"a\":null}]]", [1, [2, ["a": nil]]]),
        ("{\"b\":1,\"a\":[true]}", ["b": 1, "a": [true]]),
    ]

    @Test("valid texts are read, and written texts are read back", arguments: valid)
    func reads(text: String, value: JSON) throws {
        #expect(try JSON.parse(text) == value)
        #expect(try JSON.parse(value.bytes) == value)
    }

    static let invalid: [(String, JSONError.Reason, Int)] = [
        ("", .unexpectedEnd, 0), ("   ", .unexpectedEnd, 3), ("nul", .unexpectedEnd, 3), ("nule", .unexpectedByte, 0),
        ("01", .trailingBytes, 1), ("1 2", .trailingBytes, 2), ("+1", .unexpectedByte, 0), (".5", .unexpectedByte, 0),
        ("1.", .unexpectedEnd, 0), ("[1.]", .badNumber, 1), ("1e", .unexpectedEnd, 0), ("-", .unexpectedEnd, 0),
        ("NaN", .unexpectedByte, 0), ("'a'", .unexpectedByte, 0), ("[1,]", .unexpectedByte, 3), ("[1", .unexpectedEnd, 2),
        ("{\"a\":1,}", .unexpectedByte, 7), ("{a:1}", .unexpectedByte, 1), ("{\"a\" 1}", .unexpectedByte, 5),
        ("{\"a\":1,\"a\":2}", .duplicateName, 7), ("{\"a\":1,\"\\u0061\":2}", .duplicateName, 7),
        ("\"a", .unexpectedEnd, 2), ("\"a\nb\"", .controlCharacter, 2), (#""\x""#, .badEscape, 1), (#""\u12G4""#, .badEscape, 1),
        (#""\ud83d""#, .loneSurrogate, 1), (#""\ude00""#, .loneSurrogate, 1), (#""\ud83dA""#, .loneSurrogate, 1),
        (#""\ud83d\u0041""#, .loneSurrogate, 1), ("\u{FEFF}1", .unexpectedByte, 0), ("// c\n1", .unexpectedByte, 0),
    ]

    @Test("invalid texts are refused with the reason and the place", arguments: invalid)
    func refuses(text: String, reason: JSONError.Reason, offset: Int) {
        #expect { try JSON.parse(text) } throws: { error in
            guard let error = error as? JSONError else { return false }
            return error.reason == reason && error.offset == offset
        }
    }

    @Test(
        "bytes that are not UTF-8 are refused",
        arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82]])
    func badUTF8(bytes: [UInt8]) {
        for text in [[0x22] + bytes + [0x22], [0x22, 0x5C, 0x6E] + bytes + [0x22]] {
            #expect { try JSON.parse(text) } throws: { ($0 as? JSONError)?.reason == .badUTF8 }
        }
    }

    @Test("64 levels are read, 65 are refused, and a megabyte of brackets does not reach the stack's end")
    func depth() throws {
        func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        _ = try JSON.parse(nested(64))
        for depth in [65, 500_000] {
            #expect { try JSON.parse(nested(depth)) } throws: { ($0 as? JSONError)?.offset == 64 && ($0 as? JSONError)?.reason == .tooDeep }
        }
    }

    @Test("a duplicate name is found among many")
    func manyNames() throws {
        let names = (0..<5000).map { "\"n\($0)\":\($0)" }
        let object = try JSON.parse("{" + names.joined(separator: ",") + "}")
        #expect(object["n4999"] == 4999)
        #expect { try JSON.parse("{" + (names + ["\"n17\":1"]).joined(separator: ",") + "}") } throws: {
            ($0 as? JSONError)?.reason == .duplicateName
        }
    }

    @Test("control characters and quotes are escaped when written")
    func escapes() {
        #expect(JSON.string("\u{1}\u{1F}\"\\\n/é").text == #""\u0001\u001f\"\\\n/é""#)
    }

    @Test("the writer sets commas by itself")
    func writer() {
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("a", "x")
            writer.array("b") { writer in
                writer.number(1)
                writer.object { $0.field("c", true) }
                writer.beginArray()
                writer.endArray()
                writer.null()
            }
            writer.name("d\"")
            writer.number(text: "1.50")
            writer.field("e", Int64.min)
            writer.field("f", JSON.null)
            writer.name("g")
            writer.plainString { $0.append(contentsOf: "x".utf8) }
        }
        #expect(
            String(decoding: writer.bytes, as: UTF8.self)
                == #"{"a":"x","b":[1,{"c":true},[],null],"d\"":1.50,"e":-9223372036854775808,"f":null,"g":"x"}"#)
    }
}

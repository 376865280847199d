extension JSONParser {
    mutating func parseNumber() throws(JSONParseError) -> JSON {
        let start = cursor
        let isNegative = cursor.pointee == UInt8(ascii: "-")
        if isNegative { cursor += 1 }
        let digits = cursor
        var magnitude: UInt64 = 0
        while cursor < end, case let digit = cursor.pointee &- UInt8(ascii: "0"), digit < 10 {
            magnitude = magnitude &* 10 &+ UInt64(digit)
            cursor += 1
        }
        let count = cursor - digits
        guard count > 0 else { throw failure("a number needs a digit here") }
        if count > 1, digits.pointee == UInt8(ascii: "0") {
            throw failure("a number must not begin with a zero", at: start)
        }
        let isWhole = try !skipFractionAndExponent()
        if isWhole, count < 19 {
            return .integer(isNegative ? -Int64(magnitude) : Int64(magnitude))
        }
        let text = String(decoding: UnsafeBufferPointer(start: start, count: cursor - start), as: UTF8.self)
        if isWhole, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw failure("number out of range", at: start) }
        return .number(value)
    }

    /// Returns whether there was a fraction or an exponent.
    private mutating func skipFractionAndExponent() throws(JSONParseError) -> Bool {
        var found = false
        if cursor < end, cursor.pointee == UInt8(ascii: ".") {
            cursor += 1
            found = true
            try skipDigits()
        }
        if cursor < end, cursor.pointee | 0x20 == UInt8(ascii: "e") {
            cursor += 1
            found = true
            if cursor < end, cursor.pointee == UInt8(ascii: "+") || cursor.pointee == UInt8(ascii: "-") { cursor += 1 }
            try skipDigits()
        }
        return found
    }

    private mutating func skipDigits() throws(JSONParseError) {
        let start = cursor
        while cursor < end, cursor.pointee &- UInt8(ascii: "0") < 10 { cursor += 1 }
        if cursor == start { throw failure("a number needs a digit here") }
    }
}

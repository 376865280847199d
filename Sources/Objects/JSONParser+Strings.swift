extension JSONParser {
    /// Parses a string from its opening quote. `mark` is a cheap hash of the bytes, meaningful for keys only.
    @inline(__always)
    mutating func parseString(isKey: Bool) throws(JSONParseError) -> (text: String, mark: UInt64) {
        let open = cursor
        cursor += 1
        let start = cursor
        cursor = Self.skipPlain(from: cursor, to: end)
        guard cursor < end, cursor.pointee == UInt8(ascii: "\"") else { return try parseHardString(from: open) }
        let count = cursor - start
        cursor += 1
        let bytes = UnsafeBufferPointer(start: start, count: count)
        if !isKey { return (String(decoding: bytes, as: UTF8.self), 0) }
        guard count > 15 else {
            let mark = count == 0 ? 0 : UInt64(start[0]) &* 7 &+ UInt64(start[count - 1]) &* 3 &+ UInt64(count)
            return (String(decoding: bytes, as: UTF8.self), mark)
        }
        let mark = UInt64(start[0]) &* 7 &+ UInt64(start[count - 1]) &* 3 &+ UInt64(count)
        return (KnownKeys.shared.find(bytes) ?? String(decoding: bytes, as: UTF8.self), mark)
    }

    /// Goes over bytes that stand for themselves: ASCII other than quote, backslash and control characters.
    @inline(__always)
    static func skipPlain(from start: UnsafePointer<UInt8>, to end: UnsafePointer<UInt8>) -> UnsafePointer<
        UInt8
    > {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        var cursor = start
        while end - cursor >= 8 {
            let word = UInt64(littleEndian: UnsafeRawPointer(cursor).loadUnaligned(as: UInt64.self))
            let quote = word ^ (ones &* 0x22)
            let backslash = word ^ (ones &* 0x5C)
            let special =
                ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | (word &- ones &* 0x20) | word
            let found = special & highs
            if found != 0 { return cursor + found.trailingZeroBitCount / 8 }
            cursor += 8
        }
        while cursor < end {
            let byte = cursor.pointee
            if byte < 0x20 || byte >= 0x80 || byte == 0x22 || byte == 0x5C { return cursor }
            cursor += 1
        }
        return cursor
    }

    /// Parses a string that has escapes or is not ASCII. `cursor` is at the first such byte.
    private mutating func parseHardString(from open: UnsafePointer<UInt8>) throws(JSONParseError) -> (String, UInt64) {
        var bytes: [UInt8] = []
        var chunk = open + 1
        var mark = UInt64(truncatingIfNeeded: open[1 < end - open ? 1 : 0])
        while true {
            guard cursor < end else { throw failure("unterminated string", at: open) }
            let byte = cursor.pointee
            if byte == UInt8(ascii: "\"") { break }
            if byte < 0x20 { throw failure("control character in a string; write it as an escape") }
            if byte == UInt8(ascii: "\\") {
                bytes.append(contentsOf: UnsafeBufferPointer(start: chunk, count: cursor - chunk))
                try parseEscape(into: &bytes)
                chunk = cursor
                mark = 0
            } else {
                cursor += 1
            }
        }
        bytes.append(contentsOf: UnsafeBufferPointer(start: chunk, count: cursor - chunk))
        cursor += 1
        // A key with an escape may equal a plain one, so its mark must be the plain one's.
        mark = bytes.isEmpty ? 0 : UInt64(bytes[0]) &* 7 &+ UInt64(bytes[bytes.count - 1]) &* 3 &+ UInt64(bytes.count)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure("invalid UTF-8 in this string", at: open)
        }
        return (text, mark)
    }

    private mutating func parseEscape(into bytes: inout [UInt8]) throws(JSONParseError) {
        let start = cursor
        guard end - cursor >= 2 else { throw failure("unterminated string", at: start) }
        let kind = cursor[1]
        cursor += 2
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(kind)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0C)
        case UInt8(ascii: "n"): bytes.append(0x0A)
        case UInt8(ascii: "r"): bytes.append(0x0D)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "u"):
            var unit = try parseHexUnit(start)
            if unit & 0xFC00 == 0xD800, end - cursor >= 6, cursor[0] == UInt8(ascii: "\\"),
                cursor[1] == UInt8(ascii: "u")
            {
                cursor += 2
                let low = try parseHexUnit(start)
                guard low & 0xFC00 == 0xDC00 else { throw failure("half of a surrogate pair in an escape", at: start) }
                unit = 0x10000 + (unit & 0x3FF) << 10 + (low & 0x3FF)
            }
            guard let scalar = Unicode.Scalar(unit) else {
                throw failure("half of a surrogate pair in an escape", at: start)
            }
            bytes.append(contentsOf: UTF8.encode(scalar).map { Array($0) } ?? [])
        default: throw failure("unknown escape in a string", at: start)
        }
    }

    private mutating func parseHexUnit(_ start: UnsafePointer<UInt8>) throws(JSONParseError) -> UInt32 {
        guard end - cursor >= 4 else { throw failure("unterminated string", at: start) }
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Hex.value(of: cursor.pointee) else {
                throw failure("an escape needs four hexadecimal digits", at: start)
            }
            unit = unit << 4 | UInt32(digit)
            cursor += 1
        }
        return unit
    }
}

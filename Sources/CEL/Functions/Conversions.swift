import Objects

extension StandardFunctions {
    static let conversions: [Overload] =
        ["int", "uint", "double", "string", "bytes", "bool", "timestamp", "duration"].map {
            .unary("\($0)(\($0)): \($0)") { value throws(CELError) in value }
        } + integers + others + texts
        + [
            .unary("dyn(A): dyn") { value throws(CELError) in value },
            .unary("type(A): type(A)") { value throws(CELError) in .type(value.type) },
        ]

    private static let integers: [Overload] = [
        .unary("int(uint): int") { value throws(CELError) in
            guard case .uint(let value) = value else { throw .noSuchOverload }
            guard let integer = Int64(exactly: value) else { throw .integerOverflow }
            return .int(integer)
        },
        .unary("int(double): int") { value throws(CELError) in
            guard case .double(let value) = value else { throw .noSuchOverload }
            // The limits themselves are not exact in a double.
            guard value > -0x1p63, value < 0x1p63 else { throw .integerOverflow }
            return .int(Int64(value))
        },
        .unary("int(string): int") { value throws(CELError) in
            let text = try value.string()
            guard let integer = Int64(text) else { throw CELError("cannot convert string \"\(text)\" to int") }
            return .int(integer)
        },
        .unary("int(timestamp): int") { value throws(CELError) in .int(try value.timestamp().seconds) },
        .unary("int(duration): int") { value throws(CELError) in .int(try value.nanoseconds()) },
        .unary("uint(int): uint") { value throws(CELError) in
            guard let integer = UInt64(exactly: try value.int()) else { throw .unsignedOverflow }
            return .uint(integer)
        },
        .unary("uint(double): uint") { value throws(CELError) in
            guard case .double(let value) = value else { throw .noSuchOverload }
            guard value >= 0, value < 0x1p64 else { throw .unsignedOverflow }
            return .uint(UInt64(value))
        },
        .unary("uint(string): uint") { value throws(CELError) in
            let text = try value.string()
            guard let integer = UInt64(text) else { throw CELError("cannot convert string \"\(text)\" to uint") }
            return .uint(integer)
        },
    ]

    private static let others: [Overload] = [
        .unary("double(int): double") { value throws(CELError) in .double(Double(try value.int())) },
        .unary("double(uint): double") { value throws(CELError) in
            guard case .uint(let value) = value else { throw .noSuchOverload }
            return .double(Double(value))
        },
        .unary("double(string): double") { value throws(CELError) in
            let text = try value.string()
            guard let number = Double(text) else { throw CELError("cannot convert string \"\(text)\" to double") }
            return .double(number)
        },
        .unary("bytes(string): bytes", cost: .traversal(of: 0, times: 1)) { value throws(CELError) in
            .bytes(Array(try value.string().utf8))
        },
        .unary("bool(string): bool") { value throws(CELError) in
            switch try value.string() {
            case "1", "t", "T", "true", "TRUE", "True": return .bool(true)
            case "0", "f", "F", "false", "FALSE", "False": return .bool(false)
            case let text: throw CELError("cannot convert string \"\(text)\" to bool")
            }
        },
        .unary("timestamp(string): timestamp") { value throws(CELError) in
            let text = try value.string()
            guard let time = try? Timestamp(parsing: text), time.isInCalendar else {
                throw CELError("invalid timestamp: \(text)")
            }
            return .timestamp(time)
        },
        .unary("timestamp(int): timestamp") { value throws(CELError) in
            let time = Timestamp(seconds: try value.int())
            guard time.isInCalendar else { throw .timestampOverflow }
            return .timestamp(time)
        },
        .unary("duration(string): duration") { value throws(CELError) in
            let text = try value.string()
            guard let duration = try? GoDuration(parsing: text) else { throw CELError("invalid duration: \(text)") }
            return .duration(duration.nanoseconds)
        },
        .unary("duration(int): duration") { value throws(CELError) in .duration(try value.int()) },
    ]

    private static let texts: [Overload] =
        ["bool", "int", "uint", "double", "timestamp", "duration"].map {
            .unary("string(\($0)): string") { value throws(CELError) in .string(value.description) }
        } + [
            .unary("string(bytes): string", cost: .traversal(of: 0, times: 1)) { value throws(CELError) in
                guard case .bytes(let bytes) = value else { throw .noSuchOverload }
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw CELError("invalid UTF-8 in bytes, cannot convert to string")
                }
                return .string(text)
            }
        ]
}

/// A number or a text, such as a port's number or name, or a count or percentage of replicas.
public enum IntOrString: Sendable, Hashable {
    case integer(Int64)
    case string(String)

    public struct ScaleError: Error, Sendable, Hashable, CustomStringConvertible {
        public let text: String
        public var description: String {
            "invalid value for IntOrString: invalid type: string is not a percentage: \"\(text)\""
        }
    }

    /// Nil when the value is neither.
    public init?(_ value: JSON) {
        if let integer = value.integerValue {
            self = .integer(integer)
        } else if let text = value.stringValue {
            self = .string(text)
        } else {
            return nil
        }
    }

    public var json: JSON {
        switch self {
        case .integer(let value): .integer(value)
        case .string(let value): .string(value)
        }
    }

    /// The number itself, or the percentage of `total`, rounded up or down. Throws when a text is no percentage.
    public func scaled(total: Int64, roundingUp: Bool) throws(ScaleError) -> Int64 {
        switch self {
        case .integer(let value): return value
        case .string(let text):
            guard NameChecks.percent(text).isEmpty, let percent = Int64(text.dropLast()), percent < 1 << 31 else {
                throw ScaleError(text: text)
            }
            let product = Int128(percent) * Int128(total)
            return Int64(clamping: (product + (roundingUp ? 99 : 0)) / 100)
        }
    }
}

extension IntOrString: CustomStringConvertible {
    public var description: String {
        switch self {
        case .integer(let value): "\(value)"
        case .string(let value): value
        }
    }
}

import Glibc

/// A JSON value (RFC 8259), and with it any Kubernetes object: hostd keeps objects as trees of this type.
///
/// Integers that fit 64 bits stay integers; every other number is a double, and numbers compare by value. Strings compare by their bytes,
/// not by Unicode equivalence, because an object whose text changed its normal form has changed.
public enum JSON: Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSON])
    case object(JSONObject)
}

extension JSON: Hashable {
    public static func == (left: JSON, right: JSON) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.integer(let a), .integer(let b)): a == b
        case (.number(let a), .number(let b)): a == b
        case (.integer(let a), .number(let b)), (.number(let b), .integer(let a)): Int64(exactly: b) == a
        case (.string(let a), .string(let b)): a.hasSameBytes(as: b)
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)): a == b
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0 as UInt8)
        case .bool(let value): hasher.combine(value)
        case .integer(let value): hasher.combine(value)
        case .number(let value):
            if let integer = Int64(exactly: value) { hasher.combine(integer) } else { hasher.combine(value) }
        case .string(let value): value.hashBytes(into: &hasher)
        case .array(let elements): hasher.combine(elements)
        case .object(let object): hasher.combine(object)
        }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
    ExpressibleByStringInterpolation
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }

    /// A later duplicate of a key replaces the earlier one.
    public init(dictionaryLiteral members: (String, JSON)...) { self = .object(JSONObject(members)) }
}

extension JSON {
    /// Wraps a string that is not a literal.
    public init(_ value: String) { self = .string(value) }
    public init(_ value: Substring) { self = .string(String(value)) }
    public init(_ value: Bool) { self = .bool(value) }
    public init(_ value: some BinaryInteger) { self = .integer(Int64(clamping: value)) }
    public init(_ value: Double) { self = .number(value) }
    public init(_ value: [JSON]) { self = .array(value) }
    public init(_ value: [String]) { self = .array(value.map { .string($0) }) }
    public init(_ value: JSONObject) { self = .object(value) }
}

extension String {
    /// Equality of the UTF-8 bytes, unlike `==`, which finds canonically equivalent text equal.
    @inline(__always)
    func hasSameBytes(as other: String) -> Bool {
        // Equal representations are equal texts: the same small string, or the same storage.
        let own = unsafeBitCast(self, to: (UInt64, UInt64).self)
        let foreign = unsafeBitCast(other, to: (UInt64, UInt64).self)
        if own == foreign { return true }
        // The library's comparison is quick where it fails, which is where it is nearly always asked.
        return self == other && hasSameStorage(as: other)
    }

    @inline(never)
    private func hasSameStorage(as other: String) -> Bool {
        guard utf8.count == other.utf8.count else { return false }
        let same = utf8.withContiguousStorageIfAvailable { left in
            other.utf8.withContiguousStorageIfAvailable { right in
                guard let first = left.baseAddress, let second = right.baseAddress else { return true }
                return memcmp(first, second, left.count) == 0
            }
        }
        return (same ?? nil) ?? utf8.elementsEqual(other.utf8)
    }

    func hashBytes(into hasher: inout Hasher) {
        var copy = self
        copy.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    /// Order of the UTF-8 bytes, which is the order that Kubernetes (Go) sorts strings in.
    public func precedesByBytes(_ other: String) -> Bool {
        let precedes = utf8.withContiguousStorageIfAvailable { left in
            other.utf8.withContiguousStorageIfAvailable { right in
                guard let first = left.baseAddress, let second = right.baseAddress else {
                    return left.count < right.count
                }
                let order = memcmp(first, second, min(left.count, right.count))
                return order == 0 ? left.count < right.count : order < 0
            }
        }
        return (precedes ?? nil) ?? utf8.lexicographicallyPrecedes(other.utf8)
    }
}

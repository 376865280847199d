import Glibc
import PluginAPI

/// A label selector tested against index bytes ("name\0value\0…"), without making strings.
struct IndexSelector: Sendable {
    enum Test: Sendable, Equatable {
        case among([[UInt8]])
        case notAmong([[UInt8]])
        case exists
        case absent
        case above(Int64)
        case below(Int64)
    }

    struct Requirement: Sendable, Equatable {
        var name: [UInt8]
        var test: Test
    }

    let requirements: [Requirement]

    /// The empty selector matches everything.
    var isEmpty: Bool { requirements.isEmpty }

    /// The requirement "name is value" that narrows best: fields (which begin with a dot) first.
    var equality: (name: [UInt8], value: [UInt8])? {
        var found: (name: [UInt8], value: [UInt8])?
        for requirement in requirements {
            guard case .among(let values) = requirement.test, values.count == 1 else { continue }
            if requirement.name.first == UInt8(ascii: ".") { return (requirement.name, values[0]) }
            if found == nil { found = (requirement.name, values[0]) }
        }
        return found
    }

    func matches(_ record: Record) -> Bool {
        if requirements.isEmpty { return true }
        let index = record.index
        return requirements.allSatisfy { Self.satisfies($0, index) }
    }

    private static func satisfies(_ requirement: Requirement, _ index: UnsafeRawBufferPointer) -> Bool {
        let value = IndexPairs(index).value(of: requirement.name)
        switch requirement.test {
        case .exists: return value != nil
        case .absent: return value == nil
        case .among(let values): return value.map { value in values.contains { equal($0, value) } } ?? false
        case .notAmong(let values): return value.map { value in !values.contains { equal($0, value) } } ?? true
        case .above(let bound): return value.flatMap(number).map { $0 > bound } ?? false
        case .below(let bound): return value.flatMap(number).map { $0 < bound } ?? false
        }
    }

    private static func equal(_ left: [UInt8], _ right: UnsafeRawBufferPointer) -> Bool {
        left.count == right.count
            && left.withUnsafeBytes { left.isEmpty || memcmp($0.baseAddress!, right.baseAddress!, left.count) == 0 }
    }

    private static func number(_ bytes: UnsafeRawBufferPointer) -> Int64? { Int64(bytes.text) }
}

/// The pairs of an index, in place.
struct IndexPairs: Sequence, IteratorProtocol {
    private var rest: UnsafeRawBufferPointer

    init(_ index: UnsafeRawBufferPointer) { rest = index }

    mutating func next() -> (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)? {
        guard let name = part(), let value = part() else { return nil }
        return (name, value)
    }

    private mutating func part() -> UnsafeRawBufferPointer? {
        guard let start = rest.baseAddress, rest.count > 0, let end = memchr(start, 0, rest.count) else { return nil }
        let size = UnsafeRawPointer(end) - start
        rest = UnsafeRawBufferPointer(start: start + size + 1, count: rest.count - size - 1)
        return UnsafeRawBufferPointer(start: start, count: size)
    }

    func value(of name: [UInt8]) -> UnsafeRawBufferPointer? {
        name.withUnsafeBytes { wanted in
            for (name, value) in self
            where name.count == wanted.count && memcmp(name.baseAddress!, wanted.baseAddress!, name.count) == 0 {
                return value
            }
            return nil
        }
    }
}

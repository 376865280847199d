import Objects

extension StandardFunctions {
    static let arithmetic: [Overload] =
        numbers("_+_", .integerOverflow, { $0.addingReportingOverflow($1) }, { $0.addingReportingOverflow($1) }) {
            $0 + $1
        }
        + numbers(
            "_-_", .integerOverflow, { $0.subtractingReportingOverflow($1) }, { $0.subtractingReportingOverflow($1) }
        ) {
            $0 - $1
        }
        + numbers(
            "_*_", .integerOverflow, { $0.multipliedReportingOverflow(by: $1) },
            { $0.multipliedReportingOverflow(by: $1) }
        ) {
            $0 * $1
        }
        + division + concatenation + timeArithmetic
        + [
            .unary("-_(int): int") { value throws(CELError) in
                let value = try value.int()
                guard value != .min else { throw .integerOverflow }
                return .int(-value)
            },
            .unary("-_(double): double") { value throws(CELError) in
                guard case .double(let value) = value else { throw .noSuchOverload }
                return .double(-value)
            },
        ]

    private typealias Checked<Integer> = @Sendable (Integer, Integer) -> (partialValue: Integer, overflow: Bool)

    private static func numbers(
        _ function: String, _ overflow: CELError, _ signed: @escaping Checked<Int64>,
        _ unsigned: @escaping Checked<UInt64>, _ floating: @escaping @Sendable (Double, Double) -> Double
    ) -> [Overload] {
        [
            .binary("\(function)(int, int): int") { left, right throws(CELError) in
                let (result, overflow) = signed(try left.int(), try right.int())
                if overflow { throw .integerOverflow }
                return .int(result)
            },
            .binary("\(function)(uint, uint): uint") { left, right throws(CELError) in
                guard case .uint(let left) = left, case .uint(let right) = right else { throw .noSuchOverload }
                let (result, overflow) = unsigned(left, right)
                if overflow { throw .unsignedOverflow }
                return .uint(result)
            },
            .binary("\(function)(double, double): double") { left, right throws(CELError) in
                guard case .double(let left) = left, case .double(let right) = right else { throw .noSuchOverload }
                return .double(floating(left, right))
            },
        ]
    }

    private static let division: [Overload] = [
        .binary("_/_(int, int): int") { left, right throws(CELError) in
            let (dividend, divisor) = (try left.int(), try right.int())
            guard divisor != 0 else { throw CELError("division by zero") }
            let (result, overflow) = dividend.dividedReportingOverflow(by: divisor)
            if overflow { throw .integerOverflow }
            return .int(result)
        },
        .binary("_/_(uint, uint): uint") { left, right throws(CELError) in
            guard case .uint(let left) = left, case .uint(let right) = right else { throw .noSuchOverload }
            guard right != 0 else { throw CELError("division by zero") }
            return .uint(left / right)
        },
        .binary("_/_(double, double): double") { left, right throws(CELError) in
            guard case .double(let left) = left, case .double(let right) = right else { throw .noSuchOverload }
            return .double(left / right)
        },
        .binary("_%_(int, int): int") { left, right throws(CELError) in
            let (dividend, divisor) = (try left.int(), try right.int())
            guard divisor != 0 else { throw CELError("modulus by zero") }
            let (result, overflow) = dividend.remainderReportingOverflow(dividingBy: divisor)
            if overflow { throw .integerOverflow }
            return .int(result)
        },
        .binary("_%_(uint, uint): uint") { left, right throws(CELError) in
            guard case .uint(let left) = left, case .uint(let right) = right else { throw .noSuchOverload }
            guard right != 0 else { throw CELError("modulus by zero") }
            return .uint(left % right)
        },
    ]

    private static let concatenation: [Overload] = [
        .binary("_+_(string, string): string", cost: .both) { left, right throws(CELError) in
            .string(try left.string() + (try right.string()))
        },
        .binary("_+_(bytes, bytes): bytes", cost: .both) { left, right throws(CELError) in
            guard case .bytes(let left) = left, case .bytes(let right) = right else { throw .noSuchOverload }
            return .bytes(left + right)
        },
        .binary("_+_(list(A), list(A)): list(A)") { left, right throws(CELError) in
            guard case .list(let left) = left, case .list(let right) = right else { throw .noSuchOverload }
            return .list(try left.joined(right))
        },
    ]

    private static let timeArithmetic: [Overload] = [
        .binary("_+_(duration, duration): duration") { left, right throws(CELError) in
            let (sum, overflow) = try left.nanoseconds().addingReportingOverflow(try right.nanoseconds())
            if overflow { throw .durationOverflow }
            return .duration(sum)
        },
        .binary("_+_(timestamp, duration): timestamp") { time, duration throws(CELError) in
            try .moved(try time.timestamp(), by: try duration.nanoseconds())
        },
        .binary("_+_(duration, timestamp): timestamp") { duration, time throws(CELError) in
            try .moved(try time.timestamp(), by: try duration.nanoseconds())
        },
        .binary("_-_(duration, duration): duration") { left, right throws(CELError) in
            let (difference, overflow) = try left.nanoseconds().subtractingReportingOverflow(try right.nanoseconds())
            if overflow { throw .durationOverflow }
            return .duration(difference)
        },
        .binary("_-_(timestamp, duration): timestamp") { time, duration throws(CELError) in
            let nanoseconds = try duration.nanoseconds()
            guard nanoseconds != .min else { throw .durationOverflow }
            return try .moved(try time.timestamp(), by: -nanoseconds)
        },
        .binary("_-_(timestamp, timestamp): duration") { left, right throws(CELError) in
            let difference = try left.timestamp().nanoseconds(since: try right.timestamp())
            guard difference != .max, difference != .min else { throw .durationOverflow }
            return .duration(difference)
        },
    ]
}

extension CELValue {
    func nanoseconds() throws(CELError) -> Int64 {
        guard case .duration(let value) = self else { throw .noSuchOverload }
        return value
    }

    fileprivate static func moved(_ time: Timestamp, by nanoseconds: Int64) throws(CELError) -> CELValue {
        let moved = time.adding(nanoseconds: nanoseconds)
        guard moved.isInCalendar else { throw .timestampOverflow }
        return .timestamp(moved)
    }
}

extension Timestamp {
    /// Whether this is in the years 1 to 9999, which CEL's timestamps are.
    var isInCalendar: Bool { (-62_135_596_800...253_402_300_799).contains(seconds) }
}

extension CELList {
    /// Both lists' elements. What the left list says of its elements' identity holds: a set keeps each once, and in a map
    /// an element of the right replaces the left's with the same keys.
    func joined(_ other: CELList) throws(CELError) -> CELList {
        switch kind {
        case .atomic: return .values(try elements() + (try other.elements()))
        case .set:
            var elements = try self.elements()
            for candidate in try other.elements() {
                var isKnown = false
                for element in elements where try element.equals(candidate) { isKnown = true }
                if !isKnown { elements.append(candidate) }
            }
            return .values(elements)
        case .map(let keys):
            var elements = try self.elements()
            for candidate in try other.elements() {
                var place: Int?
                for (index, element) in elements.enumerated() where try element.hasSameFields(keys, as: candidate) {
                    place = index
                }
                if let place { elements[place] = candidate } else { elements.append(candidate) }
            }
            return .values(elements)
        }
    }
}

extension CELValue {
    fileprivate func hasSameFields(_ names: [String], as other: CELValue) throws(CELError) -> Bool {
        guard case .map(let left) = self, case .map(let right) = other else { return false }
        for name in names {
            let first = try left.rawValue(.string(name))
            let second = try right.rawValue(.string(name))
            guard let first, let second else {
                if first == nil, second == nil { continue }
                return false
            }
            if try !first.equals(second) { return false }
        }
        return true
    }
}

/// CEL's own operators and functions.
/// See https://github.com/google/cel-spec/blob/master/doc/langdef.md#list-of-standard-definitions.
enum StandardFunctions {
    static let overloads: [Overload] =
        logic + comparison + arithmetic + strings + conversions + times + optionals

    private static let logic: [Overload] = [
        .unary("!_(bool): bool") { value throws(CELError) in .bool(!(try value.bool())) },
        .variadic("_?_:_(bool, A, A): A") { values throws(CELError) in try values[0].bool() ? values[1] : values[2] },
        .unary("@not_strictly_false(bool): bool") { value throws(CELError) in value },
        .binary("_[_](list(A), int): A") { list, index throws(CELError) in try Selection.element(index, of: list) },
        .binary("_[_](map(A, B), A): B") { map, key throws(CELError) in try Selection.element(key, of: map) },
        .binary("@in(A, list(A)): bool", cost: .elements(of: 1)) { value, list throws(CELError) in
            guard case .list(let list) = list else { throw .noSuchOverload }
            for index in 0..<list.count where try list.element(index).equals(value) { return .bool(true) }
            return .bool(false)
        },
        .binary("@in(A, map(A, B)): bool") { key, map throws(CELError) in
            guard case .map(let map) = map else { throw .noSuchOverload }
            return .bool(try map.value(key) != nil)
        },
        .variadic("cel.@mapInsert(map(A, B), A, B): map(A, B)") { values throws(CELError) in
            var map = try values[0].dictionary()
            try map.insert(values[2], for: values[1])
            return .map(.values(map))
        },
        .binary("cel.@mapInsert(map(A, B), map(A, B)): map(A, B)") { map, added throws(CELError) in
            var map = try map.dictionary()
            let added = try added.dictionary()
            for (key, value) in zip(added.keys, added.values) { try map.insert(value, for: key) }
            return .map(.values(map))
        },
    ]

    private static let comparison: [Overload] =
        [
            .binary("_==_(A, A): bool", cost: .smaller) { left, right throws(CELError) in .bool(try left.equals(right))
            },
            .binary("_!=_(A, A): bool", cost: .smaller) { left, right throws(CELError) in
                .bool(!(try left.equals(right)))
            },
        ] + ordering("_<_") { $0 == .less } + ordering("_<=_") { $0 == .less || $0 == .equal }
        + ordering("_>_") { $0 == .greater } + ordering("_>=_") { $0 == .greater || $0 == .equal }

    private static func ordering(
        _ function: String, _ holds: @escaping @Sendable (CELValue.Order) -> Bool
    ) -> [Overload] {
        let numbers = ["int", "uint", "double"]
        let pairs = numbers.flatMap { left in numbers.map { (left, $0) } }
        let same = ["bool", "string", "bytes", "timestamp", "duration"].map { ($0, $0) }
        return (pairs + same).map { left, right in
            let isText = left == "string" || left == "bytes"
            return .binary("\(function)(\(left), \(right)): bool", cost: isText ? .smaller : .one) {
                left, right throws(CELError) in .bool(holds(try left.order(right)))
            }
        }
    }

    private static let optionals: [Overload] = [
        .binary("_[?_](list(A), int): optional(A)") { list, index throws(CELError) in
            Selection.optional(try Selection.optionalElement(index, of: list))
        },
        .binary("_[?_](optional(list(A)), int): optional(A)") { list, index throws(CELError) in
            Selection.optional(try Selection.optionalElement(index, of: list))
        },
        .binary("_[?_](map(A, B), A): optional(B)") { map, key throws(CELError) in
            Selection.optional(try Selection.optionalElement(key, of: map))
        },
        .binary("_[?_](optional(map(A, B)), A): optional(B)") { map, key throws(CELError) in
            Selection.optional(try Selection.optionalElement(key, of: map))
        },
        .binary("_[_](optional(list(A)), int): optional(A)") { list, index throws(CELError) in
            try Selection.element(index, of: list)
        },
        .binary("_[_](optional(map(A, B)), A): optional(B)") { map, key throws(CELError) in
            try Selection.element(key, of: map)
        },
        .unary("optional.of(A): optional(A)") { value throws(CELError) in .optional(value) },
        .variadic("optional.none(): optional(A)") { _ throws(CELError) in .optional(nil) },
        .unary("optional.ofNonZeroValue(A): optional(A)") { value throws(CELError) in
            .optional(value.isZero ? nil : value)
        },
        .unary("optional(A) . hasValue(): bool") { value throws(CELError) in .bool(try value.wrapped() != nil) },
        .unary("optional(A) . value(): A") { value throws(CELError) in
            guard let wrapped = try value.wrapped() else { throw CELError("optional.none() dereference") }
            return wrapped
        },
        .binary("optional(A) . or(optional(A)): optional(A)") { value, other throws(CELError) in
            try value.wrapped() != nil ? value : other
        },
        .binary("optional(A) . orValue(A): A") { value, other throws(CELError) in try value.wrapped() ?? other },
        .variadic("optional.unwrap(list(optional(A))): list(A)") { values throws(CELError) in
            .list(.values(try values[0].present()))
        },
        .unary("list(optional(A)) . unwrapOpt(): list(A)") { list throws(CELError) in .list(.values(try list.present()))
        },
    ]
}

extension CELValue {
    /// The values in a list of optionals that are there.
    fileprivate func present() throws(CELError) -> [CELValue] {
        var present: [CELValue] = []
        for element in try elements() {
            if let wrapped = try element.wrapped() { present.append(wrapped) }
        }
        return present
    }

    fileprivate var isZero: Bool {
        switch self {
        case .null, .optional(nil): true
        case .bool(let value): !value
        case .int(let value): value == 0
        case .uint(let value): value == 0
        case .double(let value): value == 0
        case .string(let value): value.isEmpty
        case .bytes(let value): value.isEmpty
        case .list(let list): list.count == 0
        case .map(let map): map.count == 0
        case .duration(let value): value == 0
        case .timestamp, .type, .opaque, .optional: false
        }
    }
}

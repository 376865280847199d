extension CELLibrary {
    /// `isSorted`, `sum`, `min`, `max`, `indexOf`, `lastIndexOf` of lists.
    public static let lists = CELLibrary("lists", sorting + sums + positions)

    private static let ordered = ["int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"]

    private static let sorting: [Overload] = ordered.flatMap { type -> [Overload] in
        [
            .unary("list(\(type)) . isSorted(): bool", cost: .listTraversal) { list throws(CELError) in
                let elements = try list.elements()
                for (left, right) in zip(elements, elements.dropFirst()) where try left.order(right) == .greater {
                    return .bool(false)
                }
                return .bool(true)
            },
            .unary("list(\(type)) . min(): \(type)", cost: .listTraversal) { list throws(CELError) in
                try extreme(list, "min", .less)
            },
            .unary("list(\(type)) . max(): \(type)", cost: .listTraversal) { list throws(CELError) in
                try extreme(list, "max", .greater)
            },
        ]
    }

    private static func extreme(
        _ list: CELValue, _ function: String, _ wanted: CELValue.Order
    ) throws(CELError) -> CELValue {
        let elements = try list.elements()
        guard var best = elements.first else { throw CELError("\(function) called on empty list") }
        for element in elements.dropFirst() where try element.order(best) == wanted { best = element }
        return best
    }

    private static let sums: [Overload] = [
        ("int", CELValue.int(0)), ("uint", .uint(0)), ("double", .double(0)), ("duration", .duration(0)),
    ].map { (type: String, zero: CELValue) in
        .unary("list(\(type)) . sum(): \(type)", cost: .listTraversal) { list throws(CELError) in
            var sum = zero
            for element in try list.elements() { sum = try added(sum, element) }
            return sum
        }
    }

    private static func added(_ left: CELValue, _ right: CELValue) throws(CELError) -> CELValue {
        let result: (value: CELValue, overflow: Bool)
        switch (left, right) {
        case (.int(let left), .int(let right)):
            let sum = left.addingReportingOverflow(right)
            result = (.int(sum.partialValue), sum.overflow)
        case (.uint(let left), .uint(let right)):
            let sum = left.addingReportingOverflow(right)
            result = (.uint(sum.partialValue), sum.overflow)
        case (.duration(let left), .duration(let right)):
            let sum = left.addingReportingOverflow(right)
            result = (.duration(sum.partialValue), sum.overflow)
        case (.double(let left), .double(let right)): result = (.double(left + right), false)
        default: throw .noSuchOverload
        }
        if result.overflow { throw .integerOverflow }
        return result.value
    }

    private static let positions: [Overload] = [
        .binary("list(A) . indexOf(A): int", cost: .listTraversal) { list, wanted throws(CELError) in
            for (index, element) in try list.elements().enumerated() where try element.equals(wanted) {
                return .int(Int64(index))
            }
            return .int(-1)
        },
        .binary("list(A) . lastIndexOf(A): int", cost: .listTraversal) { list, wanted throws(CELError) in
            for (index, element) in try list.elements().enumerated().reversed() where try element.equals(wanted) {
                return .int(Int64(index))
            }
            return .int(-1)
        },
    ]
}

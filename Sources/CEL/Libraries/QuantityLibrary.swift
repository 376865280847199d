import Objects

/// An amount of an expression.
struct CELQuantity: CELOpaque {
    static let typeName = "kubernetes.Quantity"
    let quantity: Quantity

    var typeName: String { Self.typeName }
    var text: String? { quantity.description }

    func equals(_ other: any CELOpaque) -> Bool { (other as? CELQuantity)?.quantity == quantity }
}

extension CELLibrary {
    /// `quantity` and what it can be asked.
    public static let quantities = CELLibrary("quantities", quantityMaking + quantityParts + quantityArithmetic)

    private static let quantityMaking: [Overload] = [
        .unary("quantity(string): kubernetes.Quantity", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            do {
                return .opaque(CELQuantity(quantity: try Quantity(parsing: try text.string())))
            } catch let error as Quantity.ParseError {
                throw CELError("\(error)")
            } catch {
                throw .noSuchOverload
            }
        },
        .unary("isQuantity(string): bool", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            .bool((try? Quantity(parsing: try text.string())) != nil)
        },
    ]

    private static func quantity(_ value: CELValue) throws(CELError) -> Quantity {
        if case .int(let value) = value { return Quantity(value) }
        return try value.opaque(CELQuantity.self).quantity
    }

    /// A quantity that is a whole number. One beyond 64 bits is not, although its value is cut to the largest there is.
    private static func integer(_ quantity: Quantity) -> Int64? {
        guard quantity.isWhole, let integer = Int64(exactly: quantity.nanoValue / 1_000_000_000) else { return nil }
        return integer.magnitude < Int64.max.magnitude ? integer : nil
    }

    private static let quantityParts: [Overload] = [
        .unary("kubernetes.Quantity . isInteger(): bool") { value throws(CELError) in
            .bool(integer(try quantity(value)) != nil)
        },
        .unary("kubernetes.Quantity . asInteger(): int") { value throws(CELError) in
            guard let integer = integer(try quantity(value)) else {
                throw CELError("cannot convert value to integer")
            }
            return .int(integer)
        },
        .unary("kubernetes.Quantity . asApproximateFloat(): double") { value throws(CELError) in
            .double(Double(try quantity(value).nanoValue) / 1e9)
        },
        .unary("kubernetes.Quantity . sign(): int") { value throws(CELError) in
            .int(Int64(try quantity(value).nanoValue.signum()))
        },
        .binary("kubernetes.Quantity . isGreaterThan(kubernetes.Quantity): bool") { left, right throws(CELError) in
            .bool(try quantity(left) > (try quantity(right)))
        },
        .binary("kubernetes.Quantity . isLessThan(kubernetes.Quantity): bool") { left, right throws(CELError) in
            .bool(try quantity(left) < (try quantity(right)))
        },
        .binary("kubernetes.Quantity . compareTo(kubernetes.Quantity): int") { left, right throws(CELError) in
            let (left, right) = (try quantity(left), try quantity(right))
            return .int(left < right ? -1 : left == right ? 0 : 1)
        },
    ]

    private static let quantityArithmetic: [Overload] = ["kubernetes.Quantity", "int"].flatMap { other -> [Overload] in
        [
            .binary("kubernetes.Quantity . add(\(other)): kubernetes.Quantity") { left, right throws(CELError) in
                .opaque(CELQuantity(quantity: try quantity(left) + (try quantity(right))))
            },
            .binary("kubernetes.Quantity . sub(\(other)): kubernetes.Quantity") { left, right throws(CELError) in
                .opaque(CELQuantity(quantity: try quantity(left) - (try quantity(right))))
            },
        ]
    }
}

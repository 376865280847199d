extension CELLibrary {
    /// `sets.contains`, `sets.equivalent`, `sets.intersects`.
    public static let sets = CELLibrary(
        "sets",
        [
            .binary("sets.contains(list(A), list(A)): bool", cost: .setProduct) { list, part throws(CELError) in
                .bool(try containsAll(try list.elements(), try part.elements()))
            },
            .binary("sets.equivalent(list(A), list(A)): bool", cost: .setProduct) { left, right throws(CELError) in
                let (left, right) = (try left.elements(), try right.elements())
                guard try containsAll(left, right) else { return .bool(false) }
                return .bool(try containsAll(right, left))
            },
            .binary("sets.intersects(list(A), list(A)): bool", cost: .setProduct) { left, right throws(CELError) in
                let right = try right.elements()
                for element in try left.elements() where try contains(right, element) { return .bool(true) }
                return .bool(false)
            },
        ])

    private static func containsAll(_ list: [CELValue], _ part: [CELValue]) throws(CELError) -> Bool {
        for element in part where try !contains(list, element) { return false }
        return true
    }

    private static func contains(_ list: [CELValue], _ wanted: CELValue) throws(CELError) -> Bool {
        for element in list where try element.equals(wanted) { return true }
        return false
    }
}

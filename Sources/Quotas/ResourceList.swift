import Objects

/// Quantities by the names of resources, as `requests`, `limits`, `hard` and `used` hold them.
public struct ResourceList: Sendable, Equatable {
    public private(set) var amounts: [String: Quantity]

    public init(_ amounts: [String: Quantity] = [:]) { self.amounts = amounts }

    /// - Parameter json: an object such as {"cpu": "100m"}; null is an empty list. What is no quantity is left out: stored
    ///   objects have none such.
    public init(_ json: JSON) {
        amounts = [:]
        for (name, value) in json.objectValue ?? [:] {
            if let quantity = try? Quantity(value) { amounts[name] = quantity }
        }
    }

    public var json: JSON { .object(JSONObject(names.map { ($0, .string(amounts[$0]?.description ?? "0")) })) }
    public var isEmpty: Bool { amounts.isEmpty }
    /// In alphabetical order.
    public var names: [String] { amounts.keys.sorted() }

    public subscript(name: String) -> Quantity? {
        get { amounts[name] }
        set { amounts[name] = newValue }
    }

    public static func + (left: ResourceList, right: ResourceList) -> ResourceList {
        ResourceList(left.amounts.merging(right.amounts) { $0 + $1 })
    }

    /// What is more than in `other`; nothing is less than zero.
    public func excess(over other: ResourceList) -> ResourceList {
        ResourceList(
            Dictionary(
                uniqueKeysWithValues: amounts.map { name, amount in
                    let rest = amount - (other[name] ?? .zero)
                    return (name, rest.isNegative ? .zero : rest)
                }))
    }

    /// The greater of both for each name.
    public func raised(to other: ResourceList) -> ResourceList {
        ResourceList(amounts.merging(other.amounts) { max($0, $1) })
    }

    public func masked(by names: some Collection<String>) -> ResourceList {
        let wanted = Set(names)
        return ResourceList(amounts.filter { wanted.contains($0.key) })
    }

    public var withoutZeros: ResourceList { ResourceList(amounts.filter { !$0.value.isZero }) }

    /// The names of which there is more here than there; what has no limit there is within it.
    public func exceeding(_ limits: ResourceList) -> [String] {
        names.filter { name in
            guard let amount = amounts[name], let limit = limits[name] else { return false }
            return amount > limit
        }
    }

    /// "cpu=1,memory=2Gi", as refusals show it.
    public var text: String { names.map { "\($0)=\(amounts[$0]?.description ?? "0")" }.joined(separator: ",") }
}

import Objects

/// What expressions that select devices know of one: its driver and, by domain and name, its attributes and capacities.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/.
public enum CELDevice {
    /// The variable `device`.
    public static let environment = CELEnvironment(variables: [.init("device", CELSchema(.object(type)))])

    private static let type = CELObjectType(
        name: "kubernetes.DRADevice",
        fields: [
            "driver": field("driver", CELSchema(.string, maximumSize: 63)),
            "attributes": field("attributes", byDomain(CELSchema(.dyn, maximumSize: 64))),
            "capacity": field("capacity", byDomain(CELSchema(.value(.opaque(CELQuantity.typeName)), maximumSize: 1))),
            "allowMultipleAllocations": field("allowMultipleAllocations", CELSchema(.bool)),
        ])

    private static func field(_ name: String, _ schema: CELSchema) -> CELObjectType.Field {
        CELObjectType.Field(jsonName: name, schema: schema)
    }

    private static func byDomain(_ value: CELSchema) -> CELSchema {
        CELSchema(.map(CELSchema(.map(value), maximumSize: 32)), maximumSize: 32)
    }

    /// A device of a slice as expressions see it.
    /// - Throws: for an attribute or a capacity that does not mean anything.
    public static func value(_ device: JSON, driver: String) throws(CELError) -> CELValue {
        var attributes = Domains()
        for (name, attribute) in device["attributes"].objectValue ?? [:] {
            try attributes.insert(value(of: attribute), name, driver: driver)
        }
        var capacity = Domains()
        for (name, amount) in device["capacity"].objectValue ?? [:] {
            let quantity: Quantity
            do throws(Quantity.ParseError) { quantity = try Quantity(amount["value"]) } catch {
                throw CELError("capacity \(name): \(error)")
            }
            try capacity.insert(.opaque(CELQuantity(quantity: quantity)), name, driver: driver)
        }
        return .map(
            .lazy(
                Device(
                    driver: driver, attributes: attributes, capacity: capacity,
                    isShared: device["allowMultipleAllocations"].boolValue ?? false)))
    }

    private static func value(of attribute: JSON) throws(CELError) -> CELValue {
        if let version = attribute["version"].stringValue {
            return .opaque(try CELVersion(parsing: version, isLenient: false))
        }
        let kinds = ["bool", "int", "string", "bools", "ints", "strings"]
        guard let kind = kinds.first(where: { attribute[$0].exists }) else {
            throw CELError("unsupported attribute value")
        }
        return CELValue(natural: attribute[kind])
    }
}

private struct Device: CELLazyObject {
    let driver: String
    let attributes: Domains
    let capacity: Domains
    let isShared: Bool
    let typeName = "kubernetes.DRADevice"
    let fieldNames = ["driver", "attributes", "capacity", "allowMultipleAllocations"]

    func value(of field: String) throws(CELError) -> CELValue? {
        switch field {
        case "driver": .string(driver)
        case "attributes": .map(.lazy(attributes))
        case "capacity": .map(.lazy(capacity))
        case "allowMultipleAllocations": .bool(isShared)
        default: nil
        }
    }
}

/// Values by domain and name. A domain of which there is nothing is an empty one, so that expressions need not ask for it.
private struct Domains: CELLazyObject {
    private var domains: [String: CELDictionary] = [:]
    let typeName = "map"
    var fieldNames: [String] { domains.keys.sorted() }

    func value(of field: String) throws(CELError) -> CELValue? { .map(.values(domains[field] ?? CELDictionary())) }

    /// A name without a domain is of the driver's.
    mutating func insert(_ value: CELValue, _ name: String, driver: String) throws(CELError) {
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        let (domain, name) = parts.count == 2 ? (parts[0], parts[1]) : (driver, name)
        // Given both ways, it is there once.
        guard domains[domain]?[.string(name)] == nil else { return }
        try domains[domain, default: CELDictionary()].insert(value, for: .string(name))
    }
}

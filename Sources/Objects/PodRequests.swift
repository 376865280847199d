/// What a pod asks of a node, as Kubernetes counts it: the greater of the sum over containers and the greatest step of
/// initialisation, restartable init containers (sidecars) running on, plus the overhead. A missing request is its limit.
public struct PodRequests: Sendable, Equatable {
    /// Thousandths of a core.
    public var milliCPU: Int64 = 0
    /// Bytes.
    public var memory: Int64 = 0
    /// Bytes.
    public var ephemeralStorage: Int64 = 0
    /// Everything else by resource name, such as "nvidia.com/gpu".
    public var extended: [String: Int64] = [:]

    public init() {}

    /// Whether a resource has a field of its own here, or is no resource that pods use up.
    public static func isBasic(_ resource: String) -> Bool {
        resource == "cpu" || resource == "memory" || resource == "ephemeral-storage" || resource == "pods"
    }

    /// - Parameter pod: a Pod object.
    /// - Throws: the error of a quantity that does not parse.
    public init(pod: JSON) throws {
        let spec = pod["spec"]
        for container in spec["containers"].arrayValue { self.add(try PodRequests(container: container)) }
        var sidecars = PodRequests()
        var greatest = PodRequests()
        for container in spec["initContainers"].arrayValue {
            var step = try PodRequests(container: container)
            if container["restartPolicy"].stringValue == "Always" {
                self.add(step)
                sidecars.add(step)
                step = sidecars
            } else {
                step.add(sidecars)
            }
            greatest.raise(to: step)
        }
        raise(to: greatest)
        add(try PodRequests(amounts: spec["overhead"]))
    }

    /// The requests of one container object.
    public init(container: JSON) throws {
        let resources = container["resources"]
        self = try PodRequests(amounts: resources["requests"])
        let limits = try PodRequests(amounts: resources["limits"])
        let requests = resources["requests"]
        if !requests["cpu"].exists { milliCPU = limits.milliCPU }
        if !requests["memory"].exists { memory = limits.memory }
        if !requests["ephemeral-storage"].exists { ephemeralStorage = limits.ephemeralStorage }
        for (name, amount) in limits.extended where extended[name] == nil { extended[name] = amount }
    }

    /// The amounts of a resource list object such as {"cpu":"100m"}.
    public init(amounts: JSON) throws {
        guard let members = amounts.objectValue else { return }
        for (name, value) in members {
            let quantity = try Quantity(parsing: value.stringValue ?? value.serializedString())
            switch name {
            case "cpu": milliCPU = quantity.milliValue
            case "memory": memory = quantity.value
            case "ephemeral-storage": ephemeralStorage = quantity.value
            case "pods": break
            default: extended[name] = quantity.value
            }
        }
    }

    /// Saturates: whoever asks for more than there can be gets none of it, and nobody else is hurt.
    public mutating func add(_ other: PodRequests) {
        func sum(_ one: Int64, _ other: Int64) -> Int64 {
            let (sum, overflow) = one.addingReportingOverflow(other)
            return overflow ? .max : sum
        }
        milliCPU = sum(milliCPU, other.milliCPU)
        memory = sum(memory, other.memory)
        ephemeralStorage = sum(ephemeralStorage, other.ephemeralStorage)
        for (name, amount) in other.extended { extended[name] = sum(extended[name] ?? 0, amount) }
    }

    private mutating func raise(to other: PodRequests) {
        milliCPU = max(milliCPU, other.milliCPU)
        memory = max(memory, other.memory)
        ephemeralStorage = max(ephemeralStorage, other.ephemeralStorage)
        for (name, amount) in other.extended { extended[name] = max(extended[name] ?? 0, amount) }
    }
}

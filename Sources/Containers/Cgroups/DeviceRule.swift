/// One line of a container's device allow-list. All that is not listed is refused.
package struct DeviceRule: Sendable, Hashable {
    package enum Kind: String, Sendable { case character = "c", block = "b" }

    package var kind: Kind
    /// Nil is any.
    package var major: UInt32?
    package var minor: UInt32?
    package var mayRead = false
    package var mayWrite = false
    package var mayMake = false

    /// - Parameter access: letters of r, w, m.
    package init(_ kind: Kind, _ major: UInt32?, _ minor: UInt32?, _ access: String) {
        self.kind = kind
        self.major = major
        self.minor = minor
        mayRead = access.contains("r")
        mayWrite = access.contains("w")
        mayMake = access.contains("m")
    }

    /// Letters of r, w, m.
    package var access: String { (mayRead ? "r" : "") + (mayWrite ? "w" : "") + (mayMake ? "m" : "") }

    /// v1's devices.allow form.
    package var text: String {
        "\(kind.rawValue) \(major.map(String.init) ?? "*"):\(minor.map(String.init) ?? "*") \(access)"
    }

    /// What every container may do: make any node (which is not to open it), and use the harmless devices.
    package static let defaults: [DeviceRule] = [
        DeviceRule(.character, nil, nil, "m"), DeviceRule(.block, nil, nil, "m"),
        DeviceRule(.character, 1, 3, "rwm"), DeviceRule(.character, 1, 5, "rwm"), DeviceRule(.character, 1, 7, "rwm"),
        DeviceRule(.character, 1, 8, "rwm"), DeviceRule(.character, 1, 9, "rwm"), DeviceRule(.character, 5, 0, "rwm"),
        DeviceRule(.character, 5, 1, "rwm"), DeviceRule(.character, 5, 2, "rwm"),
        DeviceRule(.character, 136, nil, "rwm"),
    ]
}

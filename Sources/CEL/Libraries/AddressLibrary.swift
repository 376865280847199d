extension CELLibrary {
    /// `ip`, `cidr` and what they can be asked.
    public static let addresses = CELLibrary("addresses", making + addressTests + ranges)

    private static let making: [Overload] = [
        .unary("ip(string): net.IP", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            .opaque(try CELAddress(parsing: try text.string()))
        },
        .unary("isIP(string): bool", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            .bool((try? CELAddress(parsing: try text.string())) != nil)
        },
        .unary("ip.isCanonical(string): bool", cost: .traversal(of: 0, times: 2)) { text throws(CELError) in
            let text = try text.string()
            return .bool(try CELAddress(parsing: text).description == text)
        },
        .unary("string(net.IP): string") { value throws(CELError) in
            .string(try value.opaque(CELAddress.self).description)
        },
        .unary("cidr(string): net.CIDR", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            .opaque(try CELRange(parsing: try text.string()))
        },
        .unary("isCIDR(string): bool", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            .bool((try? CELRange(parsing: try text.string())) != nil)
        },
        .unary("string(net.CIDR): string") { value throws(CELError) in
            .string(try value.opaque(CELRange.self).text ?? "")
        },
    ]

    private static func test(_ name: String, _ holds: @escaping @Sendable (CELAddress) -> Bool) -> Overload {
        .unary("net.IP . \(name)(): bool") { value throws(CELError) in .bool(holds(try value.opaque(CELAddress.self))) }
    }

    private static let addressTests: [Overload] = [
        .unary("net.IP . family(): int") { value throws(CELError) in
            .int(try value.opaque(CELAddress.self).isIPv4 ? 4 : 6)
        },
        test("isUnspecified") { $0.isUnspecified }, test("isLoopback") { $0.isLoopback },
        test("isLinkLocalMulticast") { $0.isLinkLocalMulticast }, test("isLinkLocalUnicast") { $0.isLinkLocalUnicast },
        test("isGlobalUnicast") { $0.isGlobalUnicast },
    ]

    private static let ranges: [Overload] = [
        .binary("net.CIDR . containsIP(net.IP): bool", cost: .containment(parsing: false, isRange: false)) {
            range, address throws(CELError) in
            .bool(try range.opaque(CELRange.self).contains(try address.opaque(CELAddress.self)))
        },
        .binary("net.CIDR . containsIP(string): bool", cost: .containment(parsing: true, isRange: false)) {
            range, address throws(CELError) in
            .bool(try range.opaque(CELRange.self).contains(try CELAddress(parsing: try address.string())))
        },
        .binary("net.CIDR . containsCIDR(net.CIDR): bool", cost: .containment(parsing: false, isRange: true)) {
            range, other throws(CELError) in
            .bool(try range.opaque(CELRange.self).contains(try other.opaque(CELRange.self)))
        },
        .binary("net.CIDR . containsCIDR(string): bool", cost: .containment(parsing: true, isRange: true)) {
            range, other throws(CELError) in
            .bool(try range.opaque(CELRange.self).contains(try CELRange(parsing: try other.string())))
        },
        .unary("net.CIDR . ip(): net.IP") { range throws(CELError) in .opaque(try range.opaque(CELRange.self).address)
        },
        .unary("net.CIDR . masked(): net.CIDR") { range throws(CELError) in
            .opaque(try range.opaque(CELRange.self).masked)
        },
        .unary("net.CIDR . prefixLength(): int") { range throws(CELError) in
            .int(Int64(try range.opaque(CELRange.self).prefixLength))
        },
    ]
}

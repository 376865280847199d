import Objects

/// Rules of network policies that relate several fields.
/// See https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/.
enum NetworkPolicyValidation {
    static func peer(_ peer: JSON, _ place: String, _ errors: inout [FieldError]) {
        let hasSelector = peer["podSelector"].exists || peer["namespaceSelector"].exists
        if peer["ipBlock"].exists {
            if hasSelector { errors.append(.forbidden(place, "may not specify both ipBlock and another peer")) }
        } else if !hasSelector {
            errors.append(.required(place, "must specify a peer"))
        }
    }

    static func port(_ port: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard port["endPort"].exists else { return }
        let path = "\(place).endPort"
        guard port["port"].exists else {
            errors.append(.invalid(path, port["endPort"], "may not be specified when `port` is not specified"))
            return
        }
        guard let first = port["port"].integerValue else {
            errors.append(.invalid(path, port["endPort"], "may not be specified when `port` is non-numeric"))
            return
        }
        if let last = port["endPort"].integerValue, last < first {
            errors.append(.invalid(path, port["endPort"], "must be greater than or equal to `port`"))
        }
    }

    /// Exceptions lie strictly within their block.
    static func block(_ block: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard let outer = Block(block["cidr"].stringValue ?? "") else { return }
        for (index, entry) in block["except"].arrayValue.enumerated() {
            guard let text = entry.stringValue, let inner = Block(text) else { continue }
            if !outer.contains(inner) {
                errors.append(
                    .invalid("\(place).except[\(index)]", entry, "must be a strict subset of `cidr`"))
            }
        }
    }

    /// A block of addresses of either family, as bytes and a number of bits.
    private struct Block {
        let bytes: [UInt8]
        let bits: Int

        /// Nil for what is no block: other rules say so.
        init?(_ text: String) {
            guard IPSyntax.isRange(text), let slash = text.firstIndex(of: "/"),
                let bits = Int(text[text.index(after: slash)...]),
                let bytes = IPSyntax.bytes(String(text[..<slash]))
            else { return nil }
            self.bytes = bytes
            self.bits = bits
        }

        func contains(_ other: Block) -> Bool {
            guard bytes.count == other.bytes.count, bits < other.bits else { return false }
            return (0..<bits).allSatisfy { bit in
                (bytes[bit / 8] ^ other.bytes[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
            }
        }
    }
}

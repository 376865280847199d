import Objects

/// Rules of network policies that relate several fields.
/// See https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/.
enum NetworkPolicyValidation {
    static func types(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let known = ["Ingress", "Egress"]
        let types = spec["policyTypes"].arrayValue
        if types.count > known.count {
            return errors.append(
                .invalid("\(place).policyTypes", spec["policyTypes"], "may not specify more than two policyTypes"))
        }
        for (index, type) in types.enumerated() where !known.contains(type.stringValue ?? "") {
            errors.append(.notSupported("\(place).policyTypes[\(index)]", type, known))
        }
    }

    /// Ranges that a policy has already are let be, however they are written.
    static func review(from old: JSON, to new: JSON, _ errors: inout [FieldError]) {
        guard errors.contains(where: { $0.path.contains(".ipBlock.") }) else { return }
        var known: Set<String> = []
        for (list, side) in [("ingress", "from"), ("egress", "to")] {
            for peer in old["spec"][list].arrayValue.flatMap({ $0[side].arrayValue }) {
                for range in [peer["ipBlock"]["cidr"]] + peer["ipBlock"]["except"].arrayValue {
                    known.insert(range.serializedString())
                }
            }
        }
        errors.removeAll {
            $0.path.contains(".ipBlock.") && known.contains($0.value) && !$0.detail.hasPrefix("must be a strict subset")
        }
    }

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
        let cidr = block["cidr"].stringValue ?? ""
        if !cidr.isEmpty {
            errors += IPSyntax.rangeComplaints(cidr).map { .invalid("\(place).cidr", .string(cidr), $0) }
        }
        guard let outer = Block(cidr) else { return }
        for (index, entry) in block["except"].arrayValue.enumerated() {
            let text = entry.stringValue ?? ""
            errors += IPSyntax.rangeComplaints(text).map { .invalid("\(place).except[\(index)]", entry, $0) }
            guard let inner = Block(text) else { continue }
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

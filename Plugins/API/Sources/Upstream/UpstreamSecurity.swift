/// How a connection to a server is secured.
enum UpstreamSecurity: Sendable, Hashable {
    case none
    /// TLS with whoever answers.
    case unverified
    /// TLS with a context of its own, and the name that the certificate must be for.
    case context(TLSClientContext, serverName: String)

    func context() throws(UpstreamError) -> TLSClientContext? {
        switch self {
        case .none: nil
        case .unverified: try TLSClientContext(trust: .anyone)
        case .context(let context, _): context
        }
    }

    func serverName(_ address: UpstreamAddress) -> String {
        if case .context(_, let name) = self { name } else { address.host }
    }

    static func == (left: UpstreamSecurity, right: UpstreamSecurity) -> Bool {
        switch (left, right) {
        case (.none, .none), (.unverified, .unverified): true
        case (.context(let left, let name), .context(let right, let other)): left === right && name == other
        case (.none, _), (.unverified, _), (.context, _): false
        }
    }

    func hash(into hasher: inout Hasher) {
        switch self {
        case .none: hasher.combine(0)
        case .unverified: hasher.combine(1)
        case .context(let context, let name):
            hasher.combine(ObjectIdentifier(context))
            hasher.combine(name)
        }
    }
}

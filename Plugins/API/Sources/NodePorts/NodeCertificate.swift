import Glibc
import Objects
import PluginKit
import Synchronization

/// The certificate that a node's own port shows, by this installation's authority, for the node's name and addresses. It is made
/// when the first client comes, and made anew when the node has other addresses, and before it ends.
final class NodeCertificate: Sendable {
    private struct Made {
        var context: TLSContext
        var names: Set<String>
        var madeAt: Int
        /// When the node's addresses were looked at last.
        var checkedAt: Int
    }

    /// Seconds for which the node's addresses are not looked at again.
    static let patience = 60
    /// Seconds after which a certificate is made anew.
    static let age = CertificateAuthority.certificateLifetime - PKIDirectory.renewal

    private let node: String
    private let authority: CertificateAuthority
    private let addresses: @Sendable () throws -> JSON
    private let made = Mutex<Made?>(nil)

    /// - Parameter addresses: The node's `status.addresses`. [blocking]
    init(node: String, authority: CertificateAuthority, addresses: @escaping @Sendable () throws -> JSON) {
        self.node = node
        self.authority = authority
        self.addresses = addresses
    }

    /// What connections are made with; nil when `make` has to be asked.
    func current(now: Int = time(nil)) -> TLSContext? {
        made.withLock { made in
            guard let made, now - made.checkedAt < Self.patience else { return nil }
            return made.context
        }
    }

    /// The same, made where that is needed. [blocking]
    func make(now: Int = time(nil)) throws -> TLSContext {
        let names = Self.names(node, try addresses())
        return try made.withLock { made in
            if let known = made, known.names == Set(names), now - known.madeAt < Self.age {
                made?.checkedAt = now
                return known.context
            }
            let credential = try authority.issue(
                commonName: "system:node:\(node)", organizations: ["system:nodes"], usage: .server, names: names)
            let context = try TLSContext(
                certificate: credential.certificate, key: credential.key,
                clientAuthority: authority.credential.certificate)
            made = Made(context: context, names: Set(names), madeAt: now, checkedAt: now)
            return context
        }
    }

    /// Subject alternative names, "DNS:…" and "IP:…", each once.
    static func names(_ node: String, _ addresses: JSON) -> [String] {
        let texts = [node, "localhost", "127.0.0.1"] + addresses.arrayValue.compactMap { $0["address"].stringValue }
        return APISettings.alternativeNames(texts)
    }
}

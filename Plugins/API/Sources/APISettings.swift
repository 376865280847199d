import Glibc
import Objects
import PluginAPI
import PluginKit

/// What the API plugin is told: shared settings and its own options.
struct APISettings: Sendable {
    var listen: SocketAddress
    var threads: Int
    var serviceRange: AddressRange
    var podRange: AddressRange
    var clusterDomain: String
    var dataDirectory: String
    var adminToken: String
    var names: [String]
    var authentication: AuthenticationSettings
    var authorization: AuthorizationSettings
    /// Nil: no audit log is kept.
    var audit: AuditSettings?
    /// The seats that requests share; nil: all run at once.
    var totalSeats: Int?
    /// Bytes that all watches together may keep for their clients.
    var watchBytes: Int
    /// Whether this server approves and signs CertificateSigningRequests of Kubernetes' own signers.
    var signsCertificates: Bool

    init(_ configuration: PluginConfiguration) throws {
        let settings = configuration.settings
        func text(_ key: String, _ fallback: String) -> String {
            settings[key].stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? fallback
        }
        do {
            listen = try SocketAddress(parsing: text("listen", "127.0.0.1:6443"))
        } catch {
            throw PluginError.invalid("setting listen: \(error)")
        }
        func range(_ key: String, _ fallback: String) throws -> AddressRange {
            let value = text(key, fallback)
            guard let range = AddressRange(parsing: value) else {
                throw PluginError.invalid(
                    "setting \(key) is \"\(value)\": it must be an IPv4 range such as \(fallback)")
            }
            return range
        }
        serviceRange = try range("serviceRange", "10.96.0.0/16")
        podRange = try range("podRange", "10.244.0.0/24")
        clusterDomain = text("clusterDomain", "cluster.local")
        dataDirectory = configuration.dataDirectory
        threads = Int(configuration.options["threads"].integerValue ?? 2)
        watchBytes = Int(configuration.options["watchBytes"].integerValue ?? 128 << 20)
        signsCertificates = configuration.options["signCertificates"].boolValue ?? true
        adminToken = configuration.options["adminToken"].stringValue ?? ""
        names = configuration.options["names"].arrayValue.compactMap(\.stringValue)
        authentication = try AuthenticationSettings(
            configuration.options["authentication"], issuer: "https://kubernetes.default.svc.\(clusterDomain)")
        authorization = try AuthorizationSettings(configuration.options["authorization"])
        let fairness = configuration.options["fairness"]
        totalSeats =
            fairness["enabled"].boolValue == false ? nil : Int(clamping: fairness["totalSeats"].integerValue ?? 600)
        audit = try AuditSettings(configuration.options["audit"], directory: dataDirectory)
    }

    /// The subject alternative names of the server's certificate.
    var certificateNames: [String] {
        var names = [
            "localhost", Self.hostName, "kubernetes", "kubernetes.default", "kubernetes.default.svc",
            "kubernetes.default.svc.\(clusterDomain)",
        ]
        names += ["127.0.0.1", "::1", listen.host, serviceRange.first, podRange.first] + self.names
        return Self.alternativeNames(names)
    }

    /// Names and addresses as subject alternative names, "DNS:…" and "IP:…", each once.
    static func alternativeNames(_ names: [String]) -> [String] {
        var result: [String] = []
        for name in names where !name.isEmpty && name != "0.0.0.0" && name != "::" {
            let entry: String
            if let bytes = SocketAddress.bytes(of: name) {
                entry = "IP:" + Self.canonical(bytes)
            } else {
                entry = "DNS:" + name
            }
            if !result.contains(entry) { result.append(entry) }
        }
        return result
    }

    private static func canonical(_ bytes: [UInt8]) -> String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &buffer, socklen_t(buffer.count))
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static var hostName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).lowercased()
    }

    /// The address that clients on this machine use.
    func clientAddress(port: UInt16) -> SocketAddress {
        let isAny = listen.host == "0.0.0.0" || listen.host == "::"
        return SocketAddress(host: isAny ? "127.0.0.1" : listen.host, port: port)
    }
}

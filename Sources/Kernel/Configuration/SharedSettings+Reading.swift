import Glibc

extension SharedSettings {
    static let keys = [
        "nodeName", "clusterDomain", "podRange", "serviceRange", "dnsAddress", "listen", "cgroupParent",
    ]

    /// Reads `settings:`, checks every value, and fills in the defaults.
    init(_ scope: ConfigurationScope) throws(ConfigurationError) {
        nodeName = try Self.domainName(scope, "nodeName", default: hostName())
        clusterDomain = try Self.domainName(scope, "clusterDomain", default: "cluster.local")
        let pods = try Self.range(scope, "podRange", default: "10.244.0.0/24", longest: 29)
        let services = try Self.range(scope, "serviceRange", default: "10.96.0.0/16", longest: 28)
        podRange = pods.description
        serviceRange = services.description
        guard !pods.overlaps(services) else {
            throw scope.failure("serviceRange", "\(services) overlaps podRange \(pods): give them separate ranges")
        }
        dnsAddress = try scope.text("dnsAddress") ?? Self.defaultDNSAddress(services)
        guard let dns = IPv4Address(dnsAddress), services.contains(dns), dns != services.network else {
            throw scope.failure(
                "dnsAddress", "\"\(dnsAddress)\" is not an IPv4 address within serviceRange \(services)")
        }
        listen = try scope.text("listen") ?? "127.0.0.1:6443"
        guard ListenAddress(listen) != nil else {
            throw scope.failure(
                "listen",
                "\"\(listen)\" is not ADDRESS:PORT with a numeric address, such as 127.0.0.1:6443 or [::1]:6443")
        }
        cgroupParent = try scope.text("cgroupParent") ?? "hostd"
        let parts = cgroupParent.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }), cgroupParent.utf8.count <= 200 else {
            throw scope.failure(
                "cgroupParent", "\"\(cgroupParent)\" is not a relative path such as hostd or system/hostd")
        }
    }

    /// Checks an address that came from the command line in place of the file.
    public static func isListenAddress(_ text: String) -> Bool { ListenAddress(text) != nil }

    private static func defaultDNSAddress(_ services: IPv4Range) -> String {
        IPv4Address(bits: services.network.bits + 10).description
    }

    private static func range(
        _ scope: ConfigurationScope, _ key: String, default value: String, longest: Int
    ) throws(ConfigurationError) -> IPv4Range {
        let text = try scope.text(key) ?? value
        do {
            let range = try IPv4Range(text)
            guard (8...longest).contains(range.prefixLength) else {
                throw scope.failure(key, "\(range) has the wrong size; allowed are prefixes from /8 to /\(longest)")
            }
            return range
        } catch let failure as ConfigurationError {
            throw failure
        } catch let failure as IPv4Range.Failure {
            switch failure {
            case .notARange: throw scope.failure(key, "\"\(text)\" is not an IPv4 range such as \(value)")
            case .hostBits(let proper):
                throw scope.failure(key, "\(text) has address bits behind its prefix; the range is \(proper)")
            }
        } catch {
            throw scope.failure(key, "\(error)")
        }
    }

    /// Lower-case labels of letters, digits and hyphens (RFC 1123), at most 253 bytes.
    private static func domainName(
        _ scope: ConfigurationScope, _ key: String, default value: String
    ) throws(ConfigurationError) -> String {
        let text = try scope.text(key) ?? value
        let isProper =
            text.utf8.count <= 253
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy {
                isLabel($0)
            }
        guard isProper else {
            throw scope.failure(
                key, "\"\(text)\" is not a DNS name: labels of a-z, 0-9 and -, separated by dots, at most 253 bytes")
        }
        return text
    }
}

/// A DNS label of RFC 1123 in lower case.
func isLabel(_ text: Substring) -> Bool {
    let bytes = Array(text.utf8)
    let isAlphanumeric = { (byte: UInt8) in (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) }
    guard (1...63).contains(bytes.count), let first = bytes.first, let last = bytes.last else { return false }
    return isAlphanumeric(first) && isAlphanumeric(last) && bytes.allSatisfy { isAlphanumeric($0) || $0 == 0x2D }
}

/// The machine's name in lower case; "localhost" when it has none.
private func hostName() -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
    let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).lowercased()
    return name.isEmpty ? "localhost" : name
}

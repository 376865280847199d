import Objects
import PluginKit

/// The plugin's options, checked.
struct EtcdOptions: Sendable {
    let endpoints: [Endpoint]
    let prefix: String
    let caFile: String
    let certFile: String
    let keyFile: String
    /// Nanoseconds for one call.
    let timeLimit: UInt64
    let historyBytes: Int
    let historySeconds: UInt64

    static let schema = """
        {"type":"object","additionalProperties":false,"required":["endpoints"],"properties":{
        "endpoints":{"type":"array","minItems":1,"items":{"type":"string"},
        "description":"The members of the cluster, https://ADDRESS:PORT, http://ADDRESS:PORT or unix:///PATH. One that fails is left for the next."},
        "prefix":{"type":"string","default":"/hostd/","minLength":1,"maxLength":256,
        "description":"What every key begins with, so that others can use the cluster too."},
        "caFile":{"type":"string","default":"","description":"Certificates (PEM) of those who sign the members'; empty: the system's."},
        "certFile":{"type":"string","default":"","description":"Certificate (PEM) that members are shown."},
        "keyFile":{"type":"string","default":"","description":"Its key (PEM)."},
        "timeoutSeconds":{"type":"integer","default":5,"minimum":1,"maximum":300,"description":"How long one call may take."},
        "historySeconds":{"type":"integer","default":600,"minimum":0,"maximum":86400,
        "description":"How long past revisions are kept; 0 leaves compaction to etcd."},
        "historyBytes":{"type":"integer","default":33554432,"minimum":1048576,"maximum":1073741824,
        "description":"Memory for recent changes, from which watches are served."}
        }}
        """

    init(_ options: JSON) throws {
        endpoints = try options["endpoints"].arrayValue.map { try Endpoint($0.stringValue ?? "") }
        prefix = options["prefix"].stringValue ?? "/hostd/"
        caFile = options["caFile"].stringValue ?? ""
        certFile = options["certFile"].stringValue ?? ""
        keyFile = options["keyFile"].stringValue ?? ""
        timeLimit = UInt64(try Self.number(options, "timeoutSeconds", 5, 1...300)) * 1_000_000_000
        historySeconds = UInt64(try Self.number(options, "historySeconds", 600, 0...86_400))
        historyBytes = Int(try Self.number(options, "historyBytes", 32 << 20, 1 << 20...1 << 30))
        guard !endpoints.isEmpty, (1...256).contains(prefix.utf8.count) else {
            throw PluginError.invalid("options: endpoints needs one at least, and prefix 1 to 256 bytes")
        }
        guard certFile.isEmpty == keyFile.isEmpty else {
            throw PluginError.invalid("options: certFile and keyFile belong together; give both or neither")
        }
    }

    private static func number(
        _ options: JSON, _ name: String, _ fallback: Int64, _ range: ClosedRange<Int64>
    ) throws(PluginError) -> Int64 {
        let value = options[name]
        guard !value.isNull else { return fallback }
        guard let number = value.integerValue, range.contains(number) else {
            throw .invalid(
                "options.\(name): a whole number from \(range.lowerBound) to \(range.upperBound) is expected")
        }
        return number
    }

    /// Nil when no member is asked over TLS.
    func makeTLS() throws(PluginError) -> TLSClient? {
        guard endpoints.contains(where: \.isSecure) else { return nil }
        return try TLSClient(authority: caFile, certificate: certFile, key: keyFile)
    }
}

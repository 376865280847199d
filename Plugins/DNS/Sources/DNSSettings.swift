import Objects
import PluginKit

/// The plugin's configuration, checked.
struct DNSSettings: Sendable {
    let domain: DomainName
    let port: UInt16
    /// Seconds.
    let timeToLive: UInt32
    let upstreams: [Upstreams.Server]
    let cacheEntries: Int
    let reverseRanges: [String]
    /// Never asked as an upstream server.
    let ownAddress: UInt32?

    static let optionsSchema = """
        {"type":"object","additionalProperties":false,"properties":{
        "port":{"type":"integer","default":53,"minimum":1,"maximum":65535,
        "description":"Where queries are taken, by UDP and TCP, at the pod bridge's address."},
        "ttl":{"type":"integer","default":5,"minimum":0,"maximum":3600,
        "description":"How long others may keep an answer about the cluster, in seconds."},
        "upstreams":{"type":"array","items":{"type":"string"},"default":[],
        "description":"Servers for all other names, ADDRESS or ADDRESS:PORT (IPv4); empty: those of /etc/resolv.conf."},
        "cacheEntries":{"type":"integer","default":1000,"minimum":0,"maximum":100000,
        "description":"How many of their answers are kept, for 30 seconds at most."}
        }}
        """

    init(_ configuration: PluginConfiguration) throws {
        let options = configuration.options
        let settings = configuration.settings
        let domainText = settings["clusterDomain"].stringValue ?? "cluster.local"
        guard let domain = DomainName(domainText), !domain.labels.isEmpty else {
            throw PluginError.invalid("settings.clusterDomain: \"\(domainText)\" is no domain name")
        }
        self.domain = domain
        port = UInt16(clamping: options["port"].integerValue ?? 53)
        timeToLive = UInt32(clamping: options["ttl"].integerValue ?? 5)
        cacheEntries = Int(options["cacheEntries"].integerValue ?? 1000)
        upstreams = try options["upstreams"].arrayValue.map { entry in
            guard let server = entry.stringValue.flatMap({ Upstreams.Server($0) }) else {
                throw PluginError.invalid("options.upstreams: \(entry) is no IPv4 address, or address and port")
            }
            return server
        }
        reverseRanges = [
            settings["podRange"].stringValue ?? "10.244.0.0/24", settings["serviceRange"].stringValue ?? "10.96.0.0/16",
        ]
        ownAddress = parseAddress(settings["dnsAddress"].stringValue ?? "10.96.0.10")
    }
}

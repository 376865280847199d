import Objects

/// Texts of /etc/hosts, /etc/hostname and /etc/resolv.conf of a pod.
struct NameResolutionFiles {
    let pod: Pod
    let podIPs: [String]
    let clusterDomain: String
    let clusterDNS: String
    /// The host's own files.
    let hostResolver: String
    let hostHosts: String

    var hostname: String { SandboxConfiguration.hostname(pod, clusterDomain: clusterDomain) + "\n" }

    var hosts: String {
        // Programs tell by the first line whether the names are the pod's own or the host's.
        var text = "# Kubernetes-managed hosts file\(pod.hostNetwork ? " (host network)" : "").\n"
        if pod.hostNetwork {
            text += hostHosts
            if !text.hasSuffix("\n") { text += "\n" }
        } else {
            text += """
                127.0.0.1\tlocalhost
                ::1\tlocalhost ip6-localhost ip6-loopback
                fe00::0\tip6-localnet
                fe00::0\tip6-mcastprefix
                fe00::1\tip6-allnodes
                fe00::2\tip6-allrouters

                """
            let full = SandboxConfiguration.fullyQualifiedName(pod, clusterDomain: clusterDomain)
            for address in podIPs {
                text += "\(address)\t" + (full.map { "\($0)\t" } ?? "") + "\(pod.hostname)\n"
            }
        }
        let aliases = pod.specification["hostAliases"].arrayValue
        if !aliases.isEmpty {
            text += "\n# Entries added by HostAliases.\n"
            for alias in aliases {
                let names = alias["hostnames"].arrayValue.compactMap(\.stringValue).joined(separator: "\t")
                text += "\(alias["ip"].stringValue ?? "")\t\(names)\n"
            }
        }
        return text
    }

    var resolver: String {
        var configuration = base
        let own = pod.specification["dnsConfig"]
        configuration.nameservers += own["nameservers"].arrayValue.compactMap(\.stringValue)
        configuration.searches += own["searches"].arrayValue.compactMap(\.stringValue)
        for option in own["options"].arrayValue {
            guard let name = option["name"].stringValue else { continue }
            configuration.options.removeAll { $0 == name || $0.hasPrefix("\(name):") }
            configuration.options.append(
                option["value"].stringValue.map { $0.isEmpty ? name : "\(name):\($0)" } ?? name)
        }
        return configuration.text
    }

    private var base: ResolverConfiguration {
        let host = ResolverConfiguration(parsing: hostResolver)
        switch pod.specification["dnsPolicy"].stringValue ?? "ClusterFirst" {
        case "None": return ResolverConfiguration()
        case "Default": return host
        case "ClusterFirst" where pod.hostNetwork: return host
        default:
            return ResolverConfiguration(
                nameservers: [clusterDNS],
                searches: [
                    "\(pod.namespace).svc.\(clusterDomain)", "svc.\(clusterDomain)", clusterDomain,
                ] + host.searches,
                options: ["ndots:5"])
        }
    }
}

/// The three kinds of lines of resolv.conf(5) that matter here.
struct ResolverConfiguration: Equatable {
    var nameservers: [String] = []
    var searches: [String] = []
    var options: [String] = []

    init(nameservers: [String] = [], searches: [String] = [], options: [String] = []) {
        self.nameservers = nameservers
        self.searches = searches
        self.options = options
    }

    init(parsing text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
            switch words.first {
            case "nameserver": nameservers += words.dropFirst().prefix(1)
            case "search", "domain": searches = Array(words.dropFirst())
            case "options": options = Array(words.dropFirst())
            default: break
            }
        }
    }

    /// The file; searches and name servers are each given once.
    var text: String {
        var text = ""
        if !searches.isEmpty { text += "search \(unique(searches).joined(separator: " "))\n" }
        for server in unique(nameservers) { text += "nameserver \(server)\n" }
        if !options.isEmpty { text += "options \(options.joined(separator: " "))\n" }
        return text
    }

    private func unique(_ list: [String]) -> [String] {
        var seen: Set<String> = []
        return list.filter { seen.insert($0).inserted }
    }
}

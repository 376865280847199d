import Objects

/// How API servers pass on who asks: a proxy authenticates a client, connects with a certificate that says it may speak for
/// others, and names the client in headers. This server takes the word of such proxies, and gives its own to the API servers
/// that it fronts.
/// See https://kubernetes.io/docs/reference/access-authn-authz/authentication/#authenticating-proxy.
enum FrontProxy {
    /// The common name that a proxy's certificate must have.
    static let clientName = "front-proxy-client"
    /// Where in kube-system other API servers find what they have to trust.
    static let configMapName = "extension-apiserver-authentication"

    private static let user = "x-remote-user"
    private static let uid = "x-remote-uid"
    private static let group = "x-remote-group"
    private static let extra = "x-remote-extra-"

    /// Whether a header is one of those that name a client.
    static func isHeader(_ name: String) -> Bool {
        name == user || name == uid || name == group || name.hasPrefix(extra)
    }

    /// Whom a proxy names; nil when it may not, or names nobody.
    /// - Parameter headers: names in lower case.
    static func user(_ headers: [(name: String, value: String)], by certificate: ClientCertificate) -> UserInfo? {
        guard certificate.isOfProxy, certificate.commonName == clientName,
            let name = headers.first(where: { $0.name == user && !$0.value.isEmpty })?.value
        else { return nil }
        var info = UserInfo(name: name, uid: headers.first { $0.name == uid }?.value ?? "")
        for (name, value) in headers {
            if name == group {
                info.groups.append(value)
            } else if name.hasPrefix(extra) {
                let escaped = name.dropFirst(extra.count)
                // A key that is no escaped text stands for itself.
                let key = (try? PercentEncoding.decode(escaped)) ?? String(escaped)
                info.extra[key, default: []].append(value)
            }
        }
        return info
    }

    /// The headers that name a client, in lower case.
    static func headers(for info: UserInfo) -> [(name: String, value: String)] {
        var headers = [(name: user, value: info.name)]
        if !info.uid.isEmpty { headers.append((uid, info.uid)) }
        headers += info.groups.map { (group, $0) }
        for (key, values) in info.extra.sorted(by: { $0.key < $1.key }) {
            headers += values.map { (extra + escaped(key), $0) }
        }
        // What would end the line belongs to no user of this server, and is kept from the other one.
        return headers.filter { !$0.value.utf8.contains { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F } }
    }

    /// A key as part of a header's name: what may not stand there is percent-encoded.
    private static func escaped(_ key: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in key.utf8 {
            if HTTPRequestParser.isToken(byte), byte != 0x25 {
                bytes.append(byte)
            } else {
                bytes += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The ConfigMap by which other API servers come to trust this one.
    static func configMap(clientAuthority: [UInt8], proxyAuthority: [UInt8]) -> JSON {
        [
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": ["name": .string(configMapName), "namespace": "kube-system"],
            "data": [
                "client-ca-file": .string(String(decoding: clientAuthority, as: UTF8.self)),
                "requestheader-allowed-names": .string("[\"\(clientName)\"]"),
                "requestheader-client-ca-file": .string(String(decoding: proxyAuthority, as: UTF8.self)),
                "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
                "requestheader-group-headers": "[\"X-Remote-Group\"]",
                "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
                "requestheader-username-headers": "[\"X-Remote-User\"]",
            ],
        ]
    }
}

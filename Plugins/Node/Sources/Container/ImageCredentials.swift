import Objects

/// Finds credentials for an image's registry in a pod's imagePullSecrets.
enum ImageCredentials {
    /// The runtime's `authentication` object; nil when no secret names the registry. Unreadable secrets are skipped:
    /// the registry's refusal is the message that helps.
    static func find(for image: String, pod: Pod, objects: any ObjectReader) -> JSON? {
        let registry = registry(of: image)
        for reference in pod.specification["imagePullSecrets"].arrayValue {
            guard let name = reference["name"].stringValue else { continue }
            do {
                guard let secret = try objects.object("secrets/\(pod.namespace)/\(name)") else { continue }
                if let found = try credentials(in: secret, registry: registry) { return found }
            } catch {
                continue
            }
        }
        return nil
    }

    /// "registry.example:5000" of "registry.example:5000/team/app:1"; Docker Hub without one.
    static func registry(of image: String) -> String {
        guard let slash = image.firstIndex(of: "/") else { return "docker.io" }
        let first = String(image[..<slash])
        return first.contains(".") || first.contains(":") || first == "localhost" ? first : "docker.io"
    }

    private static func credentials(in secret: JSON, registry: String) throws -> JSON? {
        guard let encoded = secret["data"][".dockerconfigjson"].stringValue, let text = Base64.decode(encoded) else {
            return nil
        }
        let list = try JSON(parsing: text)["auths"].objectValue ?? [:]
        for entry in list where host(entry.key) == registry || host(entry.key) == "index.\(registry)" {
            var username = entry.value["username"].stringValue
            var password = entry.value["password"].stringValue
            if username == nil, let both = entry.value["auth"].stringValue.flatMap({ Base64.decode($0) }) {
                let parts = String(decoding: both, as: UTF8.self).split(separator: ":", maxSplits: 1)
                username = parts.first.map(String.init)
                password = parts.count > 1 ? String(parts[1]) : ""
            }
            var result: JSON = ["serverAddress": .string(registry)]
            if let username { result["username"] = .string(username) }
            if let password { result["password"] = .string(password) }
            if entry.value["identitytoken"].exists { result["identityToken"] = entry.value["identitytoken"] }
            return result
        }
        return nil
    }

    private static func host(_ key: String) -> String {
        var rest = key[...]
        if let scheme = rest.range(of: "://") { rest = rest[scheme.upperBound...] }
        return String(rest.prefix { $0 != "/" })
    }
}

extension Substring {
    /// The first occurrence of a text; the standard library has this for regexes only.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}

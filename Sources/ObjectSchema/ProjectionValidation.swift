import Objects

/// Rules of what a projected volume is put together from, and of files that environment variables come from.
/// See https://kubernetes.io/docs/concepts/storage/projected-volumes/.
enum ProjectionValidation {
    private static let keyTypes = ["ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096"]
    /// Seconds: an hour, 91 days, and a day for Kubernetes' own signers.
    private static let shortest: Int64 = 3600
    private static let longest: Int64 = 91 * 86400
    private static let longestOfOwn: Int64 = 86400

    /// Seconds: some 136 years.
    private static let longestToken: Int64 = 1 << 32

    static func sources(_ volume: JSON, _ errors: inout [FieldError]) {
        paths(volume["sources"].arrayValue, "", &errors)
        for (index, source) in volume["sources"].arrayValue.enumerated() {
            let place = "sources[\(index)]"
            if source.count > 1 {
                errors.append(.forbidden(place, "may not specify more than 1 volume type per source"))
            }
            DownwardValidation.files(source["downwardAPI"]["items"].arrayValue, at: "\(place).downwardAPI", &errors)
            if source["serviceAccountToken"].exists { token(source["serviceAccountToken"], place, &errors) }
            if source["clusterTrustBundle"].exists {
                bundle(source["clusterTrustBundle"], "\(place).clusterTrustBundle", &errors)
            }
            if source["podCertificate"].exists {
                certificate(source["podCertificate"], "\(place).podCertificate", &errors)
            }
        }
    }

    /// No two sources may make the same file. Where keys are not listed, which files there are shows when the volume is made.
    private static func paths(_ sources: [JSON], _ place: String, _ errors: inout [FieldError]) {
        var seen: Set<String> = []
        func take(_ path: JSON, _ shown: JSON) {
            guard let path = path.stringValue, !path.isEmpty, !seen.insert(path).inserted else { return }
            errors.append(.invalid(place, shown, "conflicting duplicate paths"))
        }
        for source in sources {
            for kind in ["secret", "configMap"] {
                for item in source[kind]["items"].arrayValue { take(item["path"], source[kind]["name"]) }
            }
            for item in source["downwardAPI"]["items"].arrayValue { take(item["path"], item["path"]) }
            take(source["clusterTrustBundle"]["path"], source["clusterTrustBundle"]["path"])
            for path in ["credentialBundlePath", "keyPath", "certificateChainPath"] {
                take(source["podCertificate"][path], source["podCertificate"][path])
            }
        }
    }

    /// Of its path Kubernetes tells as if it were the volume's.
    private static func token(_ token: JSON, _ place: String, _ errors: inout [FieldError]) {
        if let seconds = token["expirationSeconds"].integerValue, seconds > longestToken {
            errors.append(
                .invalid(
                    "\(place).serviceAccountToken.expirationSeconds", .integer(seconds),
                    "may not specify a duration larger than 2^32 seconds"))
        }
        if token["path"].isEmpty { errors.append(.required("path")) }
        PathChecks.unreserved(token["path"].stringValue ?? "", at: "path", &errors)
    }

    private static func bundle(_ bundle: JSON, _ place: String, _ errors: inout [FieldError]) {
        switch (bundle["name"].stringValue, bundle["signerName"].stringValue) {
        case (_?, _?):
            errors.append(.invalid(place, bundle, "only one of name and signerName may be used"))
        case (let name?, nil):
            if name.isEmpty {
                errors.append(.required("\(place).name", "must be a valid object name"))
            } else {
                // What a signer has published is called SIGNER:NAME, with the signer's slash as a colon.
                for complaint in name.split(separator: ":").flatMap({ NameChecks.dns1123Subdomain(String($0)) }) {
                    errors.append(.invalid("\(place).name", .string(name), complaint))
                }
            }
            if bundle["labelSelector"].exists {
                errors.append(
                    .invalid(
                        "\(place).labelSelector", bundle["labelSelector"],
                        "labelSelector must be unset if name is specified"))
            }
        case (nil, let signer?):
            if signer.isEmpty {
                errors.append(.required("\(place).signerName", "must be a valid signer name"))
            } else {
                self.signer(signer, "\(place).signerName", &errors)
            }
        case (nil, nil): errors.append(.required(place, "either name or signerName must be specified"))
        }
    }

    private static func certificate(_ certificate: JSON, _ place: String, _ errors: inout [FieldError]) {
        let signer = certificate["signerName"].stringValue ?? ""
        if signer.isEmpty {
            errors.append(.required("\(place).signerName"))
        } else {
            self.signer(signer, "\(place).signerName", &errors)
        }
        let type = certificate["keyType"].stringValue ?? ""
        if !keyTypes.contains(type) { errors.append(.notSupported("\(place).keyType", .string(type), keyTypes)) }
        if let seconds = certificate["maxExpirationSeconds"].integerValue {
            let most = signer.hasPrefix("kubernetes.io/") ? longestOfOwn : longest
            if seconds < shortest || seconds > most {
                errors.append(
                    .invalid(
                        "\(place).maxExpirationSeconds", .integer(seconds),
                        "if provided, maxExpirationSeconds must be >= \(shortest) and <= \(most)"))
            }
        }
        let paths = ["credentialBundlePath", "keyPath", "certificateChainPath"]
        if paths.allSatisfy({ certificate[$0].isEmpty }) {
            errors.append(
                .required(place, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"))
        }
    }

    /// DOMAIN/NAME.
    private static func signer(_ name: String, _ place: String, _ errors: inout [FieldError]) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else {
            errors.append(
                .invalid(
                    place, .string(name),
                    "must be a fully qualified domain and path of the form \"example.com/signer-name\""))
            return
        }
        if !parts[0].contains(".") {
            errors.append(
                .invalid(place, .string(name), "should be a domain with at least two segments separated by dots"))
        }
        for complaint in parts.flatMap(NameChecks.dns1123Subdomain) {
            errors.append(.invalid(place, .string(name), complaint))
        }
    }

    /// A variable that comes from a file of an emptyDir, which an init container writes.
    /// - Parameters:
    ///   - reference: `valueFrom.fileKeyRef`.
    ///   - volumes: Of the pod.
    static func file(_ reference: JSON, _ place: String, volumes: [JSON], _ errors: inout [FieldError]) {
        let name = reference["volumeName"].stringValue ?? ""
        guard !name.isEmpty else { return }
        guard let volume = volumes.first(where: { $0["name"].stringValue == name }) else {
            errors.append(.notFound("\(place).volumeName", .string(name)))
            return
        }
        if !volume["emptyDir"].exists {
            errors.append(
                .invalid("\(place).volumeName", .string(name), "referenced volume must be of type emptyDir"))
        }
    }
}

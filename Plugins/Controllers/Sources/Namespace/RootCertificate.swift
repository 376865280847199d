import Glibc
import Objects
import PluginKit

/// The ConfigMap from which pods learn the cluster's certificate authority.
enum RootCertificate {
    static let name = "kube-root-ca.crt"
    static let key = "ca.crt"
    private static let limit = 1 << 20

    /// Reads the authority's certificate; nil while the API front has not written it.
    /// - Throws: `PluginError` naming the file when it cannot be read.
    static func read(dataDirectory: String) throws -> String? {
        let path = "\(dataDirectory)/pki/ca.crt"
        guard let file = fopen(path, "re") else {
            if errno == ENOENT { return nil }
            throw PluginError.unavailable("\(path) cannot be opened: \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count < limit {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { break }
            bytes += chunk.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func configMap(namespace: String, certificate: String) -> JSON {
        [
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": [
                "name": .string(name), "namespace": .string(namespace),
                "annotations": [
                    "kubernetes.io/description":
                        "Holds the certificate authority with which clients in pods verify the API server."
                ],
            ],
            "data": .object([key: .string(certificate)]),
        ]
    }
}

import COpenSSL
import Objects
import PluginKit

/// A content digest, always SHA-256 (OCI image specification, descriptors).
package struct Digest: Sendable, Hashable, CustomStringConvertible {
    /// 64 lower-case hexadecimal digits.
    package let hexadecimal: String

    package init(hexadecimal: String) { self.hexadecimal = hexadecimal }

    /// Reads "sha256:…".
    package init(parsing text: String) throws(PluginError) {
        let digits = text.dropFirst(7)
        guard text.hasPrefix("sha256:"), digits.utf8.count == 64,
            digits.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
        else {
            throw .invalid("\"\(text)\" is not a digest that hostd knows: sha256: and 64 lower-case hexadecimal digits")
        }
        hexadecimal = String(digits)
    }

    package var description: String { "sha256:\(hexadecimal)" }

    package static func of(_ bytes: [UInt8]) -> Digest {
        let hasher = Hasher()
        bytes.withUnsafeBytes { hasher.update($0) }
        return hasher.finish()
    }

    /// SHA-256 over a stream; one thread at a time.
    package final class Hasher {
        private let context: OpaquePointer

        package init() {
            // SAFETY: OpenSSL answers null only when memory has run out, where nothing could go on.
            context = EVP_MD_CTX_new()!
            EVP_DigestInit_ex(context, EVP_sha256(), nil)
        }

        deinit { EVP_MD_CTX_free(context) }

        package func update(_ bytes: UnsafeRawBufferPointer) {
            if bytes.count > 0 { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }
        }

        /// The digest of all bytes so far; the hasher is spent.
        package func finish() -> Digest {
            var bytes = [UInt8](repeating: 0, count: 32)
            EVP_DigestFinal_ex(context, &bytes, nil)
            return Digest(hexadecimal: Hex.encode(bytes))
        }
    }
}

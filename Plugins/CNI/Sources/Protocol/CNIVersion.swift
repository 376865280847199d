/// A version of the CNI specification, such as 1.0.0.
struct CNIVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
    let major: Int
    let minor: Int
    let patch: Int

    init(_ major: Int, _ minor: Int, _ patch: Int) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// Nil for anything but three numbers with dots between them.
    init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { part in
            part.allSatisfy { $0.isASCII && $0.isNumber } ? Int(part) : nil
        }
        guard parts.count == 3, let major = parts[0], let minor = parts[1], let patch = parts[2] else { return nil }
        self.init(major, minor, patch)
    }

    /// All that hostd speaks.
    static let supported = [
        CNIVersion(0, 1, 0), CNIVersion(0, 2, 0), CNIVersion(0, 3, 0), CNIVersion(0, 3, 1), CNIVersion(0, 4, 0),
        CNIVersion(1, 0, 0), CNIVersion(1, 1, 0),
    ]

    /// Results are passed along a chain of plugins.
    var hasChains: Bool { self >= CNIVersion(0, 3, 0) }
    /// CHECK exists, and DEL is told the result of ADD.
    var hasCheck: Bool { self >= CNIVersion(0, 4, 0) }
    /// GC and STATUS exist.
    var hasGarbageCollection: Bool { self >= CNIVersion(1, 1, 0) }

    var description: String { "\(major).\(minor).\(patch)" }

    static func < (left: CNIVersion, right: CNIVersion) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }
}

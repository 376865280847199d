/// A version of an expression. See https://semver.org.
struct CELVersion: CELOpaque {
    static let typeName = "kubernetes.Semver"
    let core: [UInt64]
    let prerelease: [Substring]
    let build: String
    let text: String?

    var typeName: String { Self.typeName }

    /// What is said of builds does not count.
    func equals(_ other: any CELOpaque) -> Bool { (other as? CELVersion).map { compare($0) == 0 } ?? false }

    /// - Parameters:
    ///   - isLenient: Whether a leading `v`, missing parts and leading zeros are let through.
    init(parsing text: String, isLenient: Bool) throws(CELError) {
        var rest = Substring(text)
        if isLenient, rest.hasPrefix("v") { rest = rest.dropFirst() }
        let withoutBuild = rest.prefix { $0 != "+" }
        build = String(rest.dropFirst(withoutBuild.count))
        let coreText = withoutBuild.prefix { $0 != "-" }
        let suffix = withoutBuild.dropFirst(coreText.count)
        var numbers: [UInt64] = []
        let parts = coreText.split(separator: ".", omittingEmptySubsequences: false)
        guard isLenient || parts.count >= 3 else { throw CELError("No Major.Minor.Patch elements found") }
        for part in parts {
            guard !part.isEmpty, part.utf8.allSatisfy({ $0 &- 0x30 < 10 }), let number = UInt64(part) else {
                throw CELError("Invalid character(s) found in version number \"\(part)\"")
            }
            guard isLenient || part.count == 1 || !part.hasPrefix("0") else {
                throw CELError("Version number must not contain leading zeroes \"\(part)\"")
            }
            numbers.append(number)
        }
        if isLenient { while numbers.count < 3 { numbers.append(0) } }
        guard numbers.count == 3 else { throw CELError("No Major.Minor.Patch elements found") }
        core = numbers
        prerelease = suffix.isEmpty ? [] : suffix.dropFirst().split(separator: ".", omittingEmptySubsequences: false)
        for part in prerelease
            + (build.isEmpty ? [] : build.dropFirst().split(separator: ".", omittingEmptySubsequences: false))
        {
            let isName =
                !part.isEmpty && part.utf8.allSatisfy { $0 &- 0x30 < 10 || ($0 | 0x20) &- 0x61 < 26 || $0 == 0x2D }
            guard isName else { throw CELError("Invalid character(s) found in prerelease or build \"\(part)\"") }
        }
        self.text = numbers.map { "\($0)" }.joined(separator: ".") + suffix + build
    }

    /// Below, at or above 0 when this comes before, with or after the other.
    func compare(_ other: CELVersion) -> Int64 {
        for (left, right) in zip(core, other.core) where left != right { return left < right ? -1 : 1 }
        // A release comes after what precedes it.
        if prerelease.isEmpty || other.prerelease.isEmpty {
            return prerelease.isEmpty == other.prerelease.isEmpty ? 0 : prerelease.isEmpty ? 1 : -1
        }
        for (left, right) in zip(prerelease, other.prerelease) where left != right {
            switch (UInt64(left), UInt64(right)) {
            case (let left?, let right?): return left < right ? -1 : 1
            case (_?, nil): return -1
            case (nil, _?): return 1
            case (nil, nil): return left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : 1
            }
        }
        return prerelease.count == other.prerelease.count ? 0 : prerelease.count < other.prerelease.count ? -1 : 1
    }
}

extension CELLibrary {
    /// `semver` and what it can be asked.
    public static let versions = CELLibrary("versions", versionMaking + versionParts)

    private static let versionMaking: [Overload] = [
        .unary("semver(string): kubernetes.Semver", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            .opaque(try CELVersion(parsing: try text.string(), isLenient: false))
        },
        .binary("semver(string, bool): kubernetes.Semver", cost: .traversal(of: 0, times: 1)) {
            text, isLenient throws(CELError) in
            .opaque(try CELVersion(parsing: try text.string(), isLenient: try isLenient.bool()))
        },
        .unary("isSemver(string): bool", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            .bool((try? CELVersion(parsing: try text.string(), isLenient: false)) != nil)
        },
        .binary("isSemver(string, bool): bool", cost: .traversal(of: 0, times: 1)) { text, isLenient throws(CELError) in
            .bool((try? CELVersion(parsing: try text.string(), isLenient: try isLenient.bool())) != nil)
        },
    ]

    private static let versionParts: [Overload] =
        ["major", "minor", "patch"].enumerated().map { index, name in
            .unary("kubernetes.Semver . \(name)(): int") { value throws(CELError) in
                .int(Int64(clamping: try value.opaque(CELVersion.self).core[index]))
            }
        } + [
            .binary("kubernetes.Semver . isLessThan(kubernetes.Semver): bool") { left, right throws(CELError) in
                .bool(try left.opaque(CELVersion.self).compare(try right.opaque(CELVersion.self)) < 0)
            },
            .binary("kubernetes.Semver . isGreaterThan(kubernetes.Semver): bool") { left, right throws(CELError) in
                .bool(try left.opaque(CELVersion.self).compare(try right.opaque(CELVersion.self)) > 0)
            },
            .binary("kubernetes.Semver . compareTo(kubernetes.Semver): int") { left, right throws(CELError) in
                .int(try left.opaque(CELVersion.self).compare(try right.opaque(CELVersion.self)))
            },
        ]
}

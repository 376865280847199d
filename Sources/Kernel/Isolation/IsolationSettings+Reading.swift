import Objects

extension IsolationSettings {
    /// Keys of a plugin's entry that are read here.
    static let keys = ["isolation", "grants", "limits", "callTimeout"]

    init(_ scope: ConfigurationScope) throws(ConfigurationError) {
        let modes = Mode.allCases.map(\.rawValue)
        mode = Mode(rawValue: try scope.choice("isolation", of: modes, default: Mode.shared.rawValue)) ?? .shared
        if mode == .shared {
            for key in Self.keys.dropFirst() where scope.entry(key) != nil {
                throw scope.failure(
                    key, "means something with `isolation: process` only: add that, or take \(key) away")
            }
        }
        grants = try Self.readGrants(scope)
        limits = try Limits(scope)
        callTimeout = try Self.readTimeout(scope) ?? callTimeout
    }

    private static func readGrants(_ scope: ConfigurationScope) throws(ConfigurationError) -> [Grant] {
        var grants: [Grant] = []
        for (index, element) in try (scope.elements("grants") ?? []).enumerated() {
            func failure(_ message: String) -> ConfigurationError {
                ConfigurationError(
                    file: scope.file, mark: element.mark, keyPath: "\(scope.path("grants"))[\(index)]", message: message
                )
            }
            guard let text = element.json.stringValue else {
                throw failure("expected a grant such as store.read, found \(element.description)")
            }
            let grant: Grant
            do throws(Grant.Mistake) { grant = try Grant(parsing: text) } catch { throw failure(error.message) }
            guard !grants.contains(grant) else { throw failure("\"\(text)\" is there twice") }
            grants.append(grant)
        }
        return grants
    }

    private static func readTimeout(_ scope: ConfigurationScope) throws(ConfigurationError) -> UInt64? {
        guard let text = try scope.text("callTimeout") else { return nil }
        let nanoseconds = (try? GoDuration(parsing: text))?.nanoseconds
        guard let nanoseconds, (10_000_000...3_600_000_000_000).contains(nanoseconds) else {
            throw scope.failure("callTimeout", "\"\(text)\" is not a duration from 10ms to 1h, such as 10s")
        }
        return UInt64(nanoseconds)
    }
}

extension IsolationSettings.Limits {
    fileprivate init(_ scope: ConfigurationScope) throws(ConfigurationError) {
        self.init()
        guard let entry = scope.entry("limits") else { return }
        let limits = try ConfigurationScope(
            file: scope.file, keyPath: scope.path("limits"), node: entry.value,
            allowed: ["memory", "cpu", "pids", "files"])
        if let quantity = try Self.quantity(limits, "memory", such: "256Mi") {
            guard quantity.value >= 16 << 20 else {
                throw limits.failure("memory", "is less than 16Mi, which no plugin could start in")
            }
            memory = quantity.value
        }
        if let quantity = try Self.quantity(limits, "cpu", such: "500m") {
            guard (10...1_000_000).contains(quantity.milliValue) else {
                throw limits.failure("cpu", "is not between 10m and 1000 processors")
            }
            milliCPU = quantity.milliValue
        }
        processes = try Self.number(limits, "pids", 16...1_000_000) ?? processes
        files = try Self.number(limits, "files", 32...1_000_000) ?? files
    }

    private static func quantity(
        _ scope: ConfigurationScope, _ key: String, such example: String
    ) throws(ConfigurationError) -> Quantity? {
        guard let text = try scope.text(key) else { return nil }
        guard let quantity = try? Quantity(parsing: text), !quantity.isNegative else {
            throw scope.failure(key, "\"\(text)\" is not an amount such as \(example)")
        }
        return quantity
    }

    private static func number(
        _ scope: ConfigurationScope, _ key: String, _ range: ClosedRange<Int64>
    ) throws(ConfigurationError) -> Int64? {
        guard let entry = scope.entry(key) else { return nil }
        guard let value = entry.value.json.integerValue, range.contains(value) else {
            throw scope.failure(
                key,
                "expected a whole number from \(range.lowerBound) to \(range.upperBound), found \(entry.value.description)"
            )
        }
        return value
    }
}

extension IsolationSettings {
    /// Members of a plugin's report: isolation, grants, limits, callTimeout.
    var report: [String: JSON] {
        guard mode == .process else { return ["isolation": .string(mode.rawValue)] }
        return [
            "isolation": .string(mode.rawValue), "grants": .array(grants.map { .string($0.description) }),
            "limits": [
                "memory": .string(Quantity(limits.memory, format: .binary).description),
                "cpu": .string(limits.milliCPU == 0 ? "" : Quantity(milliValue: limits.milliCPU).description),
                "pids": .integer(limits.processes), "files": .integer(limits.files),
            ], "callTimeout": .string(GoDuration(nanoseconds: Int64(callTimeout)).description),
        ]
    }
}

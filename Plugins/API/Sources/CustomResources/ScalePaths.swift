import Objects

/// Where an object of a custom resource has the numbers of its scale subresource: names of members, as they stand between the
/// dots of the definition's paths. Pure.
struct ScalePaths: Sendable {
    let replicas: [String]
    let statusReplicas: [String]
    let selector: [String]?

    /// - Parameter entry: `subresources.scale` of a definition's version; nil when that is none.
    init?(_ entry: JSON) {
        guard let replicas = entry["specReplicasPath"].stringValue, let status = entry["statusReplicasPath"].stringValue
        else { return nil }
        self.replicas = Self.names(replicas)
        statusReplicas = Self.names(status)
        selector = entry["labelSelectorPath"].stringValue.map(Self.names)
    }

    private static func names(_ path: String) -> [String] {
        (path.hasPrefix(".") ? path.dropFirst() : path[...]).split(separator: ".", omittingEmptySubsequences: false)
            .map(String.init)
    }

    static func text(_ path: [String]) -> String { path.map { ".\($0)" }.joined() }

    /// Something on the way, or at its end, is of another type; in Kubernetes' words.
    struct AccessError: Error {
        let message: String

        init(_ path: some Collection<String>, _ value: JSON, expected: String) {
            message =
                "\(ScalePaths.text(Array(path))) accessor error: \(value.printedText) is of the type \(value.goTypeName), "
                + "expected \(expected)"
        }
    }

    /// Nil when something on the way is absent.
    private static func value(_ path: [String], in object: JSON) throws(AccessError) -> JSON? {
        var current = object
        for (index, name) in path.enumerated() {
            guard current.exists else { return nil }
            guard let members = current.objectValue else {
                throw AccessError(path[...index], current, expected: "map[string]interface{}")
            }
            guard let next = members[name] else { return nil }
            current = next
        }
        return current
    }

    static func integer(_ path: [String], in object: JSON) throws(AccessError) -> Int64? {
        guard let value = try value(path, in: object) else { return nil }
        guard case .integer(let number) = value else { throw AccessError(path, value, expected: "int64") }
        return number
    }

    static func string(_ path: [String], in object: JSON) throws(AccessError) -> String? {
        guard let value = try value(path, in: object) else { return nil }
        guard let text = value.stringValue else { throw AccessError(path, value, expected: "string") }
        return text
    }

    /// What an object has there that no scale can show.
    /// - Parameter isStatus: Whether only the status was written.
    func faults(in object: JSON, isStatus: Bool = false) -> [APIStatus.Cause] {
        var causes = isStatus ? [] : Self.faults(ofNumberAt: replicas, in: object)
        causes += Self.faults(ofNumberAt: statusReplicas, in: object)
        guard let selector else { return causes }
        do throws(AccessError) {
            _ = try Self.string(selector, in: object)
        } catch {
            causes.append(.invalid(Self.text(selector), "", error.message))
        }
        return causes
    }

    private static func faults(ofNumberAt path: [String], in object: JSON) -> [APIStatus.Cause] {
        do throws(AccessError) {
            let number = try integer(path, in: object) ?? 0
            if number < 0 { return [.invalid(text(path), .integer(number), "should be a non-negative integer")] }
            if number > Int64(Int32.max) {
                return [
                    .invalid(text(path), .integer(number), "should be less than or equal to \(Int32.max)")
                ]
            }
            return []
        } catch {
            return [.invalid(text(path), 0, error.message)]
        }
    }
}

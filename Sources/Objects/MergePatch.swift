/// JSON Merge Patch (RFC 7386).
public enum MergePatch {
    /// Null members of the patch remove, objects merge, everything else replaces. Complexity: O(patch + touched objects).
    public static func apply(_ patch: JSON, to target: JSON) throws -> JSON {
        merge(patch, target)
    }

    private static func merge(_ patch: JSON, _ target: JSON) -> JSON {
        guard case .object(let changes) = patch else { return patch }
        var result = target.objectValue ?? JSONObject()
        var removes = false
        for (key, value) in changes {
            if value.isNull {
                removes = true
            } else if case .object = value {
                result[key] = merge(value, result[key] ?? .null)
            } else {
                result[key] = value
            }
        }
        if removes { result.removeAll { key, _ in changes[key]?.isNull == true } }
        return .object(result)
    }

    /// The patch that makes `new` of `old`: removed members become null.
    public static func difference(from old: JSON, to new: JSON) -> JSON {
        guard case .object(let before) = old, case .object(let after) = new else { return new }
        var patch = JSONObject()
        for (key, value) in before where !after.contains(key) && !value.isNull { patch[key] = .null }
        for (key, value) in after {
            guard let previous = before[key] else {
                patch[key] = value
                continue
            }
            if previous == value { continue }
            if case .object = previous, case .object = value {
                patch[key] = difference(from: previous, to: value)
            } else {
                patch[key] = value
            }
        }
        return .object(patch)
    }
}

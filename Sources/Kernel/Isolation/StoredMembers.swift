import Objects

/// Compares two versions of a stored object for plugins that may change some of its members only. Pure.
enum StoredMembers {
    /// The first thing beyond `allowed` in which the two differ, in words; nil when there is none.
    static func difference(
        old: UnsafeRawBufferPointer, new: UnsafeRawBufferPointer, oldIndex: UnsafeRawBufferPointer,
        newIndex: UnsafeRawBufferPointer, allowed: Set<String>
    ) -> String? {
        guard let before = try? JSON(parsing: old).objectValue, let after = try? JSON(parsing: new).objectValue else {
            return "a value that is no JSON object"
        }
        for key in before.keys + after.keys where !allowed.contains(key) && before[key] != after[key] {
            return "the member \(key)"
        }
        guard fixedEntries(oldIndex, allowed) == fixedEntries(newIndex, allowed) else {
            return "what selectors see of other members"
        }
        return nil
    }

    /// The pairs of an index that do not come from allowed members, sorted: labels, and fields such as ".spec.nodeName".
    private static func fixedEntries(_ index: UnsafeRawBufferPointer, _ allowed: Set<String>) -> [[String]] {
        let parts = index.split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        var entries: [[String]] = []
        for start in stride(from: 0, to: parts.count - 1, by: 2) {
            let name = parts[start]
            let member = name.hasPrefix(".") ? name.dropFirst().prefix { $0 != "." } : ""
            if !allowed.contains(String(member)) { entries.append([name, parts[start + 1]]) }
        }
        return entries.sorted { $0.lexicographicallyPrecedes($1) }
    }
}

/// The resource of a key or prefix, "pods" of "pods/default/web-1"; nil when it names none as a whole.
func storeResource(_ key: UnsafeRawBufferPointer) -> String? {
    guard let slash = key.firstIndex(of: UInt8(ascii: "/")), slash > 0 else { return nil }
    return String(decoding: key[..<slash], as: UTF8.self)
}

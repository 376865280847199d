/// What to do about a store that cannot be opened, as the commands to type.
enum StoreRemedy {
    /// For a damaged file: how its whole store is brought back from a copy. A file that lies in no store is such a copy.
    static func restore(_ path: String) -> String {
        let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let name = path.dropFirst(path.lastIndex(of: "/").map { path.distance(from: path.startIndex, to: $0) + 1 } ?? 0)
        let isOfAStore = name == "LOCK" || name.hasPrefix("log-") || name.hasPrefix("snapshot-")
        guard isOfAStore else { return "take another copy" }
        let data = directory.hasSuffix("/store") ? String(directory.dropLast("/store".count)) : directory
        return "restore a backup, which keeps the damaged store aside: "
            + "hostd store restore BACKUP --data \(data.isEmpty ? "/" : data) --replace"
    }
}

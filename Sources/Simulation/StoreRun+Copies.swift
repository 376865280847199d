import Glibc
import Kernel
import PluginAPI

extension StoreRun {
    private static let mostBackups = 3

    /// Makes a copy of the store while others write, puts it into a directory of its own, and looks at what a store shows
    /// that begins from it.
    func backUp(_ client: Int) {
        guard backups < Self.mostBackups, let store else { return }
        backups += 1
        let place = "/var/restored-\(backups)"
        _ = perform(client, .backup) { () -> Response in
            do throws(StoreError) {
                _ = disk.makeDirectory(place)
                let file = disk.open("\(place)/backup", flags: O_WRONLY | O_CREAT | O_TRUNC)
                guard file >= 0 else {
                    return .failed(HOSTD_ERROR_UNAVAILABLE, revision: nil, step: nil, message: "no file for a backup")
                }
                let revision = try store.backup(to: file).revision
                let digits = String(revision)
                let name = "snapshot-" + String(repeating: "0", count: 20 - digits.count) + digits
                _ = disk.rename("\(place)/backup", "\(place)/\(name)")
                return try restored(place, revision)
            } catch {
                return .failed(error.code, revision: nil, step: nil, message: error.message)
            }
        }
        for path in disk.paths where path.hasPrefix(place + "/") { _ = disk.remove(path) }
    }

    private func restored(_ place: String, _ revision: UInt64) throws(StoreError) -> Response {
        var options = plan.options
        // A backup needs the keys of its time, whatever became of them since.
        if let keyFile { options.encryption = keyFile.settingsOfAll }
        let store = try StateStore(directory: place, options: options)
        defer { store.close() }
        // Its leases may end while it opens.
        return StoreClient(store).perform(
            .list(prefix: "", app: nil, revision: revision, limit: 0, after: ""), scheduler: scheduler)
    }

    /// No value of an encrypted resource stands on the disk as it is.
    func lookForPlainValues() {
        var tags: Set<UInt64> = []
        for operation in history.operations.suffix(plan.encryptsFrom == 1 ? 60 : .max) {
            guard case .write(let steps) = operation.request else { continue }
            for step in steps where step.isPut && step.key.hasPrefix("pods/") { tags.insert(step.tag) }
        }
        // A copy that was made before values were encrypted has plain ones.
        let places = plan.encryptsFrom == 1 ? "/" : directory + "/"
        for path in disk.paths where path.hasPrefix(places) {
            guard let contents = disk.contents(path), let tag = Self.plainValue(of: tags, in: contents) else {
                continue
            }
            return problems.append("\(path) has the value \(tag) of a pod as it is")
        }
    }

    /// One of the tags whose value begins somewhere in these bytes.
    private static func plainValue(of tags: Set<UInt64>, in contents: [UInt8]) -> UInt64? {
        let size = 24
        guard contents.count >= size else { return nil }
        return contents.withUnsafeBytes { bytes in
            for offset in 0...(bytes.count - size) {
                let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                guard word != 0, tags.contains(word) else { continue }
                let value = Payload.bytes(word)
                if value.count >= size, bytes[offset..<(offset + size)].elementsEqual(value.prefix(size)) {
                    return word
                }
            }
            return nil
        }
    }
}

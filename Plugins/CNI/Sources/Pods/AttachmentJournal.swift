import Glibc
import Objects
import PluginKit

/// What has to be undone by CNI plugins: written before ADD, removed after DEL, so that a crash at any point, and a time
/// under another network plugin, leave nothing that nobody knows of.
struct AttachmentJournal: Sendable {
    struct Entry: Sendable, Equatable {
        /// The configuration that ADD had: DEL gets the same, whatever is configured by then.
        let list: NetworkList
        let request: CNIRequest
        /// Nil until ADD has succeeded.
        var result: CNIResult?

        init(list: NetworkList, request: CNIRequest, result: CNIResult? = nil) {
            self.list = list
            self.request = request
            self.result = result
        }

        var json: JSON {
            var json: JSONObject = ["list": list.json, "request": request.json]
            if let result { json["result"] = result.json }
            return .object(json)
        }

        init?(_ json: JSON) {
            guard let request = CNIRequest(json["request"]) else { return nil }
            do { list = try NetworkList(json["list"], source: "journal") } catch { return nil }
            self.request = request
            result = json["result"].exists ? CNIResult(json["result"]) : nil
        }
    }

    let directory: String

    func prepare() throws(PluginError) { try AtomicFile.makeDirectory(directory, mode: 0o700) }

    /// All entries by sandbox, and the names of files that cannot be read, which stay where they are.
    func load() throws -> (entries: [String: Entry], unreadable: [String]) {
        var entries: [String: Entry] = [:]
        var unreadable: [String] = []
        for name in try FileTree.names(in: directory) where name.hasSuffix(".json") {
            let sandbox = String(name.dropLast(5))
            if let entry = try read("\(directory)/\(name)"), entry.request.container == sandbox {
                entries[sandbox] = entry
            } else {
                unreadable.append(name)
            }
        }
        return (entries, unreadable)
    }

    private func read(_ path: String) throws -> Entry? {
        let bytes = try AtomicFile.read(path, limit: 4 << 20)
        do { return Entry(try JSON(parsing: bytes)) } catch { return nil }
    }

    func save(_ entry: Entry) throws(PluginError) {
        try AtomicFile.write(
            entry.json.serialized(), to: "\(directory)/\(entry.request.container).json", isDurable: false)
    }

    func remove(sandbox: String) throws(PluginError) {
        let path = "\(directory)/\(sandbox).json"
        guard unlink(path) == 0 || errno == ENOENT else { throw .system("remove", path, errno: errno) }
    }
}

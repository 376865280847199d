import Glibc
import Objects
import PluginAPI

/// Reads a store for an operator: through the hostd that runs, or from its files when none does.
public final class StoreAccess {
    private enum Way {
        case running(ControlClient)
        case files(StateStore)
    }
    private let way: Way

    public init(running client: ControlClient) { way = .running(client) }

    /// Opens the embedded store of a data directory, which the caller has locked. [blocking]
    public init(dataDirectory: String, encryption: EncryptionSettings?) throws(StoreError) {
        var options = StateStoreOptions()
        options.encryption = encryption
        options.historySeconds = 0
        way = .files(try StateStore(directory: "\(dataDirectory)/store", options: options))
    }

    public func close() { if case .files(let store) = way { store.close() } }

    /// Calls `body` with what lies under a prefix (or at one key) at a revision (0 = the latest), as JSON, in order. The
    /// revision that was read.
    @discardableResult
    public func forEach(
        under prefix: String, revision: UInt64 = 0, _ body: (JSON) throws(StoreError) -> Void
    ) throws(StoreError) -> UInt64 {
        let parts = prefix.split(separator: "/", omittingEmptySubsequences: false)
        let isKey = parts.count == 3 && !parts[2].isEmpty
        let listed = isKey ? "\(parts[0])/\(parts[1])/" : prefix
        var (at, after) = (revision, "")
        while true {
            let page = try page(listed, revision: at, after: after, limit: 200)
            at = page.revision
            var last = after
            try page.forEach { bytes throws(StoreError) in
                let record = StoredParts(bytes)
                last = record.key.text
                if !isKey || last == prefix { try body(RecordText.json(record, time: 0, writer: nil)) }
            }
            guard page.hasMore else { return at }
            after = last
        }
    }

    /// The resources that have keys at a revision.
    public func resources(revision: UInt64 = 0) throws(StoreError) -> [String] {
        var (found, after): ([String], String) = ([], "")
        while true {
            var next: String?
            try page("", revision: revision, after: after, limit: 1).forEach { bytes throws(StoreError) in
                next = StoredParts(bytes).key.text
            }
            guard let name = next?.prefix(while: { $0 != "/" }) else { return found }
            found.append(String(name))
            after = "\(name)/\u{10FFFF}/\u{10FFFF}"
        }
    }

    private func page(
        _ prefix: String, revision: UInt64, after: String, limit: UInt64
    ) throws(StoreError) -> StoreReader.Page {
        switch way {
        case .running(let client):
            let answer = try Self.call(
                client, "list",
                [.string(prefix), .string(""), JSON(revision), JSON(limit), .string(after)], isBinary: true)
            guard let bytes = answer["base64"].stringValue.flatMap({ Base64.decode($0) }) else {
                throw StoreError(HOSTD_ERROR_INTERNAL, "the running hostd returned no page")
            }
            return try StoreReader.Page(ownedBuffer(bytes))
        case .files(let store):
            return try StoreReader(store.makeInterface()).list(
                prefix: Array(prefix.utf8), revision: revision, limit: limit, after: Array(after.utf8))
        }
    }

    /// As `hostd_store_1.history`.
    public func history(of key: String, limit: UInt64) throws(StoreError) -> JSON {
        switch way {
        case .running(let client):
            return try Self.call(client, "history", [.string(key), JSON(limit)])["value"]
        case .files(let store):
            let bytes = Array(key.utf8)
            return try bytes.withUnsafeBufferPointer { bytes throws(StoreError) in
                try store.history(of: UnsafeRawBufferPointer(bytes), limit: Int(clamping: limit))
            }
        }
    }

    /// The newest revision at or before a time, milliseconds since 1970.
    public func revision(at time: UInt64) throws(StoreError) -> UInt64 {
        switch way {
        case .running(let client):
            let number = try Self.call(client, "revision_at", [JSON(time)])["number"].integerValue
            return number.map(UInt64.init(clamping:)) ?? 0
        case .files(let store): return try store.revision(at: time)
        }
    }

    private static func call(
        _ client: ControlClient, _ slot: String, _ arguments: [JSON], isBinary: Bool = false
    ) throws(StoreError) -> JSON {
        var request: JSON = [
            "command": "call", "role": .string(HOSTD_STORE_1), "slot": .string(slot), "arguments": .array(arguments),
        ]
        if isBinary { request["encoding"] = "base64" }
        do throws(ControlFailure) { return try client.request(request) } catch {
            throw StoreError(error.code, error.message)
        }
    }
}

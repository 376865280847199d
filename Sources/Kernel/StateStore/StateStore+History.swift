import Objects
import PluginAPI

extension StateStore {
    /// What a key held at each revision that is kept, as `hostd_store_1.history` describes it, oldest first.
    func history(of key: UnsafeRawBufferPointer, limit: Int) throws(StoreError) -> JSON {
        try StoreKey.check(key)
        let (records, compacted) = parts.lock.reading { () -> ([Record], UInt64) in
            var records: [Record] = []
            var record = parts.tree.newest(key)
            while let one = record, limit == 0 || records.count < limit {
                one.retain()
                records.append(one)
                record = planted(.historySkipsVersion) ? one.previous?.previous ?? one.previous : one.previous
            }
            return (records, parts.tree.compactedRevision)
        }
        defer { for record in records { record.release() } }
        guard !records.isEmpty else {
            throw StoreError(
                HOSTD_ERROR_NOT_FOUND,
                "\(key.text) does not exist, and did not since revision \(compacted), where the history begins")
        }
        let versions = records.reversed().map { record in
            RecordText.json(
                StoredParts(record.raw), time: record.time, writer: parts.writers.writer(record.writer))
        }
        return [
            "key": .string(key.text), "compactedRevision": JSON(compacted), "versions": .array(versions),
        ]
    }

    /// The newest revision at or before a time, milliseconds since 1970.
    func revision(at time: UInt64) throws(StoreError) -> UInt64 {
        let (found, compacted, begin) = parts.lock.reading {
            (parts.tree.revision(at: time), parts.tree.compactedRevision, parts.tree.compactedTime)
        }
        if let found { return found }
        let since = begin == 0 ? "" : " of \(RecordText.time(begin))"
        throw StoreError(
            HOSTD_ERROR_COMPACTED,
            "the state at \(RecordText.time(time)) is no longer kept; the history begins at revision \(compacted)\(since)"
        )
    }
}

/// Records as people and programs read them.
enum RecordText {
    /// RFC 3339 with milliseconds; "" for a time that is not known.
    static func time(_ milliseconds: UInt64) -> String {
        if milliseconds == 0 { return "" }
        let text = Timestamp(seconds: Int64(clamping: milliseconds / 1000)).formatted()
        let digits = String(milliseconds % 1000)
        return text.dropLast() + "." + String(repeating: "0", count: 3 - digits.count) + digits + "Z"
    }

    /// One version of a key, an entry of `versions` in the answer of `hostd_store_1.history`.
    static func json(_ parts: StoredParts, time: UInt64, writer: Writer?) -> JSON {
        var json: JSONObject = [
            "key": .string(parts.key.text), "revision": JSON(parts.head.revision),
            "createRevision": JSON(parts.head.create_revision),
            "version": JSON(parts.head.version), "kind": parts.head.kind == Record.Kind.put ? "put" : "delete",
            "time": .string(Self.time(time)), "user": .string(writer?.user ?? ""),
            "manager": .string(writer?.manager ?? ""), "lease": JSON(parts.head.lease), "index": index(parts.index),
        ]
        guard parts.head.kind == Record.Kind.put else { return .object(json) }
        if let value = try? JSON(parsing: parts.value) {
            json["value"] = value
        } else if let text = String(validating: parts.value, as: UTF8.self) {
            json["text"] = .string(text)
        } else {
            json["base64"] = .string(Base64.encode(Array(parts.value), .standard))
        }
        return .object(json)
    }

    private static func index(_ bytes: UnsafeRawBufferPointer) -> JSON {
        var object = JSONObject()
        var name: String?
        for part in bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false) where !bytes.isEmpty {
            let text = String(decoding: part, as: UTF8.self)
            if let known = name {
                object[known] = .string(text)
                name = nil
            } else {
                name = text
            }
        }
        return .object(object)
    }
}

import Objects
import PluginAPI
import PluginKit

extension EtcdStore {
    /// Walks from a key's newest revision back to those before it, as far as etcd keeps them. Etcd tells the revision of a
    /// deletion only to watches: where one lies between two lives of the key, the older life is not shown.
    func history(of key: UnsafeRawBufferPointer, limit: UInt64) throws -> JSON {
        try KeySpace.check(key: key)
        let name = String(decoding: key, as: UTF8.self)
        var versions: [JSON] = []
        var revision: Int64 = 0
        while limit == 0 || versions.count < Int(clamping: limit) {
            let found: KeyValue?
            do throws(PluginError) {
                found = try client.range(RangeRequest(key: keys.key(key), revision: revision)).keyValues.first
            } catch {
                if error.code == HOSTD_ERROR_COMPACTED && !versions.isEmpty { break }
                throw error
            }
            guard let found else { break }
            versions.append(try version(found))
            guard found.modRevision > found.createRevision else { break }
            revision = found.modRevision - 1
        }
        guard !versions.isEmpty else { throw PluginError.notFound("\(name) does not exist") }
        return [
            "key": .string(name), "compactedRevision": JSON(compactedRevision), "versions": .array(versions.reversed()),
        ]
    }

    private func version(_ found: KeyValue) throws -> JSON {
        let (index, value) = try KeySpace.unpack(found.value)
        let provenance = try KeySpace.provenance(found.value)
        let writer = (provenance?.writer ?? "").split(
            separator: "\0", maxSplits: 1, omittingEmptySubsequences: false)
        var json: JSONObject = [
            "revision": JSON(keys.revision(found.modRevision)),
            "createRevision": JSON(keys.revision(found.createRevision)), "version": JSON(found.version), "kind": "put",
            "time": .string(provenance.map { Self.text($0.time) } ?? ""),
            "user": .string(writer.first.map(String.init) ?? ""),
            "manager": .string(writer.count > 1 ? String(writer[1]) : ""),
            "lease": JSON(UInt64(bitPattern: found.lease)),
            "index": .object(
                JSONObject(IndexText(bytes: index).pairs.map { ($0.name, JSON.string($0.value)) })),
        ]
        if let parsed = try? JSON(parsing: Array(value)) {  // What is no JSON is shown as it is.
            json["value"] = parsed
        } else if let text = String(validating: value, as: UTF8.self) {
            json["text"] = .string(text)
        } else {
            json["base64"] = .string(Base64.encode(value))
        }
        return .object(json)
    }

    private static func text(_ milliseconds: UInt64) -> String {
        Timestamp(
            seconds: Int64(clamping: milliseconds / 1000), nanoseconds: Int32(milliseconds % 1000) * 1_000_000
        ).formatted(fraction: .micro)
    }

    /// Etcd dates no revisions.
    func revision(at time: UInt64) throws -> UInt64 {
        throw PluginError.notSupported("etcd does not know when its revisions were written: name a revision")
    }
}

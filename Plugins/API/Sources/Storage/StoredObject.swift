import CEpoll
import Glibc
import Objects
import PluginKit

/// The bytes of stored objects, and how they go out without being parsed: a stored value lacks its resource version,
/// which is the record's revision and is put in behind `"metadata":{`.
enum StoredObject {
    private static let metadataOpening = Array("\"metadata\":{".utf8)

    /// Where the members of `metadata` begin; nil when the value has none, which nothing stored by this server lacks.
    static func metadataStart(_ value: UnsafeRawBufferPointer) -> Int? {
        guard let base = value.baseAddress,
            let found = memmem(base, min(value.count, 512), metadataOpening, metadataOpening.count)
        else { return nil }
        return UnsafeRawPointer(found) - base + metadataOpening.count
    }

    /// Appends an object with its resource version.
    static func write(_ value: UnsafeRawBufferPointer, revision: UInt64, into output: inout [UInt8]) {
        guard let start = metadataStart(value) else {
            output.append(contentsOf: value)
            return
        }
        output.append(contentsOf: UnsafeRawBufferPointer(rebasing: value[..<start]))
        output.append(contentsOf: "\"resourceVersion\":\"".utf8)
        writeNumber(revision, into: &output)
        output.append(0x22)
        if start < value.count, value[start] != 0x7D { output.append(0x2C) }
        output.append(contentsOf: UnsafeRawBufferPointer(rebasing: value[start...]))
    }

    /// An object with its resource version, as one array.
    static func bytes(_ value: UnsafeRawBufferPointer, revision: UInt64) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(value.count + 48)
        write(value, revision: revision, into: &output)
        return output
    }

    static func bytes(_ record: StoreRecord) -> [UInt8] {
        record.withValue { bytes($0, revision: record.revision) }
    }

    static func writeNumber(_ number: UInt64, into output: inout [UInt8]) {
        output.append(contentsOf: String(number).utf8)
    }

    /// The members in the order in which they are stored: apiVersion, kind, metadata, then the others as they came.
    /// The resource version is left out.
    static func normalized(_ object: JSON) -> JSON {
        guard case .object(let members) = object, !isNormalized(members) else { return object }
        var result = JSONObject(minimumCapacity: members.count)
        result["apiVersion"] = members["apiVersion"] ?? .null
        result["kind"] = members["kind"] ?? .null
        var metadata = members["metadata"]?.objectValue ?? [:]
        metadata.removeValue(forKey: "resourceVersion")
        metadata.removeValue(forKey: "selfLink")
        result["metadata"] = .object(metadata)
        for (key, value) in members where key != "apiVersion" && key != "kind" && key != "metadata" {
            result[key] = value
        }
        return .object(result)
    }

    /// Most objects come so.
    private static func isNormalized(_ members: JSONObject) -> Bool {
        var next = members.makeIterator()
        guard next.next()?.key == "apiVersion", next.next()?.key == "kind", let third = next.next(),
            third.key == "metadata", let metadata = third.value.objectValue
        else { return false }
        return metadata["resourceVersion"] == nil && metadata["selfLink"] == nil
    }

    // MARK: - Index

    /// The index of an object: its labels, and under names with a leading dot the fields that selectors may name.
    /// - Parameter more: fields whose values are not in the object as it is stored
    static func index(
        of object: JSON, _ resource: Resource, more: [(name: String, value: String)] = []
    ) -> [UInt8] {
        var index: [UInt8] = []
        index.reserveCapacity(160)
        add(".metadata.name", object.name, to: &index)
        if resource.isNamespaced { add(".metadata.namespace", object.namespace, to: &index) }
        for field in resource.indexedFields { add(field.name, field.value(in: object), to: &index) }
        for (name, value) in more { add(name, value, to: &index) }
        if let labels = object.labels.objectValue {
            for (name, value) in labels { add(name, value.stringValue ?? "", to: &index) }
        }
        return index
    }

    private static func add(_ name: String, _ value: String, to index: inout [UInt8]) {
        index.append(contentsOf: name.utf8)
        index.append(0)
        index.append(contentsOf: value.utf8)
        index.append(0)
    }

    // MARK: - Parts

    /// The bytes of `metadata`, without its resource version; nil when the value has none.
    static func metadata(_ value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard let start = metadataStart(value) else { return nil }
        var depth = 1
        var position = start
        var inString = false
        while position < value.count {
            let byte = value[position]
            if inString {
                if byte == 0x5C { position += 1 } else if byte == 0x22 { inString = false }
            } else {
                switch byte {
                case 0x22: inString = true
                case 0x7B, 0x5B: depth += 1
                case 0x7D, 0x5D:
                    depth -= 1
                    if depth == 0 { return UnsafeRawBufferPointer(rebasing: value[(start - 1)...position]) }
                default: break
                }
            }
            position += 1
        }
        return nil
    }

    /// Appends an object's metadata alone, as kind PartialObjectMetadata.
    static func writePartial(
        _ value: UnsafeRawBufferPointer, revision: UInt64, version: String, into output: inout [UInt8]
    ) {
        output.append(
            contentsOf: "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/\(version)\",\"metadata\":"
                .utf8)
        if let metadata = metadata(value) {
            output.append(contentsOf: "{\"resourceVersion\":\"".utf8)
            writeNumber(revision, into: &output)
            output.append(0x22)
            if metadata.count > 2 { output.append(0x2C) }
            output.append(contentsOf: UnsafeRawBufferPointer(rebasing: metadata[1...]))
        } else {
            output.append(contentsOf: "{}".utf8)
        }
        output.append(0x7D)
    }
}

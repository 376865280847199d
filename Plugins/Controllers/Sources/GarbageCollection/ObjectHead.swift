import Objects

/// The head of a stored object: what ownership is decided by.
struct ObjectHead: Equatable, Sendable {
    struct Owner: Equatable, Sendable {
        var uid: String
        var blocksDeletion: Bool
        /// The reference as it stands in the object, to be written back when others are removed.
        var json: JSON
    }

    static let foreground = "foregroundDeletion"
    static let orphan = "orphan"

    /// The store key: "deployments.apps/default/web".
    var key: String
    var apiVersion: String
    var uid: String
    var revision: UInt64
    var owners: [Owner]
    var isBeingDeleted: Bool
    var finalizers: [String]

    var storeName: Substring { Substring(key.utf8.prefix { $0 != UInt8(ascii: "/") }) }
    var namespace: Substring { Substring(Self.parts(of: key)[1]) }
    var name: Substring { Substring(Self.parts(of: key)[2]) }
    /// The plural as in API paths.
    var plural: Substring { storeName.prefix { $0 != "." } }

    private static func parts(of key: String) -> [Substring.UTF8View] {
        key.utf8.split(separator: UInt8(ascii: "/"), maxSplits: 2, omittingEmptySubsequences: false)
    }

    var waitsForDependents: Bool { isBeingDeleted && finalizers.contains(Self.foreground) }
    var orphansDependents: Bool { isBeingDeleted && finalizers.contains(Self.orphan) }

    init(
        key: String, apiVersion: String = "v1", uid: String, revision: UInt64 = 1, owners: [Owner] = [],
        isBeingDeleted: Bool = false, finalizers: [String] = []
    ) {
        self.key = key
        self.apiVersion = apiVersion
        self.uid = uid
        self.revision = revision
        self.owners = owners
        self.isBeingDeleted = isBeingDeleted
        self.finalizers = finalizers
    }

    /// Reads the head of a stored value without parsing what follows its metadata. Nil when the value is no object with
    /// a key of three parts and a uid: not Kubernetes', and nobody's garbage.
    init?(key: String, value: UnsafeRawBufferPointer, revision: UInt64) {
        guard Self.parts(of: key).count == 3,
            let head = MetadataScanner.head(of: value)
        else { return nil }
        let metadata = head.metadata
        guard let uid = metadata["uid"].stringValue else { return nil }
        self.init(
            key: key, apiVersion: head.apiVersion, uid: uid, revision: revision,
            owners: metadata["ownerReferences"].arrayValue.map {
                Owner(
                    uid: $0["uid"].stringValue ?? "", blocksDeletion: $0["blockOwnerDeletion"].boolValue ?? false,
                    json: $0)
            }, isBeingDeleted: metadata["deletionTimestamp"].exists,
            finalizers: metadata["finalizers"].arrayValue.compactMap(\.stringValue))
    }
}

/// Finds `apiVersion` and `metadata` of a stored object, which come first in it, and parses of these what ownership is
/// decided by. The rest, with its long list of managed fields, is skipped.
enum MetadataScanner {
    private static let wanted = ["uid", "ownerReferences", "deletionTimestamp", "finalizers"].map { Array($0.utf8) }

    static func head(of bytes: UnsafeRawBufferPointer) -> (apiVersion: String, metadata: JSON)? {
        var position = 0
        var apiVersion = ""
        guard skip(UInt8(ascii: "{"), bytes, &position) else { return nil }
        while let key = string(bytes, &position), skip(UInt8(ascii: ":"), bytes, &position) {
            skipSpace(bytes, &position)
            if key.elementsEqual("metadata".utf8) { return members(bytes, &position).map { (apiVersion, $0) } }
            let start = position
            guard skipValue(bytes, &position) else { return nil }
            if key.elementsEqual("apiVersion".utf8) {
                apiVersion = parsed(bytes, start..<position)?.stringValue ?? ""
            }
            guard skip(UInt8(ascii: ","), bytes, &position) else { return nil }
        }
        return nil
    }

    /// The members of an object that are wanted. Nil when it is not one.
    private static func members(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> JSON? {
        guard skip(UInt8(ascii: "{"), bytes, &position) else { return nil }
        var result = JSONObject()
        if skip(UInt8(ascii: "}"), bytes, &position) { return .object(result) }
        while let key = string(bytes, &position), skip(UInt8(ascii: ":"), bytes, &position) {
            skipSpace(bytes, &position)
            let start = position
            guard skipValue(bytes, &position) else { return nil }
            if wanted.contains(where: { key.elementsEqual($0) }) {
                guard let value = parsed(bytes, start..<position) else { return nil }
                result[String(decoding: key, as: UTF8.self)] = value
            }
            if skip(UInt8(ascii: "}"), bytes, &position) { return .object(result) }
            guard skip(UInt8(ascii: ","), bytes, &position) else { return nil }
        }
        return nil
    }

    /// Stored values were written by our own writer; one that does not parse is damaged and is left alone.
    private static func parsed(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> JSON? {
        let value = UnsafeRawBufferPointer(rebasing: bytes[range])
        // Most are plain strings: a uid, a version.
        if value.first == UInt8(ascii: "\""), !value.contains(UInt8(ascii: "\\")),
            let text = String(validating: value.dropFirst().dropLast(), as: UTF8.self)
        {
            return .string(text)
        }
        return try? JSON(parsing: value)
    }

    private static func skipSpace(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) {
        while position < bytes.count, bytes[position] == 0x20 || (0x09...0x0D).contains(bytes[position]) {
            position += 1
        }
    }

    private static func skip(_ byte: UInt8, _ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Bool {
        skipSpace(bytes, &position)
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private static func string(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Slice<UnsafeRawBufferPointer>?
    {
        skipSpace(bytes, &position)
        let start = position + 1
        guard position < bytes.count, bytes[position] == UInt8(ascii: "\""), skipString(bytes, &position) else {
            return nil
        }
        return bytes[start..<(position - 1)]
    }

    private static func skipString(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Bool {
        position += 1
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\\"): position += 2
            case UInt8(ascii: "\""):
                position += 1
                return true
            default: position += 1
            }
        }
        return false
    }

    private static func skipValue(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Bool {
        var depth = 0
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                guard skipString(bytes, &position) else { return false }
                if depth == 0 { return true }
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return true }
                depth -= 1
                if depth == 0 {
                    position += 1
                    return true
                }
            case UInt8(ascii: ","): if depth == 0 { return true }
            default: break
            }
            position += 1
        }
        return false
    }
}

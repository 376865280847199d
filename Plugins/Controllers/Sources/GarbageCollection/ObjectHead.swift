import Glibc
import Objects

/// The head of a stored object: what ownership is decided by.
struct ObjectHead: Equatable, Sendable {
    struct Owner: Equatable, Sendable {
        var uid: ObjectUID
        var blocksDeletion: Bool
        /// The reference as it stands in the object, to be written back when others are removed.
        var json: JSON
    }

    static let foreground = "foregroundDeletion"
    static let orphan = "orphan"

    /// The store key: "deployments.apps/default/web".
    var key: String
    var apiVersion: String
    var uid: ObjectUID
    var revision: UInt64
    var owners: [Owner]
    var isBeingDeleted: Bool
    var finalizers: [String]

    var storeName: Substring { Substring(key.utf8.prefix { $0 != UInt8(ascii: "/") }) }
    var namespace: Substring { Self.namespace(of: key) }
    var name: Substring { Substring(Self.parts(of: key)[2]) }
    /// The plural as in API paths.
    var plural: Substring { storeName.prefix { $0 != "." } }

    static func namespace(of key: String) -> Substring { Substring(parts(of: key)[1]) }

    private static func parts(of key: String) -> [Substring.UTF8View] {
        key.utf8.split(separator: UInt8(ascii: "/"), maxSplits: 2, omittingEmptySubsequences: false)
    }

    /// Whether it neither has owners nor is on its way out, as most objects.
    var isPlain: Bool { owners.isEmpty && !isBeingDeleted }
    var waitsForDependents: Bool { isBeingDeleted && finalizers.contains(Self.foreground) }
    var orphansDependents: Bool { isBeingDeleted && finalizers.contains(Self.orphan) }

    init(
        key: String, apiVersion: String = "v1", uid: ObjectUID, revision: UInt64 = 1, owners: [Owner] = [],
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
        guard Self.hasThreeParts(key), let head = MetadataScanner.head(of: value), let uid = head.uid else {
            return nil
        }
        self.init(
            key: key, apiVersion: head.apiVersion, uid: uid, revision: revision,
            owners: (head.ownerReferences?.arrayValue ?? []).map {
                Owner(
                    uid: ObjectUID($0["uid"].stringValue ?? ""),
                    blocksDeletion: $0["blockOwnerDeletion"].boolValue ?? false,
                    json: $0)
            }, isBeingDeleted: head.isBeingDeleted,
            finalizers: (head.finalizers?.arrayValue ?? []).compactMap(\.stringValue))
    }

    static func hasThreeParts(_ key: String) -> Bool {
        var slashes = 0
        for byte in key.utf8 where byte == UInt8(ascii: "/") { slashes += 1 }
        return slashes >= 2
    }
}

/// Finds `apiVersion` and `metadata` of a stored object, which come first in it, and parses of these what ownership is
/// decided by. The rest, with its long list of managed fields, is skipped.
enum MetadataScanner {
    struct Head {
        var apiVersion = ""
        var uid: ObjectUID?
        var ownerReferences: JSON?
        var isBeingDeleted = false
        var finalizers: JSON?
    }

    static func head(of bytes: UnsafeRawBufferPointer) -> Head? {
        var position = 0
        var head = Head()
        guard skip(UInt8(ascii: "{"), bytes, &position) else { return nil }
        while let key = string(bytes, &position), skip(UInt8(ascii: ":"), bytes, &position) {
            skipSpace(bytes, &position)
            if isEqual(key, "metadata") { return readMembers(bytes, &position, &head) ? head : nil }
            let start = position
            guard skipValue(bytes, &position) else { return nil }
            if isEqual(key, "apiVersion") { head.apiVersion = parsed(bytes, start..<position)?.stringValue ?? "" }
            guard skip(UInt8(ascii: ","), bytes, &position) else { return nil }
        }
        return nil
    }

    /// Reads the members of the metadata that are wanted. False when it is no object.
    private static func readMembers(_ bytes: UnsafeRawBufferPointer, _ position: inout Int, _ head: inout Head) -> Bool
    {
        guard skip(UInt8(ascii: "{"), bytes, &position) else { return false }
        if skip(UInt8(ascii: "}"), bytes, &position) { return true }
        while let key = string(bytes, &position), skip(UInt8(ascii: ":"), bytes, &position) {
            skipSpace(bytes, &position)
            let start = position
            guard skipValue(bytes, &position), keep(key, bytes, start..<position, &head) else { return false }
            if skip(UInt8(ascii: "}"), bytes, &position) { return true }
            guard skip(UInt8(ascii: ","), bytes, &position) else { return false }
        }
        return false
    }

    /// False when a member that is wanted does not parse.
    private static func keep(
        _ key: Slice<UnsafeRawBufferPointer>, _ bytes: UnsafeRawBufferPointer, _ value: Range<Int>, _ head: inout Head
    ) -> Bool {
        if isEqual(key, "uid") {
            guard let uid = uid(bytes, value) else { return false }
            head.uid = uid
        } else if isEqual(key, "ownerReferences") {
            head.ownerReferences = parsed(bytes, value)
            return head.ownerReferences != nil
        } else if isEqual(key, "deletionTimestamp") {
            head.isBeingDeleted = !bytes[value].elementsEqual("null".utf8)
        } else if isEqual(key, "finalizers") {
            head.finalizers = parsed(bytes, value)
            return head.finalizers != nil
        }
        return true
    }

    private static func uid(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> ObjectUID? {
        if range.count > 2,
            let uid = ObjectUID.uuid(UnsafeRawBufferPointer(rebasing: bytes[range].dropFirst().dropLast()))
        {
            return uid
        }
        return parsed(bytes, range)?.stringValue.map(ObjectUID.init)
    }

    private static func isEqual(_ key: Slice<UnsafeRawBufferPointer>, _ name: StaticString) -> Bool {
        key.count == name.utf8CodeUnitCount
            && memcmp(key.base.baseAddress! + key.startIndex, name.utf8Start, key.count) == 0
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

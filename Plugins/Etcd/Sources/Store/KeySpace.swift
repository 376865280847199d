import PluginAPI
import PluginKit

/// Where the store's keys lie in etcd, and how values, revisions and rules go over.
///
///     PREFIX objects/RESOURCE/NAMESPACE/NAME   index size (4 bytes, little-endian), index, value; with the highest bit of
///                                              the size set, `Provenance` lies before the index
///     PREFIX mark                              written to have an event at a known revision
///     PREFIX objects/store.hostd.dev//beginning   as any object; a store that was moved here begins at its revision
struct KeySpace: Sendable {
    /// Such as "/hostd/".
    let prefix: [UInt8]
    /// The store's revision is etcd's plus this: a store that was moved here goes on counting where it was.
    let offset: UInt64

    init(prefix: String, offset: UInt64 = 0) {
        self.prefix = Array(prefix.utf8)
        self.offset = offset
    }

    private static let slash = UInt8(ascii: "/")
    private static let objects = Array("objects/".utf8)

    var mark: [UInt8] { prefix + Array("mark".utf8) }
    /// Where `hostd store migrate` leaves the revision at which the store goes on.
    var beginning: [UInt8] { key(Array("store.hostd.dev//beginning".utf8)) }
    /// Every key of this store.
    var all: (key: [UInt8], end: [UInt8]) { (prefix, Self.end(of: prefix)) }

    func key(_ key: some Collection<UInt8>) -> [UInt8] { prefix + Self.objects + key }

    /// The store's key of an etcd key; nil for what is no object.
    func object(_ key: [UInt8]) -> ArraySlice<UInt8>? {
        let head = prefix.count + Self.objects.count
        guard key.count > head, key[prefix.count..<head].elementsEqual(Self.objects) else { return nil }
        return key[head...]
    }

    /// The range under a prefix, behind a key.
    func range(under prefix: some Collection<UInt8>, after: some Collection<UInt8>) -> (key: [UInt8], end: [UInt8]) {
        let start = key(prefix)
        let end = Self.end(of: start)
        guard !after.isEmpty else { return (start, end) }
        let next = key(after) + [0]
        return (start.lexicographicallyPrecedes(next) ? next : start, end)
    }

    /// The first key behind all that begin with a prefix.
    static func end(of prefix: [UInt8]) -> [UInt8] {
        var end = prefix
        while let last = end.popLast() {
            if last < 0xFF { return end + [last + 1] }
        }
        return [0]
    }

    // MARK: Revisions

    func revision(_ etcd: Int64) -> UInt64 { UInt64(bitPattern: etcd) &+ offset }

    /// Etcd's revision; 0 stays 0.
    /// - Throws: INVALID_ARGUMENT for one that etcd cannot have, COMPACTED for one of before the store came here.
    func etcd(_ revision: UInt64) throws(PluginError) -> Int64 {
        if revision == 0 { return 0 }
        guard revision > offset else {
            throw PluginError(
                code: HOSTD_ERROR_COMPACTED,
                message: "revision \(revision) is older than the store in etcd, which begins after \(offset)")
        }
        guard let etcd = Int64(exactly: revision - offset) else {
            throw .invalid("revision \(revision) has not been reached")
        }
        return etcd
    }

    // MARK: Values

    private static let hasProvenance: UInt32 = 1 << 31

    static func pack(index: [UInt8], value: [UInt8], provenance: Provenance? = nil) -> [UInt8] {
        let size = UInt32(index.count) | (provenance == nil ? 0 : hasProvenance)
        return withUnsafeBytes(of: size.littleEndian) { Array($0) } + (provenance?.bytes ?? []) + index + value
    }

    static func unpack(
        _ packed: ArraySlice<UInt8>
    ) throws(PluginError) -> (index: ArraySlice<UInt8>, value: ArraySlice<UInt8>) {
        let parts = try split(packed)
        return (parts.index, parts.value)
    }

    /// Who wrote a value and when; nil for one that was written without.
    static func provenance(_ packed: ArraySlice<UInt8>) throws(PluginError) -> Provenance? {
        try split(packed).provenance
    }

    private static func split(
        _ packed: ArraySlice<UInt8>
    ) throws(PluginError) -> (provenance: Provenance?, index: ArraySlice<UInt8>, value: ArraySlice<UInt8>) {
        guard packed.count >= 4 else { throw EtcdError.malformed("a value") }
        let word = packed.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        var rest = packed.dropFirst(4)
        var provenance: Provenance?
        if word & hasProvenance != 0 {
            guard let found = Provenance(&rest) else { throw EtcdError.malformed("a value") }
            provenance = found
        }
        let size = Int(word & ~hasProvenance)
        guard rest.count >= size else { throw EtcdError.malformed("a value") }
        return (provenance, rest.prefix(size), rest.dropFirst(size))
    }

    // MARK: Rules (hostd/roles/store.h)

    static let keyLimit = 1024
    static let indexLimit = 256 << 10
    static let valueLimit = 1_572_864

    static func check(key: some Collection<UInt8>) throws(PluginError) {
        guard key.count <= keyLimit else {
            throw .invalid("a key of \(key.count) bytes is too long; at most \(keyLimit)")
        }
        guard isText(key) else { throw .invalid("a key is not UTF-8 without control characters") }
        let parts = key.split(separator: slash, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, !parts[2].isEmpty else {
            throw .invalid(
                "key \"\(String(decoding: key, as: UTF8.self))\" is not RESOURCE/NAMESPACE/NAME with a resource and a name"
            )
        }
    }

    static func check(prefix: some Collection<UInt8>) throws(PluginError) {
        if prefix.isEmpty { return }
        let parts = prefix.split(separator: slash, omittingEmptySubsequences: false)
        guard prefix.count <= keyLimit, isText(prefix), parts[0].count > 0, parts.count == 2 || parts.count == 3,
            parts.last?.isEmpty == true
        else {
            throw .invalid(
                "prefix \"\(String(decoding: prefix, as: UTF8.self))\" is not empty, RESOURCE/ or RESOURCE/NAMESPACE/")
        }
    }

    static func check(_ step: StoreStep) throws(PluginError) {
        try check(key: step.key)
        guard step.index.count <= indexLimit else {
            throw .invalid("an index of \(step.index.count) bytes is too long; at most \(indexLimit)")
        }
        guard step.index.isEmpty || step.index.last == 0,
            step.index.count(where: { $0 == 0 }).isMultiple(of: 2)
        else { throw .invalid("an index is not a list of name NUL value NUL pairs") }
        guard step.value.count <= valueLimit else {
            throw .invalid(
                "the value of \(String(decoding: step.key, as: UTF8.self)) has \(step.value.count) bytes; at most "
                    + "\(valueLimit) are allowed")
        }
    }

    private static func isText(_ bytes: some Collection<UInt8>) -> Bool {
        !bytes.contains { $0 < 0x20 || $0 == 0x7F } && String(validating: bytes, as: UTF8.self) != nil
    }
}

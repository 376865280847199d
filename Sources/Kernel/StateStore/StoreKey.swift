import PluginAPI

/// The rules of keys, prefixes and indexes as `hostd/roles/store.h` states them.
enum StoreKey {
    static let maximumSize = 1024
    static let maximumIndexSize = 256 << 10
    private static let slash = UInt8(ascii: "/")

    /// Checks "RESOURCE/NAMESPACE/NAME": UTF-8, no control characters, resource and name not empty.
    static func check(_ key: UnsafeRawBufferPointer) throws(StoreError) {
        guard key.count <= maximumSize else {
            throw .invalid("a key of \(key.count) bytes is too long; at most \(maximumSize)")
        }
        guard isText(key) else { throw .invalid("a key is not UTF-8 without control characters") }
        guard let first = key.firstIndex(of: slash), first > 0,
            let second = key[(first + 1)...].firstIndex(of: slash), second + 1 < key.count,
            !key[(second + 1)...].contains(slash)
        else {
            throw .invalid("key \"\(key.text)\" is not RESOURCE/NAMESPACE/NAME with a resource and a name")
        }
    }

    /// Checks "", "RESOURCE/" or "RESOURCE/NAMESPACE/".
    static func checkPrefix(_ prefix: UnsafeRawBufferPointer) throws(StoreError) {
        if prefix.isEmpty { return }
        let slashes = prefix.count { $0 == slash }
        guard prefix.count <= maximumSize, isText(prefix), prefix.first != slash, prefix.last == slash, slashes <= 2
        else {
            throw .invalid("prefix \"\(prefix.text)\" is not empty, RESOURCE/ or RESOURCE/NAMESPACE/")
        }
    }

    /// Checks that an index is "name\0value\0" pairs.
    static func checkIndex(_ index: UnsafeRawBufferPointer) throws(StoreError) {
        if index.isEmpty { return }
        guard index.count <= maximumIndexSize else {
            throw .invalid("an index of \(index.count) bytes is too long; at most \(maximumIndexSize)")
        }
        guard index.last == 0, index.count(where: { $0 == 0 }).isMultiple(of: 2) else {
            throw .invalid("an index is not a list of name NUL value NUL pairs")
        }
    }

    /// How many bytes "RESOURCE/" takes at the begin of a checked key or prefix.
    @inline(__always)
    static func resourceSize(_ key: UnsafeRawBufferPointer) -> Int {
        (key.firstIndex(of: slash) ?? key.count - 1) + 1
    }

    private static func isText(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var isPlain = true
        for byte in bytes {
            if byte < 0x20 || byte == 0x7F { return false }
            if byte >= 0x80 { isPlain = false }
        }
        return isPlain || String(validating: bytes, as: UTF8.self) != nil
    }
}

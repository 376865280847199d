import PluginAPI

/// The value of a record of kind `Record.Kind.sealed`: what was index and value, encrypted.
///
///     1 name size │ name of the key │ 4 fingerprint │ 16 salt │ 8 number │ 4 size of the index │ 16 tag │ ciphertext
///
/// The cipher is AES-256-GCM. Its key is derived (HKDF-SHA-256, RFC 5869) from the named key and the salt, which is drawn
/// anew by each process; its nonce is the number, which that process counts. So no key meets a nonce twice, whatever is
/// restored, retried or copied. The record's head, its key and all that lies before the tag are authenticated.
struct SealedValue {
    static let saltSize = 16
    static let tagSize = 16

    var keyName: String
    var fingerprint: [UInt8]
    var salt: [UInt8]
    var number: UInt64
    var indexSize: Int
    var tag: UnsafeRawBufferPointer
    var ciphertext: UnsafeRawBufferPointer
    /// Bytes before the tag.
    var headSize: Int

    static func headSize(keyName: String) -> Int { 1 + keyName.utf8.count + 4 + saltSize + 8 + 4 }

    /// The bytes before the tag.
    static func head(key: KeyRing.Key, salt: [UInt8], number: UInt64, indexSize: Int) -> [UInt8] {
        [UInt8(key.name.utf8.count)] + Array(key.name.utf8) + key.fingerprint + salt
            + withUnsafeBytes(of: number.littleEndian) { Array($0) }
            + withUnsafeBytes(of: UInt32(indexSize).littleEndian) { Array($0) }
    }

    static func nonce(_ number: UInt64) -> [UInt8] {
        [0, 0, 0, 0] + withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    /// Takes a value apart; nil when its sizes contradict each other.
    init?(_ value: UnsafeRawBufferPointer) {
        guard let nameSize = value.first.map(Int.init) else { return nil }
        headSize = 1 + nameSize + 4 + Self.saltSize + 8 + 4
        guard value.count >= headSize + Self.tagSize else { return nil }
        var offset = 1
        func part(_ size: Int) -> UnsafeRawBufferPointer {
            defer { offset += size }
            return UnsafeRawBufferPointer(rebasing: value[offset..<offset + size])
        }
        keyName = String(decoding: part(nameSize), as: UTF8.self)
        fingerprint = Array(part(4))
        salt = Array(part(Self.saltSize))
        number = part(8).loadUnaligned(as: UInt64.self)
        indexSize = Int(part(4).loadUnaligned(as: UInt32.self))
        tag = part(Self.tagSize)
        ciphertext = UnsafeRawBufferPointer(rebasing: value[offset...])
        guard indexSize <= ciphertext.count else { return nil }
    }
}

import COpenSSL
import Glibc
import PluginAPI

/// Encrypts the values of chosen resources on their way to disk, and decrypts them on the way back. In memory all is plain.
final class RecordSealer: @unchecked Sendable {  // All state is behind `lock`.
    private let lock = Monitor()
    private let resources: Set<String>
    private let keyFile: String
    private var ring: KeyRing?
    private var salt: [UInt8] = []
    private var derived: [UInt8] = []
    private var number: UInt64 = 0
    /// Derived keys of records that were read, by key and salt.
    private var known: [[UInt8]: [UInt8]] = [:]
    /// By file, the keys that its values need; "" stands for plain values of chosen resources.
    private var use: [String: Set<String>] = [:]
    /// The keys of what the committer has sealed and not given to a file yet.
    private var batchUse: Set<String> = []

    /// - Parameter settings: nil = nothing is encrypted; then values that are cannot be read.
    init(_ settings: EncryptionSettings?) throws(StoreError) {
        resources = settings?.resources ?? []
        keyFile = settings?.keyFile ?? ""
        if let settings { try begin(KeyRing(file: settings.keyFile)) }
    }

    /// Begins to encrypt with the first key of a ring, under a salt of its own. `objection` is asked at the moment of the change:
    /// after it nothing is sealed under a key of before.
    private func begin(
        _ ring: KeyRing, unless objection: () throws(StoreError) -> Void = {}
    ) throws(StoreError) {
        // The system's generator is a cryptographic one (getrandom).
        let salt = (0..<SealedValue.saltSize).map { _ in KernelRandom.number(in: UInt8.min ... .max) }
        let derived = try Self.derive(ring.first, salt)
        try lock.locked { () throws(StoreError) in
            try objection()
            self.ring = ring
            self.salt = salt
            self.derived = derived
            number = 0
            known = [:]
        }
    }

    /// HKDF-SHA-256 with one block of output.
    private static func derive(_ key: KeyRing.Key, _ salt: [UInt8]) throws(StoreError) -> [UInt8] {
        let extracted = try KeyRing.hmac(key: salt, data: key.bytes)
        return try KeyRing.hmac(key: extracted, data: Array("hostd store record".utf8) + [1])
    }

    // MARK: Writing

    /// The name of the key that encrypts; nil when nothing is encrypted.
    var activeKey: String? { lock.locked { ring?.first.name } }

    /// Whether values of this key lie encrypted on disk.
    func chooses(_ key: UnsafeRawBufferPointer) -> Bool {
        if resources.isEmpty || key.isEmpty { return false }
        if resources.contains("*") { return true }
        return resources.contains(String(decoding: key.prefix(StoreKey.resourceSize(key) - 1), as: UTF8.self))
    }

    /// Where a sealed record goes.
    enum Destination: Equatable {
        /// A file in the store's directory.
        case file(String)
        /// The log's present batch; `noteBatch` says in which file it is written.
        case batch
        /// A copy outside of the store.
        case elsewhere
    }

    /// The record as it goes there, with a reference for the caller: encrypted, or itself.
    func seal(_ record: Record, for destination: Destination) throws(StoreError) -> Record {
        let isMissed = planted(.valueNotSealed) && record.head.pointee.version == 2
        guard record.isPut, chooses(record.key), !isMissed else {
            record.retain()
            return record
        }
        let (key, salt, derived, number) = try lock.locked { () throws(StoreError) in
            guard let ring, self.number < .max else {
                throw StoreError(HOSTD_ERROR_INTERNAL, "there is no key to encrypt \(record.key.text) with")
            }
            self.number += 1
            switch destination {
            case .file(let name): use[name, default: []].insert(ring.first.name)
            case .batch: batchUse.insert(ring.first.name)
            case .elsewhere: break
            }
            return (ring.first, self.salt, self.derived, self.number)
        }
        let head = SealedValue.head(key: key, salt: salt, number: number, indexSize: record.index.count)
        let plain = UnsafeRawBufferPointer(
            start: record.index.baseAddress, count: record.index.count + record.value.count)
        let size = head.count + SealedValue.tagSize + plain.count
        let sealed = try Record.make(
            kind: Record.Kind.sealed, key: record.key, valueSize: size, lease: record.lease)
        sealed.head.pointee.revision = record.revision
        sealed.head.pointee.create_revision = record.head.pointee.create_revision
        sealed.head.pointee.version = record.head.pointee.version
        sealed.writer = record.writer
        sealed.time = record.time
        let value = UnsafeMutableRawPointer(mutating: sealed.value.baseAddress.unsafelyUnwrapped)
        value.copyMemory(from: head, byteCount: head.count)
        let tag = value + head.count
        let known = Self.authenticated(sealed.raw, headSize: head.count)
        let done = hostd_openssl_gcm_seal(
            derived, SealedValue.nonce(number), known, known.count, Self.bytes(plain), plain.count,
            (tag + SealedValue.tagSize).assumingMemoryBound(to: UInt8.self), tag.assumingMemoryBound(to: UInt8.self))
        guard done == 1 else {
            sealed.release()
            throw StoreError(HOSTD_ERROR_INTERNAL, "OpenSSL could not encrypt \(record.key.text)")
        }
        return sealed
    }

    /// A record's head and key, and its value up to the tag.
    private static func authenticated(_ record: UnsafeRawBufferPointer, headSize: Int) -> [UInt8] {
        let keySize = Int(record.loadUnaligned(as: hostd_store_record.self).key_size)
        return Array(record[..<(Record.headSize + keySize + headSize)])
    }

    private static func bytes(_ buffer: UnsafeRawBufferPointer) -> UnsafePointer<UInt8>? {
        buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
    }

    // MARK: Reading

    /// Copies a record out of a file, decrypted. `path` and `offset` say where it lies, for messages.
    func open(_ bytes: UnsafeRawBufferPointer, path: String, offset: Int) throws(StoreError) -> Record {
        let head = bytes.loadUnaligned(as: hostd_store_record.self)
        let name = path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
        let parts = StoredParts(bytes)
        guard head.kind == Record.Kind.sealed else {
            if head.kind == Record.Kind.put, chooses(parts.key) { note("", in: name) }
            return try Record.copy(bytes)
        }
        guard let sealed = SealedValue(parts.value) else {
            throw .damage(path, at: offset, "the encrypted value of \(parts.key.text) is malformed")
        }
        let derived = try derivedKey(of: sealed, path: path)
        note(sealed.keyName, in: name)
        let plain = try Record.make(
            kind: Record.Kind.put, key: parts.key, valueSize: sealed.ciphertext.count, lease: head.lease)
        plain.head.pointee.revision = head.revision
        plain.head.pointee.create_revision = head.create_revision
        plain.head.pointee.version = head.version
        plain.writer = head.reserved
        let known = Self.authenticated(bytes, headSize: sealed.headSize)
        let start = UnsafeMutableRawPointer(mutating: plain.value.baseAddress.unsafelyUnwrapped)
        let done = hostd_openssl_gcm_open(
            derived, SealedValue.nonce(sealed.number), known, known.count, Self.bytes(sealed.ciphertext),
            sealed.ciphertext.count, start.assumingMemoryBound(to: UInt8.self), Self.bytes(sealed.tag))
        guard done == 1 else {
            plain.release()
            throw .damage(
                path, at: offset,
                "the value of \(parts.key.text), encrypted under the key \(sealed.keyName), was changed")
        }
        plain.head.pointee.index_size = UInt32(sealed.indexSize)
        plain.head.pointee.value_size = UInt32(sealed.ciphertext.count - sealed.indexSize)
        return plain
    }

    /// Notes which key a record needs that is not read itself: a snapshot has what it says.
    func look(at bytes: UnsafeRawBufferPointer, in path: String) {
        let name = path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
        let parts = StoredParts(bytes)
        if parts.head.kind == Record.Kind.sealed, let sealed = SealedValue(parts.value) {
            note(sealed.keyName, in: name)
        } else if parts.head.kind == Record.Kind.put, chooses(parts.key) {
            note("", in: name)
        }
    }

    private func derivedKey(of sealed: SealedValue, path: String) throws(StoreError) -> [UInt8] {
        try lock.locked { () throws(StoreError) in
            guard let ring else {
                throw StoreError(
                    HOSTD_ERROR_FORBIDDEN,
                    "\(path) has values that are encrypted under the key \(sealed.keyName), and no key file is configured: "
                        + "set store.encryption.keyFile to the file with that key")
            }
            guard let key = ring.keys.first(where: { $0.name == sealed.keyName }) else {
                throw StoreError(
                    HOSTD_ERROR_FORBIDDEN,
                    "\(path) has values that are encrypted under the key \(sealed.keyName), which \(ring.path) lacks: add its "
                        + "line again, behind the key that encrypts")
            }
            guard key.fingerprint == sealed.fingerprint else {
                throw StoreError(
                    HOSTD_ERROR_FORBIDDEN,
                    "the key \(key.name) of \(ring.path) is not the one that values in \(path) were encrypted under: put the "
                        + "old bytes back, and give a new key a new name")
            }
            let place = Array(key.name.utf8) + [0] + sealed.salt
            if let found = known[place] { return found }
            let made = try Self.derive(key, sealed.salt)
            if known.count >= 1024 { known = [:] }
            known[place] = made
            return made
        }
    }

    // MARK: Which keys are needed

    private func note(_ key: String, in file: String) { lock.locked { _ = use[file, default: []].insert(key) } }

    /// A segment has, behind its frames, what it had in an older use, which may be plain values: files are used again while nothing
    /// is encrypted.
    func noteOlderUse(of file: String) { if !resources.isEmpty { note("", in: file) } }

    /// The batch that was sealed is about to be written to this file.
    func noteBatch(in file: String) {
        if resources.isEmpty { return }
        lock.locked {
            let keys = planted(.batchNotedUnderNewKey) && !batchUse.isEmpty ? [ring?.first.name ?? ""] : batchUse
            if !keys.isEmpty { use[file, default: []].formUnion(keys) }
            batchUse = []
        }
    }

    /// The batch that was sealed goes nowhere.
    func forgetBatch() {
        if resources.isEmpty { return }
        lock.locked { batchUse = [] }
    }

    /// Gives a file by `body` another name, in the place of what was there. What both need is needed meanwhile.
    func moving(_ file: String, to name: String, _ body: () throws(StoreError) -> Void) throws(StoreError) {
        lock.locked {
            let keys = use[file] ?? []
            use[name, default: []].formUnion(keys)
        }
        try body()
        lock.locked { use[name] = use.removeValue(forKey: file) }
    }

    /// A file is gone for good: it was not finished, or its end is durable. Until then it may come back with the power.
    func forget(_ file: String) { lock.locked { use[file] = nil } }

    /// The keys that what is on disk, or on its way there, needs; and the files that hold plain values of chosen resources.
    var needed: (keys: Set<String>, plainFiles: [String]) {
        lock.locked { (neededKeys, use.filter { $0.value.contains("") }.map(\.key)) }
    }

    /// With `lock` held.
    private var neededKeys: Set<String> {
        let start = planted(.batchNotedUnderNewKey) ? [] : batchUse
        return use.values.reduce(into: start) { $0.formUnion($1) }.subtracting([""])
    }

    /// Whether a file holds values that would be written otherwise now: under another key, or plain.
    func isStale(_ file: String) -> Bool { lock.locked { isStale(use[file] ?? []) } }

    /// Whether any file does.
    var hasStaleFiles: Bool { lock.locked { use.values.contains(where: isStale) } }

    private func isStale(_ use: Set<String>) -> Bool { !use.subtracting([ring?.first.name ?? ""]).isEmpty }

    /// Reads the key file again. What is on disk, or on its way there, must be readable with it. True when another key encrypts
    /// now.
    func reload() throws(StoreError) -> Bool {
        guard let old = lock.locked({ ring }) else { return false }
        let new = try KeyRing(file: keyFile)
        if new.keys == old.keys { return false }
        try begin(new) { () throws(StoreError) in
            for name in neededKeys.sorted() {
                guard let key = new.keys.first(where: { $0.name == name }),
                    key == ring?.keys.first(where: { $0.name == name })
                else { throw missing(name) }
            }
        }
        return new.first != old.first
    }

    private func missing(_ key: String) -> StoreError {
        StoreError(
            HOSTD_ERROR_WRONG_STATE,
            "the key \(key) is gone from \(keyFile), or is another, and values on disk are encrypted under it: put it back, "
                + "reload, and take it away when `hostd store status` no longer lists it")
    }
}

import Glibc
import PluginAPI

@testable import Kernel

/// Inputs of `log` and `snapshot` that real stores made.
enum StoreSeeds {
    /// Writes them into `PATH/log` and `PATH/snapshot`, which must exist.
    static func write(to path: String) throws {
        for isEncrypted in [false, true] {
            let name = isEncrypted ? "encrypted" : "store"
            let work = "/tmp/hostd-fuzz-seeds-\(getpid())-\(name)"
            var options = StateStoreOptions()
            if isEncrypted { options.encryption = StoreFiles.encryption }
            let store = try StateStore(directory: work, options: options)
            try fill(store)
            let backup = work + "/backup"
            let descriptor = open(backup, O_WRONLY | O_CREAT, 0o600)
            _ = try store.backup(to: descriptor)
            close(descriptor)
            store.close()
            try encode(work + "/" + LogFormat.segmentName(1), to: "\(path)/log/\(name)")
            try encode(backup, to: "\(path)/snapshot/\(name)")
            for file in ["LOCK", "backup", LogFormat.segmentName(1)] { unlink(work + "/" + file) }
            rmdir(work)
        }
    }

    /// Puts, an update, a delete, leases with a key, a transaction with a writer, and a compaction.
    private static func fill(_ store: StateStore) throws {
        func put(_ key: String, _ value: String, lease: UInt64 = 0) throws {
            let (key, value, index) = (Array(key.utf8), Array(value.utf8), Array("app\0web\0".utf8))
            _ = try key.withUnsafeBytes { key in
                try index.withUnsafeBytes { index in
                    try value.withUnsafeBytes { value in
                        try store.perform(HOSTD_STORE_PUT, key: key, index: index, value: value, lease: lease)
                    }
                }
            }
        }
        try put("pods/default/a", "{\"a\":1}")
        try put("secrets/default/s", "{\"data\":{}}")
        try put("pods/default/a", "{\"a\":2}")
        let lease = try store.grantLease(timeToLive: 100_000)
        try put("leases//leader", "{}", lease: lease)
        let key = Array("pods/default/a".utf8)
        _ = try key.withUnsafeBytes { try store.perform(HOSTD_STORE_DELETE, key: $0) }
        try store.revokeLease(lease)
        try store.compact(to: 2)
        try put("nodes//n", "{}", lease: try store.grantLease(timeToLive: 100_000))
    }

    private static func encode(_ source: String, to target: String) throws {
        let map = try MappedFile(source, files: .system)
        let salt = map.bytes.loadUnaligned(as: FileHead.self).salt
        var input: [UInt8] = [0]
        var offset = LogFormat.headSize
        var before = (sequence: UInt64(0), revision: UInt64(0))
        while let frame = FrameHead.read(map.bytes, at: offset, salt: salt) {
            let size = Int(frame.size)
            input += [
                UInt8(size & 255), UInt8(size >> 8 & 255), UInt8(clamping: frame.sequence - before.sequence),
                UInt8(clamping: frame.revision - before.revision), UInt8(frame.batchDistance & 255),
                UInt8(frame.batchDistance >> 8 & 255), 0, frame.time == 0 ? 0 : 1,
            ]
            input += map.bytes[(offset + FrameHead.size)..<(offset + FrameHead.size + size)]
            before = (frame.sequence, frame.revision)
            offset += FrameHead.size + size
        }
        let descriptor = open(target, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        precondition(
            descriptor >= 0 && Glibc.write(descriptor, input, input.count) == input.count, "cannot write \(target)")
        close(descriptor)
    }
}

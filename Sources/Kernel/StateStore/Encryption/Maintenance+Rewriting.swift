import CStateStore
import Glibc
import PluginAPI

/// Writes files of the store anew, so that their values lie under the key that encrypts now. History, revisions and watches
/// stay as they are; a crash leaves each file either old or new.
extension Maintenance {
    /// Rewrites those of these sealed segments, and of the snapshots, that need it, and tells the committer. Nothing else
    /// makes or removes snapshots and segments meanwhile. [committer]
    func rewrite(_ segments: [SegmentLog.Segment]) {
        submit { [self] in
            do throws(StoreError) {
                var count = 0
                let snapshots = try parts.directory.names().filter {
                    LogFormat.number(of: $0, prefix: "snapshot-") != nil
                }
                for name in snapshots where parts.sealer.isStale(name) {
                    try replace(name) { file throws(StoreError) in try rewriteSnapshot(name, to: file) }
                    count += 1
                }
                for segment in segments {
                    let name = LogFormat.segmentName(segment.number)
                    guard parts.sealer.isStale(name) else { continue }
                    try replace(name) { file throws(StoreError) in try rewriteSegment(name, to: file) }
                    count += 1
                }
                parts.options.log(
                    HOSTD_LOG_INFO, "the store's files are encrypted under the present key",
                    [("key", parts.sealer.activeKey ?? "none"), ("rewritten", "\(count)")])
                committer?.rewriteEnded(nil)
            } catch {
                parts.options.log(HOSTD_LOG_ERROR, "the store's files could not be rewritten: \(error.message)", [])
                committer?.rewriteEnded(error)
            }
        }
    }

    private func replace(_ name: String, _ body: (StoreFile) throws(StoreError) -> Void) throws(StoreError) {
        let directory = parts.directory
        let draft = name + ".tmp"
        do throws(StoreError) {
            let file = try directory.open(draft, flags: O_RDWR | O_CREAT | O_TRUNC)
            try body(file)
            if !planted(.rewrittenFileNotSynchronized) { try file.synchronize() }
            try parts.sealer.moving(draft, to: name) { () throws(StoreError) in
                try directory.rename(draft, to: name)
            }
        } catch {
            parts.sealer.forget(draft)
            try directory.remove(draft)
            throw error
        }
    }

    private func rewriteSnapshot(_ name: String, to file: StoreFile) throws(StoreError) {
        let path = parts.directory.file(name)
        guard let revision = LogFormat.number(of: name, prefix: "snapshot-") else { return }
        let files = parts.directory.files
        let time = try SnapshotReader.time(path, files: files)
        var writer = try SnapshotWriter(
            file: file.descriptor, path: file.path, revision: revision, time: time, files: files, sealer: parts.sealer,
            destination: .file(name + ".tmp"))
        var failure: StoreError?
        _ = try SnapshotReader.read(path, files: files, sealer: parts.sealer) { record throws(StoreError) in
            defer { record.release() }
            do throws(StoreError) { try writer.add(record) } catch {
                failure = error
                throw error
            }
        }
        if let failure { throw failure }
        _ = try writer.finish()
    }

    private func rewriteSegment(_ name: String, to file: StoreFile) throws(StoreError) {
        let old = try MappedFile(parts.directory.file(name), files: parts.directory.files)
        let head = try FileHead(old.bytes, magic: LogFormat.segmentMagic, path: old.path)
        let new = FileHead(magic: LogFormat.segmentMagic, number: head.number)
        var page = [UInt8](repeating: 0, count: LogFormat.headSize)
        withUnsafeBytes(of: new) { page.replaceSubrange(0..<$0.count, with: $0) }
        try file.write(page, at: 0)
        var (from, to, batch) = (LogFormat.headSize, LogFormat.headSize, LogFormat.headSize)
        while let frame = FrameHead.read(old.bytes, at: from, salt: head.salt, version: head.version) {
            let start = from + FrameHead.size(version: head.version)
            if frame.batchDistance == 0 { batch = to }
            let payload = try rewritten(
                UnsafeRawBufferPointer(rebasing: old.bytes[start..<start + Int(frame.size)]), of: old, name + ".tmp")
            var copy = FrameHead(
                size: UInt32(payload.count), count: frame.count, sequence: frame.sequence, revision: frame.revision,
                batchDistance: UInt32(to - batch), time: frame.time)
            copy.checksum = payload.withUnsafeBytes {
                store_crc32c(copy.headChecksum(salt: new.salt), $0.baseAddress!, $0.count)
            }
            try file.write(withUnsafeBytes(of: copy) { Array($0) } + payload, at: to)
            from = start + Int(frame.size)
            to += FrameHead.size + payload.count
        }
    }

    private func rewritten(
        _ payload: UnsafeRawBufferPointer, of file: MappedFile, _ name: String
    ) throws(StoreError) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(payload.count + 128)
        _ = try FrameHead.records(payload) { bytes throws(StoreError) in
            let offset = bytes.baseAddress.unsafelyUnwrapped - file.bytes.baseAddress.unsafelyUnwrapped
            let record = try parts.sealer.open(bytes, path: file.path, offset: offset)
            defer { record.release() }
            let sealed = try parts.sealer.seal(record, for: .file(name))
            defer { sealed.release() }
            result.append(contentsOf: sealed.raw)
        }
        return result
    }
}

extension SnapshotReader {
    /// When the revision that a snapshot shows was written; 0 = not known.
    fileprivate static func time(_ path: String, files: FileOperations) throws(StoreError) -> UInt64 {
        let file = try MappedFile(path, files: files)
        let head = try FileHead(file.bytes, magic: LogFormat.snapshotMagic, path: path)
        let frame = FrameHead.read(file.bytes, at: LogFormat.headSize, salt: head.salt, version: head.version)
        return frame?.time ?? 0
    }
}

extension StateStore {
    /// Reads the key file again and, when files on disk are not as they would be written now, rewrites them. Returns when
    /// that is done. [blocking]
    public func rotateKeys() throws(StoreError) {
        let isOther = try parts.sealer.reload() && !planted(.batchNotedUnderNewKey)
        // Under another key the committer is asked in any case: what it seals at this moment has the key of before.
        guard isOther || parts.sealer.hasStaleFiles else { return }
        let monitor = Monitor()
        nonisolated(unsafe) var outcome: StoreError??  // Only touched with `monitor` locked.
        committer.requestRewrite { error in
            monitor.locked {
                outcome = .some(error)
                monitor.broadcast()
            }
        }
        monitor.lock()
        defer { monitor.unlock() }
        while outcome == nil { monitor.wait() }
        if let error = outcome ?? nil { throw error }
    }
}

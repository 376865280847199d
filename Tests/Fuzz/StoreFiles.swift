import CStateStore
import Glibc
import PluginAPI

@testable import Kernel

/// Inputs of the store's readers. Random bytes would end at the first checksum, so an input describes files, and the
/// checksums are made here:
///
///     input:  flags (1 byte; see `Form`) │ frame │ frame │ …
///     frame:  size of the payload (2 bytes) │ step of the sequence (1) │ step of the revision (1) │ distance of the batch (2) │
///             flags (1; see `FrameForm`) │ time (1) │ payload
///
/// With the form `raw` the rest of the input is what follows the head, as it is.
enum StoreFiles {
    struct Form: OptionSet {
        let rawValue: UInt8
        static let raw = Form(rawValue: 1)
        static let version1 = Form(rawValue: 2)
        /// The segment had an older use.
        static let reused = Form(rawValue: 4)
    }

    struct FrameForm: OptionSet {
        let rawValue: UInt8
        static let wrongChecksum = FrameForm(rawValue: 1)
        /// A new segment begins before it.
        static let newSegment = FrameForm(rawValue: 2)
    }

    static let prefixSize = 8
    static let directory = "/store"
    /// What encrypted values of the seeds need; its bytes are known to all.
    static let encryption = EncryptionSettings(resources: ["secrets"], keyFile: writeKeyFile())
    private static let background = WorkerPool(name: "fuzz", maximum: 1)

    private static func writeKeyFile() -> String {
        var path = Array("/tmp/hostd-fuzz-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        let line = "k1 \(String(repeating: "A", count: 43))=\n"
        precondition(descriptor >= 0 && write(descriptor, line, line.utf8.count) > 0, "cannot write to /tmp")
        // It needs no name: it is reached through its descriptor, and is gone with the process.
        unlink(path)
        return "/proc/self/fd/\(descriptor)"
    }

    // MARK: Targets

    static func openLog(_ input: UnsafeRawBufferPointer) {
        guard let segments = describe(input, magic: LogFormat.segmentMagic) else { return }
        let files = MemoryFiles()
        for (index, segment) in segments.enumerated() {
            // Segments are longer than what is in them.
            files.put(
                "\(directory)/\(LogFormat.segmentName(UInt64(index + 1)))", segment + [UInt8](repeating: 0, count: 512))
        }
        open(files)
    }

    static func openSnapshot(_ input: UnsafeRawBufferPointer) {
        guard let file = describe(input, magic: LogFormat.snapshotMagic)?.first else { return }
        let files = MemoryFiles()
        files.put("\(directory)/\(LogFormat.snapshotName(1))", file)
        open(files)
    }

    /// What a store reads from these files. Either it says why it does not, or what it made of them reads the same again.
    private static func open(_ files: MemoryFiles) {
        do throws(StoreError) {
            let first = try State(files)
            let again = try State(files)
            precondition(first == again, "a second start shows \(again), the first showed \(first)")
        } catch {
            precondition(!error.message.isEmpty, "a refusal without a reason")
        }
        verify(files)
    }

    private static func verify(_ files: MemoryFiles) {
        do throws(StoreError) {
            var verifier = try StoreVerifier(encryption: encryption, files: files.operations)
            try verifier.check(dataDirectory: "")
        } catch {
            precondition(!error.message.isEmpty, "a refusal without a reason")
        }
    }

    /// What recovery makes of files.
    private struct State: Equatable, CustomStringConvertible {
        var revision: UInt64
        var keys: Int
        var bytes: Int
        var description: String { "revision \(revision), \(keys) keys, \(bytes) bytes" }

        init(_ files: MemoryFiles) throws(StoreError) {
            var options = StateStoreOptions()
            options.files = files.operations
            options.firstSegmentSize = 64 << 10
            options.segmentSize = 64 << 10
            options.wallClock = { 1_700_000_000_000 }
            options.encryption = StoreFiles.encryption
            let folder = try StoreDirectory(StoreFiles.directory, files: files.operations)
            let tree = StateTree()
            let recovery = Recovery(
                directory: folder, options: options, tree: tree, leases: LeaseTable(), writers: WriterTable(),
                sealer: try RecordSealer(options.encryption),
                preparer: SegmentPreparer(directory: folder, options: options, background: StoreFiles.background))
            _ = try recovery.run()
            revision = tree.revision
            keys = tree.liveCount
            bytes = tree.liveBytes
            Self.read(tree)
        }

        /// All that readers may ask of a state.
        private static func read(_ tree: StateTree) {
            let piece = tree.events(in: nil, after: tree.compactedRevision, limit: 1 << 20) { _ in true }
            for event in piece.events {
                _ = RecordText.time(event.record.time)
                precondition(tree.newest(event.record.key) != nil, "a key of the history is not found")
                event.release()
            }
            _ = tree.revision(at: 1_600_000_000_000)
        }
    }

    // MARK: Files

    /// The files that an input describes: segments, or one snapshot.
    private static func describe(_ input: UnsafeRawBufferPointer, magic: UInt64) -> [[UInt8]]? {
        guard let first = input.first else { return nil }
        let form = Form(rawValue: first)
        let rest = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        var files = [Builder(magic: magic, number: 1, form)]
        if form.contains(.raw) {
            files[0].bytes += rest
            return files.map(\.bytes)
        }
        var (offset, sequence, revision) = (0, UInt64(0), UInt64(0))
        while offset + prefixSize <= rest.count {
            let prefix = Array(rest[offset..<(offset + prefixSize)])
            let start = offset + prefixSize
            let size = min(Int(prefix[0]) | Int(prefix[1]) << 8, rest.count - start)
            sequence &+= UInt64(prefix[2])
            revision &+= UInt64(prefix[3])
            let flags = FrameForm(rawValue: prefix[6])
            if flags.contains(.newSegment), files.count < 8 {
                files.append(Builder(magic: magic, number: UInt64(files.count + 1), form))
            }
            let frame = FrameHead(
                size: UInt32(size), count: 0, sequence: sequence, revision: revision,
                batchDistance: UInt32(prefix[4]) | UInt32(prefix[5]) << 8,
                time: prefix[7] == 0 ? 0 : 1_600_000_000_000 + UInt64(prefix[7]) * 1000)
            files[files.count - 1].add(frame, Array(rest[start..<(start + size)]), flags)
            offset = start + size
        }
        return files.map(\.bytes)
    }

    private struct Builder {
        var bytes: [UInt8]
        private let head: FileHead

        init(magic: UInt64, number: UInt64, _ form: Form) {
            var head = FileHead(magic: magic, number: number)
            head.version = form.contains(.version1) ? 1 : LogFormat.version
            head.salt = 7  // An input means the same at every run.
            head.reserved = form.contains(.reused) ? 1 : 0
            head.checksum = withUnsafeBytes(of: head) { store_crc32c(0, $0.baseAddress!, FileHead.checkedSize) }
            self.head = head
            bytes = withUnsafeBytes(of: head) { Array($0) }
            bytes += [UInt8](repeating: 0, count: LogFormat.headSize - bytes.count)
        }

        mutating func add(_ frame: FrameHead, _ payload: [UInt8], _ flags: FrameForm) {
            var frame = frame
            frame.checksum =
                store_crc32c(frame.headChecksum(salt: head.salt, version: head.version), payload, payload.count)
                ^ (flags.contains(.wrongChecksum) ? 1 : 0)
            withUnsafeBytes(of: frame) { bytes += $0.prefix(FrameHead.size(version: head.version)) }
            bytes += payload
        }
    }
}

import Glibc

/// A shared library on disk, looked at before it is opened: the dynamic loader's own words for a damaged or foreign file
/// are hard to read, and a truncated one can end the process with SIGBUS.
struct ImageFile {
    let path: String

    /// Machine numbers of ELF (e_machine).
    private static let machines: [UInt16: String] = [
        3: "x86 (32 bit)", 40: "ARM (32 bit)", 62: "x86-64", 183: "AArch64", 243: "RISC-V", 21: "PowerPC 64",
        22: "S/390",
    ]

    #if arch(x86_64)
        private static let ownMachine: UInt16 = 62
    #elseif arch(arm64)
        private static let ownMachine: UInt16 = 183
    #else
        #error("Add the number of this machine (e_machine of elf(5)).")
    #endif

    /// Fails with a sentence when the file is no shared library of this machine.
    func check() throws(PluginFailure) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot be opened: \(errorText(errno))") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("cannot be examined: \(errorText(errno))") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw failure("is not a regular file") }
        let head = bytes(descriptor, at: 0, count: 64)
        guard head.count >= 4, Array(head[..<4]) == [0x7F, 0x45, 0x4C, 0x46] else {
            throw failure("is not a shared library (it is not in ELF format)")
        }
        guard head.count == 64 else {
            throw failure("is truncated: it has \(head.count) bytes, less than an ELF header")
        }
        guard head[4] == 2, head[5] == 1 else {
            throw failure("is made for another machine: it is not 64-bit little-endian")
        }
        let machine = number16(head, 18)
        guard machine == Self.ownMachine else {
            let theirs = Self.machines[machine] ?? "machine \(machine)"
            let ours = Self.machines[Self.ownMachine] ?? "another"
            throw failure("is made for another machine: it is for \(theirs), this is \(ours)")
        }
        guard number16(head, 16) == 3 else { throw failure("is not a shared library: build it with -shared -fPIC") }
        try checkSize(descriptor, head, UInt64(clamping: status.st_size))
    }

    /// All that the headers speak of must lie within the file.
    private func checkSize(_ descriptor: Int32, _ head: [UInt8], _ size: UInt64) throws(PluginFailure) {
        let table = number64(head, 32)
        let (entrySize, count) = (UInt64(number16(head, 54)), UInt64(number16(head, 56)))
        guard entrySize == 56, count > 0, table < size, table + entrySize * count <= size else {
            throw failure("is truncated: its program headers lie behind its end (\(size) bytes)")
        }
        let headers = bytes(descriptor, at: table, count: Int(entrySize * count))
        guard headers.count == Int(entrySize * count) else { throw failure("cannot be read: \(errorText(errno))") }
        var needed: UInt64 = 0
        for index in 0..<Int(count) where number32(headers, index * 56) == 1 {
            let (offset, length) = (number64(headers, index * 56 + 8), number64(headers, index * 56 + 32))
            let (end, overflow) = offset.addingReportingOverflow(length)
            needed = max(needed, overflow ? .max : end)
        }
        guard needed <= size else {
            throw failure("is truncated: it has \(size) bytes, its headers speak of at least \(needed)")
        }
    }

    private func failure(_ reason: String) -> PluginFailure { PluginFailure(.open, "\(path) \(reason)") }

    private func bytes(_ descriptor: Int32, at offset: UInt64, count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = max(0, pread(descriptor, buffer.baseAddress, count, off_t(offset)))
        }
    }

    private func number16(_ bytes: [UInt8], _ at: Int) -> UInt16 { UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8 }
    private func number32(_ bytes: [UInt8], _ at: Int) -> UInt32 {
        UInt32(number16(bytes, at)) | UInt32(number16(bytes, at + 2)) << 16
    }
    private func number64(_ bytes: [UInt8], _ at: Int) -> UInt64 {
        UInt64(number32(bytes, at)) | UInt64(number32(bytes, at + 4)) << 32
    }
}

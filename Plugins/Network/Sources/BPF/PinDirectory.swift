import CBPF
import Glibc

/// A directory in a bpffs where maps and links are kept beyond the life of the process.
struct PinDirectory: Sendable {
    let root: String
    /// Where the version of the pinned programs is written down: an ordinary file, as a bpffs holds none.
    let versionPath: String
    /// The bpffs that was mounted for this directory; nil when it lies in the machine's.
    var ownMount: String?

    /// Finds or makes the directory: under /sys/fs/bpf when a bpffs is mounted there, else in one that is mounted on
    /// `ownMount`, below the plugin's own directory.
    static func prepare(identity: String, ownMount: String, versionPath: String) throws -> PinDirectory {
        let shared = "/sys/fs/bpf"
        var parent = shared
        if !Mounts.isMounted("bpf", at: shared) {
            guard mkdir(ownMount, 0o700) == 0 || errno == EEXIST else {
                throw BPFError(code: errno, request: "make the directory \(ownMount)")
            }
            if !Mounts.isMounted("bpf", at: ownMount) {
                guard mount("bpf", ownMount, "bpf", UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC), "mode=0700") == 0 else {
                    throw BPFError(code: errno, request: "mount a bpffs on \(ownMount)")
                }
            }
            parent = ownMount
        }
        let directory = PinDirectory(
            root: "\(parent)/hostd-\(identity)", versionPath: versionPath, ownMount: parent == shared ? nil : ownMount)
        guard mkdir(directory.root, 0o700) == 0 || errno == EEXIST else {
            throw BPFError(code: errno, request: "make the directory \(directory.root)")
        }
        return directory
    }

    func path(_ name: String) -> String { "\(root)/\(name)" }

    func linkPath(program: String, attachment: String) -> String { "\(root)/\(attachment)-\(program)" }

    /// Opens a pinned map.
    func map<Key, Value>(_ name: String) throws -> BPFMap<Key, Value> {
        let descriptor = bpf_obj_get(path(name))
        guard descriptor >= 0 else { throw BPFError(code: errno, request: "open the pinned map \(path(name))") }
        return try BPFMap(taking: descriptor, name: name)
    }

    /// Whether all maps and links of this version are pinned and attached where they should be, and no others.
    func holds(version: String, programs: [String], maps: [String], _ attachments: [(name: String, path: String)])
        -> Bool
    {
        guard recordedVersion() == "\(version) \(attachments.count)" else { return false }
        let mapsThere = maps.allSatisfy { access(path($0), F_OK) == 0 }
        return mapsThere
            && attachments.allSatisfy { attachment in
                programs.allSatisfy {
                    isAttached(link: linkPath(program: $0, attachment: attachment.name), to: attachment.path)
                }
            }
    }

    private func recordedVersion() -> String? {
        guard let file = fopen(versionPath, "re") else { return nil }
        defer { fclose(file) }
        var buffer = [CChar](repeating: 0, count: 128)
        guard fgets(&buffer, Int32(buffer.count), file) != nil else { return nil }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Notes what is pinned now, after everything has been pinned.
    func record(version: String) throws {
        let links = names().filter { $0.hasSuffix("-hostd_connect4") }.count
        guard let file = fopen(versionPath, "we") else { throw BPFError(code: errno, request: "write \(versionPath)") }
        let written = fputs("\(version) \(links)", file)
        guard fclose(file) == 0, written >= 0 else { throw BPFError(code: errno, request: "write \(versionPath)") }
    }

    /// Whether a pinned link is attached to the control group that has this path now: one that was removed and made
    /// again is another.
    func isAttached(link pin: String, to cgroup: String) -> Bool {
        let descriptor = bpf_obj_get(pin)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var information = bpf_link_info()
        var size = UInt32(MemoryLayout<bpf_link_info>.size)
        var status = stat()
        guard bpf_obj_get_info_by_fd(descriptor, &information, &size) == 0, stat(cgroup, &status) == 0 else {
            return false
        }
        return information.cgroup.cgroup_id == UInt64(status.st_ino)
    }

    /// Removes the pins of links at control groups that are no longer wanted, which detaches them.
    func removeLinks(except wanted: Set<String>, programs: [String]) {
        for name in names() {
            guard let program = programs.first(where: { name.hasSuffix("-\($0)") }) else { continue }
            if !wanted.contains(String(name.dropLast(program.utf8.count + 1))) { unlink(path(name)) }
        }
    }

    /// Detaches and forgets everything.
    func removeAll() {
        for name in names() { unlink(path(name)) }
        unlink(versionPath)
    }

    /// Also gives up the directory, and the bpffs when it was mounted for it alone. Does what it can: a mount that is
    /// still in use goes with the mount namespace.
    func dissolve() {
        removeAll()
        rmdir(root)
        if let ownMount { umount(ownMount) }
    }

    private func names() -> [String] {
        guard let listing = opendir(root) else { return [] }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}

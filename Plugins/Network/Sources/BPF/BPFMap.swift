import CBPF
import Glibc

/// A refused call of the BPF subsystem.
struct BPFError: Error, CustomStringConvertible {
    /// The errno value.
    let code: Int32
    let request: String

    var description: String { "\(request): \(String(cString: strerror(code)))" }
}

/// A hash map shared with the programs. Owns its descriptor; any thread.
final class BPFMap<Key: BitwiseCopyable, Value: BitwiseCopyable>: Sendable {
    let name: String
    private let descriptor: Int32

    /// Takes the descriptor over and checks that the map's keys and values have the sizes of this layout.
    init(taking descriptor: Int32, name: String) throws {
        self.descriptor = descriptor
        self.name = name
        var information = bpf_map_info()
        var size = UInt32(MemoryLayout<bpf_map_info>.size)
        guard bpf_obj_get_info_by_fd(descriptor, &information, &size) == 0 else {
            throw BPFError(code: errno, request: "inspect the map \(name)")
        }
        guard information.key_size == UInt32(MemoryLayout<Key>.size),
            information.value_size == UInt32(MemoryLayout<Value>.size)
        else { throw BPFError(code: EINVAL, request: "use the map \(name), whose layout is another version's") }
    }

    deinit { close(descriptor) }

    /// Adds or replaces.
    func set(_ key: Key, _ value: Value) throws {
        let status = withUnsafePointer(to: key) { key in
            withUnsafePointer(to: value) { bpf_map_update_elem(descriptor, key, $0, UInt64(BPF_ANY)) }
        }
        guard status == 0 else { throw BPFError(code: errno, request: "write to the map \(name)") }
    }

    /// Removes; what is not there is fine.
    func remove(_ key: Key) throws {
        let status = withUnsafePointer(to: key) { bpf_map_delete_elem(descriptor, $0) }
        guard status == 0 || errno == ENOENT else {
            throw BPFError(code: errno, request: "delete from the map \(name)")
        }
    }

    subscript(key: Key) -> Value? {
        withUnsafeTemporaryAllocation(of: Value.self, capacity: 1) { value in
            let status = withUnsafePointer(to: key) { bpf_map_lookup_elem(descriptor, $0, value.baseAddress) }
            return status == 0 ? value[0] : nil
        }
    }

    /// All keys at about this moment. Complexity: one system call per key.
    func keys() throws -> [Key] {
        var keys: [Key] = []
        try withUnsafeTemporaryAllocation(of: Key.self, capacity: 2) { pair in
            guard let previous = pair.baseAddress else { return }
            let next = previous + 1
            var isFirst = true
            while bpf_map_get_next_key(descriptor, isFirst ? nil : previous, next) == 0 {
                keys.append(next.pointee)
                previous.pointee = next.pointee
                isFirst = false
            }
            guard errno == ENOENT else { throw BPFError(code: errno, request: "list the map \(name)") }
        }
        return keys
    }
}

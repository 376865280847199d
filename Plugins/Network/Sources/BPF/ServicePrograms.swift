import PodNetworking
import CBPF
import Glibc

/// The loaded programs and maps of service.bpf.c, attached to control groups and pinned, so that they go on working
/// while hostd is down and are found again when it starts.
final class ServicePrograms: Sendable {
    let frontends: BPFMap<FrontendKey, FrontendValue>
    let backends: BPFMap<BackendKey, BackendValue>
    let members: BPFMap<MemberKey, UInt32>
    let reverse: BPFMap<ReverseKey, ReverseValue>
    let namespaces: BPFMap<UInt64, UInt32>
    let addresses: BPFMap<UInt32, UInt32>
    /// Whether everything was found pinned from an earlier run.
    let isReused: Bool

    private static let mapNames = [
        "frontends", "backends", "members", "reverse", "affinity", "namespaces", "addresses",
    ]
    private static let programNames = ["hostd_connect4", "hostd_sendmsg4", "hostd_recvmsg4", "hostd_getpeername4"]

    /// Loads and attaches, or takes over what is pinned.
    /// - Parameters:
    ///   - object: path of service.bpf.o.
    ///   - pins: a directory in a bpffs; belongs to this instance alone.
    ///   - cgroups: directories in the v2 hierarchy below which sockets are routed; all exist.
    init(object: String, pins: PinDirectory, cgroups: [String]) throws {
        libbpf_set_print { _, _, _ in 0 }
        let attachments = cgroups.enumerated().map { (name: "cgroup\($0.offset)", path: $0.element) }
        let version = try Self.version(ofObject: object)
        isReused = pins.holds(version: version, programs: Self.programNames, maps: Self.mapNames, attachments)
        if !isReused { try Self.load(object, pins: pins, attachments, version: version) }
        frontends = try pins.map("frontends")
        backends = try pins.map("backends")
        members = try pins.map("members")
        reverse = try pins.map("reverse")
        namespaces = try pins.map("namespaces")
        addresses = try pins.map("addresses")
    }

    /// FNV-1a of the object file: another build of the programs is loaded anew.
    private static func version(ofObject path: String) throws -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw BPFError(code: errno, request: "read the programs \(path)") }
        defer { close(descriptor) }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count >= 0 else { throw BPFError(code: errno, request: "read the programs \(path)") }
            if count == 0 { return String(hash, radix: 16) }
            for byte in buffer[..<count] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
    }

    /// The pins by which connections are sent to endpoints, in the order in which another provider removes them. The
    /// programs that show a client the service's address stay, with what they remember: sockets that have been sent to
    /// an endpoint before live on.
    static func forwardPins(_ pins: PinDirectory, cgroups: [String]) -> [String] {
        let links = cgroups.indices.flatMap { number in
            ["hostd_connect4", "hostd_sendmsg4"].map { pins.linkPath(program: $0, attachment: "cgroup\(number)") }
        }
        return links + mapNames.filter { $0 != "reverse" }.map { pins.path($0) }
    }

    private typealias Attachment = (name: String, path: String)

    /// Maps that are pinned with the same layout are kept with their entries; programs and links are replaced.
    private static func load(_ object: String, pins: PinDirectory, _ attachments: [Attachment], version: String) throws
    {
        do {
            try loadOnce(object, pins: pins, attachments, canSetResult: true, version: version)
        } catch let error as BPFError where error.code == EINVAL || error.code == EPERM {
            // Before Linux 5.18 a program cannot choose the error; and maps of another version do not fit.
            do {
                try loadOnce(object, pins: pins, attachments, canSetResult: false, version: version)
            } catch _ as BPFError {
                pins.removeAll()
                try loadOnce(object, pins: pins, attachments, canSetResult: true, version: version)
            }
        }
    }

    private static func loadOnce(
        _ path: String, pins: PinDirectory, _ attachments: [Attachment], canSetResult: Bool, version: String
    ) throws {
        guard let object = bpf_object__open_file(path, nil) else {
            throw BPFError(code: errno, request: "open the programs \(path)")
        }
        defer { bpf_object__close(object) }
        for name in mapNames {
            guard let map = bpf_object__find_map_by_name(object, name) else {
                throw BPFError(code: EINVAL, request: "find the map \(name) in \(path)")
            }
            let status = bpf_map__set_pin_path(map, pins.path(name))
            guard status == 0 else { throw BPFError(code: -status, request: "pin the map \(name)") }
        }
        try set(canSetResult: canSetResult, in: object)
        let status = bpf_object__load(object)
        guard status == 0 else { throw BPFError(code: -status, request: "load the programs \(path)") }
        pins.removeLinks(except: Set(attachments.map(\.name)), programs: programNames)
        for attachment in attachments {
            for name in programNames { try attach(name, of: object, to: attachment, pins: pins) }
        }
        try pins.record(version: version)
    }

    /// The one constant of the programs; the kernel drops the branch that it rules out.
    private static func set(canSetResult: Bool, in object: OpaquePointer) throws {
        var map = bpf_object__next_map(object, nil)
        while let current = map {
            if let name = bpf_map__name(current), String(cString: name).hasSuffix(".rodata") {
                var value: UInt32 = canSetResult ? 1 : 0
                let status = bpf_map__set_initial_value(current, &value, MemoryLayout<UInt32>.size)
                guard status == 0 else { throw BPFError(code: -status, request: "set the programs' constant") }
                return
            }
            map = bpf_object__next_map(object, current)
        }
        throw BPFError(code: EINVAL, request: "find the programs' constant")
    }

    /// Puts a program into its place at a control group. A pinned link there gets the new program in one step.
    private static func attach(
        _ name: String, of object: OpaquePointer, to attachment: Attachment, pins: PinDirectory
    ) throws {
        guard let program = bpf_object__find_program_by_name(object, name) else {
            throw BPFError(code: EINVAL, request: "find the program \(name)")
        }
        let pin = pins.linkPath(program: name, attachment: attachment.name)
        if pins.isAttached(link: pin, to: attachment.path), let link = bpf_link__open(pin) {
            defer { bpf_link__destroy(link) }
            if bpf_link__update_program(link, program) == 0 { return }
        }
        unlink(pin)
        let cgroup = open(attachment.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard cgroup >= 0 else { throw BPFError(code: errno, request: "open the control group \(attachment.path)") }
        defer { close(cgroup) }
        guard let link = bpf_program__attach_cgroup(program, cgroup) else {
            throw BPFError(code: errno, request: "attach \(name) to \(attachment.path)")
        }
        defer { bpf_link__destroy(link) }
        let status = bpf_link__pin(link, pin)
        guard status == 0 else { throw BPFError(code: -status, request: "pin \(pin)") }
    }
}

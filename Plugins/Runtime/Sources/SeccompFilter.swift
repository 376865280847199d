import CRuntime
import CSeccomp
import Containers
import Glibc
import Objects
import PluginKit
import Synchronization

/// Makes seccomp programs (BPF bytes, struct sock_filter[]) through libseccomp. Programs of the default profile are kept
/// by capability set: there are few.
final class SeccompFilter: Sendable {
    private let compiled = Mutex<[CapabilitySet: [UInt8]]>([:])

    /// RuntimeDefault for a container with these capabilities.
    func runtimeDefault(_ capabilities: CapabilitySet) throws(PluginError) -> [UInt8] {
        if let known = compiled.withLock({ $0[capabilities] }) { return known }
        let program = try Self.compileDefault(capabilities)
        compiled.withLock { $0[capabilities] = program }
        return program
    }

    static func compileDefault(_ capabilities: CapabilitySet) throws(PluginError) -> [UInt8] {
        let builder = try SeccompBuilder(defaultAction: SeccompBuilder.errno(UInt32(EPERM)))
        var calls = SeccompTable.always.split(separator: " ").map(String.init)
        for entry in SeccompTable.withCapability where capabilities.contains(entry.capability) {
            calls += entry.calls.split(separator: " ").map(String.init)
        }
        for call in Set(calls).sorted() { try builder.allow(call) }
        if !capabilities.contains("SYS_ADMIN") {
            try builder.add("clone", SeccompBuilder.allow, [.maskedEqual(0, SeccompTable.cloneNamespaceFlags, 0)])
            // clone3's flags lie in memory, out of a filter's sight: C libraries fall back to clone.
            try builder.add("clone3", SeccompBuilder.errno(UInt32(ENOSYS)), [])
        }
        for value in SeccompTable.personalities {
            try builder.add("personality", SeccompBuilder.allow, [.equal(0, value)])
        }
        // The filter language knows no "neither … nor" over one argument: the families between those refused.
        let refused = SeccompTable.refusedSocketFamilies
        try builder.add("socket", SeccompBuilder.allow, [.less(0, refused[0])])
        for (low, high) in zip(refused, refused.dropFirst()) where high > low + 1 {
            for family in low + 1..<high { try builder.add("socket", SeccompBuilder.allow, [.equal(0, family)]) }
        }
        if let last = refused.last { try builder.add("socket", SeccompBuilder.allow, [.greater(0, last)]) }
        return try builder.program()
    }

    /// A profile of the node's administrator, in the JSON form of the OCI runtime specification (also with Docker's
    /// `includes`/`excludes` on capabilities).
    static func localhost(path: String, _ capabilities: CapabilitySet) throws(PluginError) -> [UInt8] {
        let profile: JSON
        do {
            profile = try JSON(parsing: try AtomicFile.read(path, limit: 1 << 20))
        } catch {
            throw .invalid("the seccomp profile \(path) cannot be read: \(error)")
        }
        let builder = try SeccompBuilder(
            defaultAction: try action(profile["defaultAction"], profile["defaultErrnoRet"], path))
        for rule in profile["syscalls"].arrayValue where applies(rule, capabilities) {
            let action = try action(rule["action"], rule["errnoRet"], path)
            var conditions: [SeccompBuilder.Condition] = []
            for argument in rule["args"].arrayValue { conditions.append(try condition(argument, path)) }
            let single = rule["name"].stringValue.map { [$0] } ?? []
            for name in rule["names"].arrayValue.compactMap(\.stringValue) + single {
                try builder.add(name, action, conditions)
            }
        }
        return try builder.program()
    }

    private static func applies(_ rule: JSON, _ capabilities: CapabilitySet) -> Bool {
        func has(_ name: JSON) -> Bool { capabilities.contains(String((name.stringValue ?? "").dropFirst(4))) }
        return rule["includes"]["caps"].arrayValue.allSatisfy(has)
            && !rule["excludes"]["caps"].arrayValue.contains(where: has)
    }

    private static func action(_ json: JSON, _ code: JSON, _ path: String) throws(PluginError) -> UInt32 {
        let errno = UInt32(clamping: code.integerValue ?? Int64(EPERM)) & 0xffff
        switch json.stringValue {
        case "SCMP_ACT_ALLOW": return SeccompBuilder.allow
        case "SCMP_ACT_ERRNO": return SeccompBuilder.errno(errno)
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": return 0
        case "SCMP_ACT_KILL_PROCESS": return 0x8000_0000
        case "SCMP_ACT_TRAP": return 0x0003_0000
        case "SCMP_ACT_LOG": return 0x7ffc_0000
        case "SCMP_ACT_TRACE": return 0x7ff0_0000 | errno
        default:
            throw .invalid(
                "the seccomp profile \(path) has the action \"\(json.stringValue ?? "")\", which hostd does not support"
            )
        }
    }

    private static func condition(_ json: JSON, _ path: String) throws(PluginError) -> SeccompBuilder.Condition {
        let operators = [
            "SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4, "SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6,
            "SCMP_CMP_MASKED_EQ": 7,
        ]
        guard let index = json["index"].integerValue, (0...5).contains(index),
            let comparison = operators[json["op"].stringValue ?? ""], let value = json["value"].integerValue
        else { throw .invalid("the seccomp profile \(path) has an argument condition that cannot be read") }
        return SeccompBuilder.Condition(
            index: UInt32(index), comparison: UInt32(comparison), first: UInt64(bitPattern: value),
            second: UInt64(bitPattern: json["valueTwo"].integerValue ?? 0))
    }
}

/// One filter under construction.
final class SeccompBuilder {
    /// A comparison of one argument; `comparison` is libseccomp's scmp_compare.
    struct Condition {
        let index: UInt32
        let comparison: UInt32
        let first: UInt64
        let second: UInt64

        static func equal(_ index: UInt32, _ value: UInt64) -> Condition {
            .init(index: index, comparison: 4, first: value, second: 0)
        }
        static func less(_ index: UInt32, _ value: UInt64) -> Condition {
            .init(index: index, comparison: 2, first: value, second: 0)
        }
        static func greater(_ index: UInt32, _ value: UInt64) -> Condition {
            .init(index: index, comparison: 6, first: value, second: 0)
        }
        static func maskedEqual(_ index: UInt32, _ mask: UInt64, _ value: UInt64) -> Condition {
            .init(index: index, comparison: 7, first: mask, second: value)
        }
    }

    static let allow: UInt32 = 0x7fff_0000
    static func errno(_ code: UInt32) -> UInt32 { 0x0005_0000 | code }

    private let context: scmp_filter_ctx
    private let defaultAction: UInt32

    init(defaultAction: UInt32) throws(PluginError) {
        guard let context = seccomp_init(defaultAction) else { throw .internal("libseccomp cannot make a filter") }
        self.context = context
        self.defaultAction = defaultAction
        // A binary tree by number instead of a chain: a few comparisons per call instead of hundreds.
        seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
        #if arch(x86_64)
            // 32-bit programs run too.
            seccomp_arch_add(context, 0x4000_0003)
        #endif
    }

    deinit { seccomp_release(context) }

    func allow(_ call: String) throws(PluginError) { try add(call, Self.allow, []) }

    /// A call that this machine's libseccomp or architecture does not know is left out.
    func add(_ call: String, _ action: UInt32, _ conditions: [Condition]) throws(PluginError) {
        if action == defaultAction { return }
        let number = seccomp_syscall_resolve_name(call)
        if number == -1 { return }
        let arguments = conditions.map { condition in
            scmp_arg_cmp(
                arg: condition.index, op: scmp_compare(rawValue: condition.comparison), datum_a: condition.first,
                datum_b: condition.second)
        }
        let result = seccomp_rule_add_array(context, action, number, UInt32(arguments.count), arguments)
        // EDOM: the call does not exist on one of the architectures.
        if result != 0, result != -EDOM, result != -EEXIST {
            throw .system("add \(call) to", "the seccomp filter", errno: -result)
        }
    }

    func program() throws(PluginError) -> [UInt8] {
        let file = try Descriptor(runtime_empty_memory_file("seccomp"), "make", "a memory file")
        let result = seccomp_export_bpf(context, file.number)
        if result != 0 { throw .system("compile", "the seccomp filter", errno: -result) }
        let size = lseek(file.number, 0, SEEK_END)
        guard size > 0, size % 8 == 0, size / 8 <= 4096 else {
            throw .invalid("the seccomp filter has \(size / 8) instructions; the kernel takes 1 to 4096")
        }
        var bytes = [UInt8](repeating: 0, count: Int(size))
        guard pread(file.number, &bytes, bytes.count, 0) == bytes.count else {
            throw .internal("the seccomp filter cannot be read back")
        }
        return unknownCallsAnswer(ENOSYS) + bytes
    }

    /// A beginning for the program: calls newer than any that libseccomp knows do not exist, rather than being forbidden,
    /// so that C libraries fall back to older ones. New calls have the same numbers on all architectures since 424.
    private func unknownCallsAnswer(_ code: Int32) -> [UInt8] {
        let native = seccomp_arch_native()
        var last: UInt32 = 0
        for number in Int32(424)...700 {
            guard let name = seccomp_syscall_resolve_num_arch(native, number) else { continue }
            free(name)
            last = UInt32(number)
        }
        if last == 0 { return [] }
        let loadWord: UInt16 = 0x20
        let jumpEqual: UInt16 = 0x15
        let jumpGreater: UInt16 = 0x25
        let answer: UInt16 = 0x06
        // seccomp_data: the number at 0, the architecture at 4.
        return Self.instruction(loadWord, 0, 0, 4) + Self.instruction(jumpEqual, 0, 3, native)
            + Self.instruction(loadWord, 0, 0, 0) + Self.instruction(jumpGreater, 0, 1, last)
            + Self.instruction(answer, 0, 0, Self.errno(UInt32(code)))
    }

    /// struct sock_filter of linux/filter.h.
    private static func instruction(_ code: UInt16, _ whenTrue: UInt8, _ whenFalse: UInt8, _ value: UInt32) -> [UInt8] {
        withUnsafeBytes(of: code) { Array($0) } + [whenTrue, whenFalse] + withUnsafeBytes(of: value) { Array($0) }
    }
}

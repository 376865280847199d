import CRuntime
import Containers
import Glibc
import PluginKit

/// The allow-list as a BPF program of the type cgroup/dev: Linux, Documentation/bpf and bpf_cgroup_dev_ctx in bpf.h.
enum DeviceFilter {
    private static let load32: UInt8 = 0x61  // BPF_LDX | BPF_MEM | BPF_W
    private static let moveRegister: UInt8 = 0xbf  // BPF_ALU64 | BPF_MOV | BPF_X
    private static let moveImmediate: UInt8 = 0xb7
    private static let andImmediate: UInt8 = 0x57
    private static let shiftRight: UInt8 = 0x77
    private static let jumpNotEqual: UInt8 = 0x55  // BPF_JMP | BPF_JNE | BPF_K
    private static let exit: UInt8 = 0x95
    private static let refuse: Int32 = 0
    private static let allow: Int32 = 1

    static func instructions(_ rules: [DeviceRule]) -> [bpf_insn] {
        // r2 = type, r3 = access, r4 = major, r5 = minor; r1 is the context, free after the loads.
        var program = [
            instruction(load32, destination: 2, source: 1, offset: 0),
            instruction(moveRegister, destination: 3, source: 2),
            instruction(andImmediate, destination: 2, immediate: 0xffff),
            instruction(shiftRight, destination: 3, immediate: 16),
            instruction(load32, destination: 4, source: 1, offset: 4),
            instruction(load32, destination: 5, source: 1, offset: 8),
        ]
        for rule in rules { program += check(rule) }
        program.append(instruction(moveImmediate, destination: 0, immediate: refuse))
        program.append(instruction(exit))
        return program
    }

    /// Falls through to the next rule unless every part matches.
    private static func check(_ rule: DeviceRule) -> [bpf_insn] {
        var tests: [(before: [bpf_insn], register: UInt8, value: UInt32)] = []
        tests.append(([], 2, rule.kind == .character ? 2 : 1))  // BPF_DEVCG_DEV_CHAR, BPF_DEVCG_DEV_BLOCK
        let allowed: UInt32 = (rule.mayMake ? 1 : 0) | (rule.mayRead ? 2 : 0) | (rule.mayWrite ? 4 : 0)
        if allowed != 7 {
            let forbidden = [
                instruction(moveRegister, destination: 1, source: 3),
                instruction(andImmediate, destination: 1, immediate: Int32(~allowed & 7)),
            ]
            tests.append((forbidden, 1, 0))
        }
        if let major = rule.major { tests.append(([], 4, major)) }
        if let minor = rule.minor { tests.append(([], 5, minor)) }
        let end = [instruction(moveImmediate, destination: 0, immediate: allow), instruction(exit)]
        var body: [bpf_insn] = []
        var remaining = tests.reduce(end.count) { $0 + $1.before.count + 1 }
        for test in tests {
            body += test.before
            remaining -= test.before.count + 1
            body.append(
                instruction(
                    jumpNotEqual, destination: test.register, offset: Int16(remaining),
                    immediate: Int32(bitPattern: test.value)))
        }
        return body + end
    }

    private static func instruction(
        _ code: UInt8, destination: UInt8 = 0, source: UInt8 = 0, offset: Int16 = 0, immediate: Int32 = 0
    ) -> bpf_insn {
        var instruction = bpf_insn()
        instruction.code = code
        instruction.dst_reg = destination
        instruction.src_reg = source
        instruction.off = offset
        instruction.imm = immediate
        return instruction
    }

    /// Loads the program; attach it to as many cgroups as need it.
    static func load(_ rules: [DeviceRule]) throws(PluginError) -> Descriptor {
        let program = instructions(rules)
        let descriptor = program.withUnsafeBufferPointer { buffer in
            // SAFETY: a program has at least its two last instructions.
            runtime_load_device_program(buffer.baseAddress!, UInt32(buffer.count))
        }
        if descriptor < 0 { throw .system("load", "the device filter (BPF)", errno: errno) }
        return Descriptor(taking: descriptor)
    }

    static func attach(_ program: Descriptor, to directory: String) throws(PluginError) {
        let cgroup = try Descriptor(opening: directory, O_RDONLY | O_DIRECTORY)
        if runtime_attach_device_program(cgroup.number, program.number) != 0 {
            throw .system("attach the device filter to", directory, errno: errno)
        }
    }
}

import PluginAPI

@testable import Kernel

/// A provider's table made by a test: a head and slots in memory that stays for the length of the test run.
final class TestTable {
    let pointer: UnsafePointer<hostd_interface>
    let descriptor: SlotDescriptor

    /// `functions` in the order of `slots`; nil = a slot that the provider left out.
    init(_ slots: String, self context: UnsafeMutableRawPointer? = nil, _ functions: [UnsafeRawPointer?]) throws {
        let head = MemoryLayout<hostd_interface>.size
        let size = head + functions.count * 8
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
        let text = slots.utf8CString
        let kept = UnsafeMutablePointer<CChar>.allocate(capacity: text.count)
        for (index, byte) in text.enumerated() { kept[index] = byte }
        memory.storeBytes(
            of: hostd_interface(
                struct_size: UInt32(size), reserved: 0, self: context, id: UnsafePointer(kept),
                slots: UnsafePointer(kept)),
            as: hostd_interface.self)
        for (index, function) in functions.enumerated() {
            memory.storeBytes(of: function, toByteOffset: head + index * 8, as: UnsafeRawPointer?.self)
        }
        pointer = UnsafePointer(memory.assumingMemoryBound(to: hostd_interface.self))
        descriptor = try SlotDescriptor(slots)
    }

    var target: RoleTarget { RoleTarget(descriptor: descriptor, table: pointer) }
}

/// The function pointer of a slot of any table.
func slotFunction<Function>(_ table: UnsafePointer<hostd_interface>, _ index: Int, as type: Function.Type) -> Function {
    let offset = MemoryLayout<hostd_interface>.size + index * 8
    let pointer = UnsafeRawPointer(table).load(fromByteOffset: offset, as: UnsafeRawPointer.self)
    return unsafeBitCast(pointer, to: type)
}

/// "name:be", the shape that most tests use.
typealias BytesFunction =
    @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<UInt8>?, UInt64, UnsafeMutablePointer<hostd_error>?) ->
    Int32

func address(_ function: BytesFunction) -> UnsafeRawPointer { unsafeBitCast(function, to: UnsafeRawPointer.self) }

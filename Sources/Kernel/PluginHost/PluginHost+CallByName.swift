import CInterposer
import Glibc
import Objects
import PluginAPI

extension PluginHost {
    /// Why a call by name did not succeed.
    public struct CallFailure: Error, Sendable, CustomStringConvertible {
        /// HOSTD_ERROR_*.
        public let code: Int32
        public let message: String
        /// Whether the provider was reached: then it has taken over the files that were given away.
        public var wasCalled = false
        public var description: String { "\(statusName(code)): \(message)" }
    }

    public struct CallResult: Sendable {
        /// What the slot returned as bytes; nil when its shape has none.
        public var output: [UInt8]?
        /// What it returned as a number.
        public var number: UInt64?
    }

    /// Calls a slot of a role or service by its name. `arguments` are for the letters `b` (text as it is, everything
    /// else as JSON) and for whole numbers, in order; `files` belong to the provider where the letter is `F`, and stay
    /// the caller's otherwise. `deadline`: monotonic nanoseconds, 0 = none.
    public func call(
        role: String, plugin: String?, slot: String, arguments: [JSON], files: [Int32], deadline: UInt64
    ) throws(CallFailure) -> CallResult {
        let (table, descriptor) = try table(role: role, plugin: plugin)
        guard let index = descriptor.find(slot) else {
            throw CallFailure(
                code: HOSTD_ERROR_NOT_SUPPORTED,
                message: "\(role) has no slot \"\(slot)\"; it has \(list(descriptor.names))"
                    + suggestion(for: slot, among: descriptor.names))
        }
        let letters = descriptor.letters(index)
        var call = interposer_call()
        call.deadline_ns = deadline
        let bytes = try fill(&call, letters: letters, arguments: arguments, files: files, slot: slot)
        defer { for buffer in bytes { buffer.deallocate() } }
        var error = ForeignBytes.emptyError()
        let status = interposer_call_slot(table, descriptor.handle, index, &call, &error)
        guard status == HOSTD_OK else {
            call.output.release?(call.output.context)
            let message = ForeignBytes.message(of: error)
            throw CallFailure(
                code: status, message: message.isEmpty ? "the call failed without a reason" : message, wasCalled: true)
        }
        return try result(call, letters: letters)
    }

    private func table(
        role: String, plugin: String?
    ) throws(CallFailure) -> (UnsafePointer<hostd_interface>, SlotDescriptor) {
        let found = plugin.map { providerTable(of: role, plugin: $0) } ?? interface(role)
        guard let table = found else {
            let known = Array(RoleCatalog.roles.keys) + Array(RoleCatalog.services.keys)
            let subject = plugin.map { "the plugin \($0) does not provide \(role)" } ?? "nothing is known of \(role)"
            throw CallFailure(code: HOSTD_ERROR_NOT_FOUND, message: subject + suggestion(for: role, among: known))
        }
        do { return (table, try SlotDescriptor(table.pointee.slots)) } catch {
            throw CallFailure(code: HOSTD_ERROR_INTERNAL, message: error.description)
        }
    }

    /// Puts arguments into a call; returns the buffers that it points to.
    private func fill(
        _ call: inout interposer_call, letters: String, arguments: [JSON], files: [Int32], slot: String
    ) throws(CallFailure) -> [UnsafeMutableBufferPointer<UInt8>] {
        guard interposer_call_shape(letters, &call.byte_count, &call.file_count, &call.scalar_count) == 0 else {
            throw CallFailure(
                code: HOSTD_ERROR_NOT_SUPPORTED,
                message:
                    "\(slot) has the shape \(letters), which cannot be called by name: only t, b, f, F, i, u, l, w, h, o, H, W, I and e can"
            )
        }
        guard arguments.count == Int(call.byte_count + call.scalar_count), files.count == Int(call.file_count) else {
            throw CallFailure(
                code: HOSTD_ERROR_INVALID_ARGUMENT,
                message:
                    "\(slot) has the shape \(letters): it takes \(call.byte_count + call.scalar_count) arguments and "
                    + "\(call.file_count) files, not \(arguments.count) and \(files.count)")
        }
        var buffers: [UnsafeMutableBufferPointer<UInt8>] = []
        var (byte, scalar, next) = (0, 0, 0)
        for letter in letters.utf8 {
            switch letter {
            case UInt8(ascii: "b"):
                let content = arguments[next].stringValue.map { Array($0.utf8) } ?? arguments[next].serialized()
                let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(content.count, 1))
                _ = buffer.initialize(from: content)
                buffers.append(buffer)
                interposer_call_set_bytes(&call, UInt32(byte), UnsafePointer(buffer.baseAddress), UInt64(content.count))
                byte += 1
                next += 1
            case UInt8(ascii: "i"), UInt8(ascii: "u"), UInt8(ascii: "l"), UInt8(ascii: "w"), UInt8(ascii: "h"):
                guard let number = arguments[next].integerValue else {
                    for buffer in buffers { buffer.deallocate() }
                    throw CallFailure(
                        code: HOSTD_ERROR_INVALID_ARGUMENT,
                        message: "argument \(next + 1) of \(slot) must be a whole number")
                }
                interposer_call_set_scalar(&call, UInt32(scalar), number)
                scalar += 1
                next += 1
            default: break
            }
        }
        for (index, file) in files.enumerated() { interposer_call_set_file(&call, UInt32(index), file) }
        return buffers
    }

    private func result(_ call: interposer_call, letters: String) throws(CallFailure) -> CallResult {
        var result = CallResult()
        if letters.contains("o") {
            do { result.output = try ForeignBytes.take(call.output, limit: 64 << 20) } catch {
                throw CallFailure(
                    code: HOSTD_ERROR_RESOURCE_EXHAUSTED,
                    message: "the answer has \(error.size) bytes; at most \(error.limit) are passed on")
            }
        }
        if letters.contains("H") || letters.contains("W") { result.number = call.handle }
        if letters.contains("I") { result.number = UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: call.handle))) }
        return result
    }

    /// Letters of a slot, so that a caller knows what becomes of its files. nil when there is no such slot.
    public func shape(role: String, plugin: String?, slot: String) -> String? {
        guard let (_, descriptor) = try? table(role: role, plugin: plugin), let index = descriptor.find(slot) else {
            return nil
        }
        return descriptor.letters(index)
    }
}

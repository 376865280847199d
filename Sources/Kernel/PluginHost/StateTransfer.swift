import PluginAPI

/// Calls of hostd.state/1.
enum StateTransfer {
    /// Bytes of a state.
    static let limit = 256 << 20

    typealias Table = UnsafePointer<hostd_state_1>

    static func export(_ table: Table) throws(PluginFailure) -> [UInt8] {
        try exported { table.pointee.export_state(table.pointee.interface.`self`, $0, $1) }
    }

    static func take(_ state: [UInt8], into table: Table) throws(PluginFailure) {
        try imported(state) { table.pointee.import_state(table.pointee.interface.`self`, $0, $1, $2) }
    }

    /// What a slot hands out, copied.
    static func exported(
        by slot: (UnsafeMutablePointer<hostd_buffer>, UnsafeMutablePointer<hostd_error>) -> Int32
    ) throws(PluginFailure) -> [UInt8] {
        var (buffer, error) = (hostd_buffer(), ForeignBytes.emptyError())
        let status = slot(&buffer, &error)
        guard status == HOSTD_OK else {
            buffer.release?(buffer.context)
            throw failure(.exportState, status, error)
        }
        do { return try ForeignBytes.take(buffer, limit: limit) } catch {
            throw PluginFailure(
                .exportState, "the state has \(error.size) bytes; at most \(error.limit) are handed over")
        }
    }

    /// Gives a slot what another one handed out.
    static func imported(
        _ state: [UInt8], by slot: (UnsafePointer<UInt8>, UInt64, UnsafeMutablePointer<hostd_error>) -> Int32
    ) throws(PluginFailure) {
        var error = ForeignBytes.emptyError()
        let empty: UInt8 = 0
        let status = state.withUnsafeBufferPointer { bytes in
            withUnsafePointer(to: empty) { none in
                slot(bytes.baseAddress ?? none, UInt64(bytes.count), &error)
            }
        }
        guard status == HOSTD_OK else { throw failure(.importState, status, error, format: formatName(of: state)) }
    }

    /// The first line of a state: the id of its format.
    static func formatName(of state: [UInt8]) -> String {
        String(decoding: state.prefix(128).prefix { $0 != 0x0A }, as: UTF8.self)
    }

    private static func failure(
        _ step: PluginFailure.Step, _ status: Int32, _ error: hostd_error, format: String? = nil
    ) -> PluginFailure {
        let message = ForeignBytes.message(of: error)
        guard status < 0 else {
            return PluginFailure(step, "the plugin returned the status \(status); allowed are 0 and negative ones")
        }
        let reason = message.isEmpty ? "the plugin failed with \(statusName(status)) and gave no reason" : message
        guard status == HOSTD_ERROR_VERSION, let format else { return PluginFailure(step, code: status, reason) }
        return PluginFailure(
            step, code: status,
            "\(reason) (the state has the format \"\(format)\"; --discard-state swaps without it)")
    }
}

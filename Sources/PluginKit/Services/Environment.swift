import Objects
import PluginAPI

/// Facts about the host process, and its end (hostd.environment/1). Any thread.
public struct Environment: @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_environment_1>

    init(_ table: UnsafePointer<hostd_environment_1>) { self.table = table }

    /// {"version","startedAt","processID","dataDirectory","listen","stopWorkloads"}
    public func describe() throws -> JSON {
        try checkedBuffer { table.pointee.describe(table.pointee.interface.`self`, $0, $1) }.json()
    }

    /// Whether containers are to be ended when the host stops.
    public func stopsWorkloads() throws -> Bool { try describe()["stopWorkloads"].boolValue ?? false }

    /// Asks the host to stop in an orderly way. Returns at once.
    public func stop(exitCode: Int32, reason: String) throws(PluginError) {
        try checked { error in
            lend(reason) { table.pointee.stop(table.pointee.interface.`self`, exitCode, $0, $1, error) }
        }
    }
}

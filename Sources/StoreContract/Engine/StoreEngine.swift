import Glibc
import Objects
import PluginAPI
import PluginKit

/// Why an engine refused.
struct Refusal: Error {
    let status: Int32
    let message: String
}

/// An engine as a clause calls it: every answer is copied, checked and given back.
struct StoreEngine: Sendable {
    typealias Answer<Value> = Result<Value, Refusal>

    // SAFETY: the table is immutable and its provider outlives the clause.
    nonisolated(unsafe) private let table: UnsafePointer<hostd_store_1>
    /// Nanoseconds that it has for what must come from it.
    let patience: UInt64

    init(_ table: UnsafePointer<hostd_store_1>, _ patience: UInt64) {
        self.table = table
        self.patience = patience
    }

    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    /// Runs a slot with an error of its own.
    private func ask<Value>(
        _ slot: (UnsafeMutablePointer<hostd_error>) -> Int32, _ value: () throws(Violation) -> Value
    ) throws(Violation) -> Answer<Value> {
        var error = hostd_error()
        error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
        let status = slot(&error)
        let message = copyAndRelease(error.message)
        guard status != HOSTD_OK else { return .success(try value()) }
        try require(status < 0, "the status \(status), which is positive", rule: 9)
        return .failure(Refusal(status: status, message: String(decoding: message, as: UTF8.self)))
    }

    private func copyAndRelease(_ buffer: hostd_buffer) -> [UInt8] {
        defer { buffer.release?(buffer.context) }
        return Array(UnsafeBufferPointer(start: buffer.data, count: buffer.data == nil ? 0 : Int(buffer.size)))
    }

    /// Waits until the engine answers, as long as it says that a retry can help; its status.
    func readiness() throws(Violation) -> JSON {
        let deadline = monotonicNanoseconds() + patience
        while true {
            switch try status() {
            case .success(let json): return json
            case .failure(let refusal):
                try require(
                    refusal.status == HOSTD_ERROR_UNAVAILABLE && monotonicNanoseconds() < deadline,
                    "status fails: \(statusName(refusal.status)): \(refusal.message)")
                usleep(20_000)
            }
        }
    }

    func status() throws(Violation) -> Answer<JSON> {
        var buffer = hostd_buffer()
        return try ask {
            table.pointee.status(this, &buffer, $0)
        } _: { () throws(Violation) in
            let bytes = copyAndRelease(buffer)
            guard let json = try? JSON(parsing: bytes), json.objectValue != nil else {
                throw Violation("status answers what is no JSON object: \(String(decoding: bytes, as: UTF8.self))")
            }
            return json
        }
    }

    // MARK: Reading

    func get(_ key: String, revision: UInt64 = 0) throws(Violation) -> Answer<ContractRecord> {
        var buffer = hostd_buffer()
        return try ask {
            table.pointee.get(this, Array(key.utf8), UInt64(key.utf8.count), revision, &buffer, $0)
        } _: {
            () throws(Violation) in
            let records = try ContractRecord.sequence(copyAndRelease(buffer))
            try require(records.count == 1, "get of \(key) answers \(records.count) records")
            return records[0]
        }
    }

    func list(
        _ prefix: String, selector: String = "", revision: UInt64 = 0, limit: UInt64 = 0, after: String = ""
    ) throws(Violation) -> Answer<ContractPage> {
        var buffer = hostd_buffer()
        return try ask {
            table.pointee.list(
                this, Array(prefix.utf8), UInt64(prefix.utf8.count), Array(selector.utf8), UInt64(selector.utf8.count),
                revision, limit, Array(after.utf8), UInt64(after.utf8.count), &buffer, $0)
        } _: { () throws(Violation) in
            try ContractPage(copyAndRelease(buffer))
        }
    }

    // MARK: Writing

    func create(
        _ key: String, _ value: [UInt8], index: [UInt8] = [], lease: UInt64 = 0
    ) throws(Violation) -> Answer<UInt64> {
        var revision: UInt64 = 0
        return try ask {
            table.pointee.create(
                this, Array(key.utf8), UInt64(key.utf8.count), value, UInt64(value.count), index, UInt64(index.count),
                lease, &revision, $0)
        } _: { () throws(Violation) in
            revision
        }
    }

    func update(
        _ key: String, _ value: [UInt8], index: [UInt8] = [], lease: UInt64 = 0, expected: UInt64 = 0
    ) throws(Violation) -> Answer<UInt64> {
        var revision: UInt64 = 0
        return try ask {
            table.pointee.update(
                this, Array(key.utf8), UInt64(key.utf8.count), value, UInt64(value.count), index, UInt64(index.count),
                lease, expected, &revision, $0)
        } _: { () throws(Violation) in
            revision
        }
    }

    func remove(_ key: String, expected: UInt64 = 0) throws(Violation) -> Answer<UInt64> {
        var revision: UInt64 = 0
        return try ask {
            table.pointee.remove(this, Array(key.utf8), UInt64(key.utf8.count), expected, &revision, $0)
        } _: { () throws(Violation) in
            revision
        }
    }

    /// Waits for the completion. `.failure` when it was refused at once.
    func commit(_ steps: [UInt8]) throws(Violation) -> Answer<ContractCommit> {
        let completion = CommitCompletion()
        let context = Unmanaged.passRetained(completion).toOpaque()
        let accepted = try ask {
            table.pointee.transaction(this, steps, UInt64(steps.count), CommitCompletion.function, context, $0)
        } _: { () throws(Violation) in
        }
        switch accepted {
        case .success: return .success(try completion.wait(patience))
        case .failure(let refusal):
            try require(
                !completion.hasRun, "a transaction that was refused with \(statusName(refusal.status)) completes",
                rule: 12)
            return .failure(refusal)
        }
    }

    // MARK: Watches, leases, upkeep

    /// The handle; messages go to `log`.
    func watch(
        _ prefix: String, selector: String = "", from: UInt64 = 0, into log: WatchLog
    ) throws(Violation) -> Answer<UInt64> {
        var watch: UInt64 = 0
        return try ask {
            table.pointee.watch(
                this, Array(prefix.utf8), UInt64(prefix.utf8.count), Array(selector.utf8), UInt64(selector.utf8.count),
                from, WatchLog.function, log.context, &watch, $0)
        } _: { () throws(Violation) in
            watch
        }
    }

    func cancel(watch: UInt64) throws(Violation) -> Answer<Void> {
        try ask {
            table.pointee.watch_cancel(this, watch, $0)
        } _: { () throws(Violation) in
        }
    }

    func grant(milliseconds: UInt64) throws(Violation) -> Answer<UInt64> {
        var lease: UInt64 = 0
        return try ask {
            table.pointee.lease_grant(this, milliseconds, &lease, $0)
        } _: { () throws(Violation) in
            lease
        }
    }

    func keepAlive(_ lease: UInt64) throws(Violation) -> Answer<Void> {
        try ask {
            table.pointee.lease_keep_alive(this, lease, $0)
        } _: { () throws(Violation) in
        }
    }

    func revoke(_ lease: UInt64) throws(Violation) -> Answer<Void> {
        try ask {
            table.pointee.lease_revoke(this, lease, $0)
        } _: { () throws(Violation) in
        }
    }

    func compact(_ revision: UInt64) throws(Violation) -> Answer<Void> {
        try ask {
            table.pointee.compact(this, revision, $0)
        } _: { () throws(Violation) in
        }
    }

    /// Gives the descriptor away.
    func backup(to file: Int32) throws(Violation) -> Answer<JSON> {
        var buffer = hostd_buffer()
        return try ask {
            table.pointee.backup(this, file, &buffer, $0)
        } _: { () throws(Violation) in
            let bytes = copyAndRelease(buffer)
            guard let json = try? JSON(parsing: bytes), json.objectValue != nil else {
                throw Violation("backup answers what is no JSON object: \(String(decoding: bytes, as: UTF8.self))")
            }
            return json
        }
    }
}

import Glibc

/// What can be fuzzed. A target returns for every input, whatever it is, in time linear in the input's size; a trap, a
/// broken promise, too much time or too much memory ends the process, and libFuzzer keeps the input.
enum FuzzTarget: String, CaseIterable {
    // The store's files, and what comes to it.
    case log, snapshot, operations, selector
    // Texts.
    case json, yaml, configuration, patch
    // What clients of the API send.
    case http, websocket, protobuf, strategic, fields

    static let variable = "HOSTD_FUZZ_TARGET"
    static let chosen = getenv(variable).flatMap { FuzzTarget(rawValue: String(cString: $0)) } ?? .json

    /// Processor time that an input may take, in nanoseconds: for its being there, and for each byte. A hundred times what
    /// the slowest target needs without instrumentation; something quadratic is over it from some ten thousand bytes on.
    private static let allowance = (fixed: 200_000_000, perByte: 30_000)

    func run(_ input: UnsafeRawBufferPointer) {
        let started = Self.processorTime()
        call(input)
        let spent = Self.processorTime() - started
        precondition(
            spent <= Self.allowance.fixed + input.count * Self.allowance.perByte,
            "\(rawValue): \(input.count) bytes took \(spent / 1_000_000) ms of processor time")
    }

    private func call(_ input: UnsafeRawBufferPointer) {
        switch self {
        case .log: StoreFiles.openLog(input)
        case .snapshot: StoreFiles.openSnapshot(input)
        case .operations: StoreRequests.readOperations(input)
        case .selector: StoreRequests.readSelector(input)
        case .json: Texts.readJSON(input)
        case .yaml: Texts.readYAML(input)
        case .configuration: Texts.readConfiguration(input)
        case .patch: Texts.applyPatch(input)
        case .http: ClientBytes.readRequest(input)
        case .websocket: ClientBytes.readWebSocket(input)
        case .protobuf: ClientBytes.readProtobuf(input)
        case .strategic: ClientBytes.applyStrategicPatch(input)
        case .fields: ClientBytes.applyConfiguration(input)
        }
    }

    private static func processorTime() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}

extension UnsafeRawBufferPointer {
    /// The parts between zero bytes, at most `count`; the last one takes the rest.
    func parts(_ count: Int) -> [UnsafeRawBufferPointer] {
        var parts: [UnsafeRawBufferPointer] = []
        var rest = self[...]
        while parts.count + 1 < count, let end = rest.firstIndex(of: 0) {
            parts.append(UnsafeRawBufferPointer(rebasing: rest[..<end]))
            rest = rest[(end + 1)...]
        }
        return parts + [UnsafeRawBufferPointer(rebasing: rest)]
    }
}

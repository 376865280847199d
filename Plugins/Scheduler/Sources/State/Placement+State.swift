import Objects
import PluginAPI

/// hostd.scheduler.state/1, as roles/scheduler.h defines it: all nodes, and what counts of the pods placed on them.
extension Placement {
    /// - Returns: the whole state, its first line included.
    public func exported(revision: UInt64) -> [UInt8] {
        var writer = StateWriter(revision: revision)
        writer.reserve(64 + 256 * nodes.count + 320 * pods.count)
        write(to: &writer)
        return writer.bytes
    }

    /// What a trace names, as it is now.
    /// - Returns: changes that can be `taken`, their first line included.
    public func exported(_ trace: ChangeTrace, revision: UInt64) -> [UInt8] {
        var writer = StateWriter(revision: revision)
        if trace.isReset {
            writer.record(UInt8(HOSTD_SCHEDULER_STATE_RESET)) { _ in }
            write(to: &writer)
            return writer.bytes
        }
        for name in trace.nodes where positions[name] == nil {
            writer.record(UInt8(HOSTD_SCHEDULER_STATE_NODE_GONE)) { $0.text(name) }
        }
        for uid in trace.pods where pods[uid] == nil {
            writer.record(UInt8(HOSTD_SCHEDULER_STATE_POD_GONE)) { $0.text(uid) }
        }
        write(
            trace.nodes.compactMap { positions[$0] }.sorted(), trace.pods.compactMap { pods.index(forKey: $0) },
            to: &writer)
        return writer.bytes
    }

    private func write(to writer: inout StateWriter) { write(nodes.indices, pods.indices, to: &writer) }

    private func write(
        _ positions: some Sequence<Int>, _ pods: some Sequence<Dictionary<String, PlacedPod>.Index>,
        to writer: inout StateWriter
    ) {
        for position in positions {
            writer.record(UInt8(HOSTD_SCHEDULER_STATE_NODE)) { $0.node(nodes[position].description) }
        }
        // In the order in which they came, and labels by name: a copy exports the same. Only numbers are sorted.
        let order = pods.map { (sequence: self.pods[$0].value.sequence, index: $0) }
        for (_, index) in order.sorted(by: { $0.sequence < $1.sequence }) {
            let (uid, placed) = self.pods[index]
            writer.record(UInt8(HOSTD_SCHEDULER_STATE_POD)) { $0.pod(uid, placed.node, placed.pod) }
        }
    }

    /// Reads a state without its first line.
    /// - Returns: what it holds, and its revision.
    public static func imported(_ state: UnsafeRawBufferPointer) throws -> (placement: Placement, revision: UInt64) {
        var reader = StateReader(state)
        var placement = Placement()
        let revision = try reader.number(UInt64.self)
        placement.reservePods(state.count / 400)
        while !reader.isAtEnd {
            // Those of changes are unknown to a state.
            if let record = try reader.stateRecord(), !record.isChangeOnly { placement.take(record) }
        }
        return (placement, revision)
    }

    /// Takes over changes, without their first line; all of them or, when one cannot be read, none.
    /// - Returns: the revision that they lead to.
    public mutating func take(changes: UnsafeRawBufferPointer) throws -> UInt64 {
        var reader = StateReader(changes)
        let revision = try reader.number(UInt64.self)
        var records: [StateRecord] = []
        while !reader.isAtEnd {
            if let record = try reader.stateRecord() { records.append(record) }
        }
        for record in records { take(record) }
        return revision
    }

    private mutating func take(_ record: StateRecord) {
        switch record {
        case .node(let node): setNode(node)
        case .pod(let uid, let node, let pod): setPod(uid: uid, pod, node: node)
        case .nodeGone(let name): removeNode(name)
        case .podGone(let uid): removePod(uid: uid)
        case .reset: self = Placement()
        }
    }
}

/// One record of a state or of changes.
private enum StateRecord {
    case node(NodeDescription)
    case pod(uid: String, node: String, PodDescription)
    case nodeGone(String)
    case podGone(uid: String)
    case reset

    var isChangeOnly: Bool {
        switch self {
        case .node, .pod: false
        case .nodeGone, .podGone, .reset: true
        }
    }
}

extension StateWriter {
    fileprivate mutating func pairs(_ pairs: [String: String]) {
        number(UInt32(pairs.count))
        func write(_ pair: (key: String, value: String)) {
            text(pair.key)
            text(pair.value)
        }
        if pairs.count < 2 { return pairs.forEach(write) }
        pairs.sorted { $0.key < $1.key }.forEach(write)
    }

    fileprivate mutating func node(_ node: NodeDescription) {
        text(node.name)
        var flags = node.isUnschedulable ? UInt32(HOSTD_SCHEDULER_NODE_UNSCHEDULABLE) : 0
        if node.isReady { flags |= UInt32(HOSTD_SCHEDULER_NODE_READY) }
        number(flags)
        number(node.allocatable.milliCPU)
        number(node.allocatable.memory)
        number(node.allocatable.ephemeralStorage)
        number(node.allocatable.pods)
        pairs(node.labels)
        list(node.taints) {
            $0.text($1.key)
            $0.text($1.value)
            $0.byte($1.effect.stateNumber)
        }
        list(node.extended.sorted { $0.key < $1.key }) {
            $0.text($1.key)
            $0.number($1.value)
        }
    }

    fileprivate mutating func pod(_ uid: String, _ node: String, _ pod: PodDescription) {
        text(uid)
        text(node)
        text(pod.namespace)
        number(pod.priority)
        number(pod.amounts.milliCPU)
        number(pod.amounts.memory)
        number(pod.amounts.ephemeralStorage)
        number(pod.scoredMilliCPU)
        number(pod.scoredMemory)
        pairs(pod.labels)
        list(pod.extended) {
            $0.text($1.name)
            $0.number($1.amount)
        }
        list(pod.hostPorts) {
            $0.number(Int32(clamping: $1.port))
            $0.text($1.transport)
            $0.text($1.address)
        }
        list(pod.antiAffinity) { $0.term($1) }
        list(pod.attraction) {
            $0.term($1.term)
            $0.number(Int32(clamping: $1.weight))
        }
        byte(pod.isTerminating ? 1 : 0)
    }

    private mutating func term(_ term: PodAffinityTerm) {
        let requirements = term.selector?.requirements ?? []
        text(term.topologyKey)
        byte(term.selector.map { $0.matchesNothing ? 0 : 1 } ?? 0)
        list((term.namespaces ?? []).sorted()) { $0.text($1) }
        list(requirements) {
            $0.text($1.key)
            $0.byte($1.operator.stateNumber)
            $0.list($1.values) { $0.text($1) }
        }
    }
}

extension StateReader {
    /// The next record; nil for one of an unknown kind.
    fileprivate mutating func stateRecord() throws -> StateRecord? {
        var (kind, fields) = try record()
        switch Int32(kind) {
        case HOSTD_SCHEDULER_STATE_NODE: return .node(try fields.node())
        case HOSTD_SCHEDULER_STATE_POD:
            let (uid, node, pod) = try fields.pod()
            return .pod(uid: uid, node: node, pod)
        case HOSTD_SCHEDULER_STATE_NODE_GONE: return .nodeGone(try fields.text())
        case HOSTD_SCHEDULER_STATE_POD_GONE: return .podGone(uid: try fields.text())
        case HOSTD_SCHEDULER_STATE_RESET: return .reset
        default: return nil
        }
    }

    fileprivate mutating func pairs() throws(Failure) -> [String: String] {
        let count = Int(try number(UInt32.self))
        var pairs: [String: String] = [:]
        for _ in 0..<count {
            let key = try text()
            pairs[key] = try text()
        }
        return pairs
    }

    fileprivate mutating func node() throws(Failure) -> NodeDescription {
        let name = try text()
        let flags = try number(UInt32.self)
        let allocatable = Amounts(
            milliCPU: try number(), memory: try number(), ephemeralStorage: try number(), pods: try number())
        let labels = try pairs()
        let taints = try list { (reader: inout StateReader) throws(Failure) -> Taint in
            let (key, value) = (try reader.text(), try reader.text())
            return Taint(key: key, value: value, effect: try Taint.Effect(stateNumber: reader.byte()))
        }
        let extended = try amounts()
        return NodeDescription(
            name: name, labels: labels, taints: taints, allocatable: allocatable,
            extended: Dictionary(extended.map { ($0.name, $0.amount) }) { _, last in last },
            isReady: flags & UInt32(HOSTD_SCHEDULER_NODE_READY) != 0,
            isUnschedulable: flags & UInt32(HOSTD_SCHEDULER_NODE_UNSCHEDULABLE) != 0)
    }

    private mutating func amounts() throws(Failure) -> [(name: String, amount: Int64)] {
        try list { (reader: inout StateReader) throws(Failure) -> (name: String, amount: Int64) in
            let name = try reader.text()
            return (name, try reader.number())
        }
    }

    fileprivate mutating func pod() throws(Failure) -> (uid: String, node: String, pod: PodDescription) {
        var pod = PodDescription()
        let (uid, node) = (try text(), try text())
        pod.namespace = try text()
        pod.priority = try number()
        pod.amounts = Amounts(
            milliCPU: try number(), memory: try number(), ephemeralStorage: try number(), pods: 1)
        pod.scoredMilliCPU = try number()
        pod.scoredMemory = try number()
        pod.labels = try pairs()
        pod.extended = try amounts()
        pod.hostPorts = try list { (reader: inout StateReader) throws(Failure) -> HostPort in
            let port = Int64(try reader.number(Int32.self))
            let transport = try reader.text()
            return HostPort(port: port, transport: transport, address: try reader.text())
        }
        pod.antiAffinity = try list { (reader: inout StateReader) throws(Failure) -> PodAffinityTerm in
            try reader.term()
        }
        // A writer that does not know what follows leaves it out.
        if isAtEnd { return (uid, node, pod) }
        for _ in 0..<(try count()) {
            let term = try term()
            pod.preferredAffinity.append((Int64(try number(Int32.self)), term))
        }
        pod.isTerminating = try byte() != 0
        return (uid, node, pod)
    }

    private mutating func term() throws(Failure) -> PodAffinityTerm {
        let key = try text()
        let selects = try byte()
        let namespaces = try list { (reader: inout StateReader) throws(Failure) -> String in try reader.text() }
        let requirements = try list { (reader: inout StateReader) throws(Failure) -> LabelSelector.Requirement in
            let key = try reader.text()
            let number = try reader.byte()
            let values = try reader.list { (reader: inout StateReader) throws(Failure) -> String in
                try reader.text()
            }
            guard let test = LabelSelector.Operator(stateNumber: number) else {
                throw .value("selector operator", number)
            }
            do {
                return try LabelSelector.Requirement(key, test, values)
            } catch {
                throw .selector("\(error)")
            }
        }
        return PodAffinityTerm(
            topologyKey: key, selector: selects == 0 ? nil : LabelSelector(requirements: requirements),
            namespaces: namespaces.isEmpty ? nil : Set(namespaces))
    }
}

extension Taint.Effect {
    fileprivate var stateNumber: UInt8 {
        switch self {
        case .noSchedule: 1
        case .preferNoSchedule: 2
        case .noExecute: 3
        }
    }

    fileprivate init(stateNumber: UInt8) throws(StateReader.Failure) {
        switch stateNumber {
        case 1: self = .noSchedule
        case 2: self = .preferNoSchedule
        case 3: self = .noExecute
        default: throw .value("taint effect", stateNumber)
        }
    }
}

extension LabelSelector.Operator {
    fileprivate var stateNumber: UInt8 {
        switch self {
        case .equals, .isIn: 1
        case .notEquals, .isNotIn: 2
        case .exists: 3
        case .doesNotExist: 4
        case .greaterThan: 5
        case .lessThan: 6
        }
    }

    fileprivate init?(stateNumber: UInt8) {
        let operators: [LabelSelector.Operator] = [.isIn, .isNotIn, .exists, .doesNotExist, .greaterThan, .lessThan]
        guard (1...6).contains(stateNumber) else { return nil }
        self = operators[Int(stateNumber) - 1]
    }
}

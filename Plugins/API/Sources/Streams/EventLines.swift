import PluginKit
import Synchronization

/// The lines of recent watch events, each made once for every form in which a client watches: all watches of a form append
/// the same bytes. Bounded; a line that was given up is made again.
final class EventLines: Sendable {
    /// What makes two watches see the same line for a change.
    struct Form: Hashable, Sendable {
        /// Compared by identity, and held: a resource that went cannot be taken for one that came.
        let resource: any AnyObject & Sendable
        let form: ResponseForm
        let includeObject: String?
        /// Whether a table tells its columns, which it does in the first event of a watch.
        let showsColumns: Bool

        static func == (left: Form, right: Form) -> Bool {
            left.resource === right.resource && left.form == right.form && left.includeObject == right.includeObject
                && left.showsColumns == right.showsColumns
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(ObjectIdentifier(resource))
            hasher.combine(form)
            hasher.combine(includeObject)
            hasher.combine(showsColumns)
        }
    }

    private struct Line: Hashable {
        let form: Form
        let kind: WatchEncoder.Kind
        let revision: UInt64
        /// Several keys may change at one revision.
        let key: String
    }

    private struct State {
        var lines: [Line: [UInt8]] = [:]
        /// In the order in which they were made.
        var order: [Line] = []
        var first = 0
        var bytes = 0
        var made = 0
    }

    private let state = Mutex(State())
    private let limit: Int

    /// - Parameter limit: most bytes of lines that are kept.
    init(limit: Int = 4 << 20) { self.limit = limit }

    /// Lines that were made so far.
    var made: Int { state.withLock { $0.made } }

    /// The line of a change; `make` appends it when nobody has asked for it before.
    func line(
        _ form: Form, _ kind: WatchEncoder.Kind, revision: UInt64, key: String, make: (inout [UInt8]) -> Void
    ) -> [UInt8] {
        let line = Line(form: form, kind: kind, revision: revision, key: key)
        // Made under the lock: the others that want it at this moment wait for it instead of making it too.
        return state.withLock { state in
            if let known = state.lines[line] { return known }
            var bytes: [UInt8] = []
            make(&bytes)
            state.made += 1
            state.lines[line] = bytes
            state.order.append(line)
            state.bytes += bytes.count
            while state.bytes > limit, state.first < state.order.count - 1 {
                state.bytes -= state.lines.removeValue(forKey: state.order[state.first])?.count ?? 0
                state.first += 1
            }
            if state.first > 1024 && state.first * 2 > state.order.count {
                state.order.removeFirst(state.first)
                state.first = 0
            }
            return bytes
        }
    }
}

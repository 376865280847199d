/// What a record of the store said, as somebody saw it.
public struct Seen: Equatable, Sendable {
    public var key: String
    /// Which write wrote it: its value is `Payload.bytes(tag)`; 0 in deletions.
    public var tag: UInt64 = 0
    public var revision: UInt64
    public var createRevision: UInt64 = 0
    public var version: UInt64 = 0
    public var lease: UInt64 = 0
    public var isDelete = false

    /// The value of the index name "app".
    public var app: String { Payload.app(tag) }
}

/// One step of a write.
public struct WriteStep: Equatable, Sendable {
    public enum Kind: Int32, Sendable { case create = 1, update, put, delete, check }
    public var kind: Kind
    public var key: String
    public var tag: UInt64 = 0
    public var lease: UInt64 = 0
    public var expected: UInt64 = 0

    public var isPut: Bool { kind == .create || kind == .update || kind == .put }
}

/// What a client asks for.
public enum Request: Equatable, Sendable {
    case write([WriteStep])
    case get(String, revision: UInt64)
    case list(prefix: String, app: String?, revision: UInt64, limit: Int, after: String)
    case grant(milliseconds: UInt64)
    case keepAlive(UInt64)
    case revoke(UInt64)
    case compact(UInt64)
    /// What a key held at each revision that is kept.
    case versions(String)
    /// A copy is made, and what a store shows that begins from it.
    case backup
}

/// What it was answered.
public enum Response: Equatable, Sendable {
    case done(revision: UInt64)
    case record(Seen)
    case page(revision: UInt64, records: [Seen], more: Bool, remaining: UInt64)
    case lease(UInt64)
    /// Oldest first; the history goes back to `since`.
    case versions([Seen], since: UInt64)
    /// A code of `HOSTD_ERROR_*`; the key's present revision and the failed step where the store says them.
    case failed(Int32, revision: UInt64?, step: Int?, message: String)
}

/// A request with its answer. Moments count all begins and ends of one run, so they order what did not overlap.
public struct Operation: Sendable {
    public var client: Int
    public var request: Request
    public var begin: Int
    /// Virtual nanoseconds.
    public var beginTime: UInt64
    /// nil when there was no answer before a crash.
    public var end: Int?
    public var endTime: UInt64 = 0
    public var response: Response?

    public init(client: Int, request: Request, begin: Int, beginTime: UInt64) {
        self.client = client
        self.request = request
        self.begin = begin
        self.beginTime = beginTime
    }
}

/// An event as a watch delivered it.
public struct SeenEvent: Equatable, Sendable {
    public enum Entry: Sendable { case none, entered, left }
    public var record: Seen
    public var entry = Entry.none
    public var previous: Seen?

    public init(record: Seen, entry: Entry = .none, previous: Seen? = nil) {
        self.record = record
        self.entry = entry
        self.previous = previous
    }
}

/// A message of a watch.
public struct WatchMessage: Sendable {
    public enum Content: Equatable, Sendable {
        case events([SeenEvent])
        case progress(UInt64)
        case resync
        case end
    }
    public var content: Content
    public var moment: Int
    public var time: UInt64

    public init(_ content: Content, moment: Int, time: UInt64) {
        self.content = content
        self.moment = moment
        self.time = time
    }
}

/// All that one watch got.
public struct WatchStream: Sendable {
    public var name: String
    public var prefix: String
    public var app: String?
    /// 0 = from now on.
    public var from: UInt64
    public var begin: Int
    /// When the call that began it returned; nil when it did not.
    public var begun: Int?
    public var messages: [WatchMessage] = []
    /// Whether it was to have everything at the end of the run.
    public var isCompleteAtEnd = false

    public init(name: String, prefix: String, app: String?, from: UInt64, begin: Int) {
        self.name = name
        self.prefix = prefix
        self.app = app
        self.from = from
        self.begin = begin
    }

    public var events: [SeenEvent] {
        messages.flatMap { message -> [SeenEvent] in
            guard case .events(let events) = message.content else { return [] }
            return events
        }
    }
}

/// One life of the store.
public struct Epoch: Sendable {
    /// When its opening began.
    public var begin: Int
    public var beginTime: UInt64

    public init(begin: Int, beginTime: UInt64) {
        self.begin = begin
        self.beginTime = beginTime
    }
}

/// Everything that clients saw in one run.
public struct History: Sendable {
    public var operations: [Operation] = []
    /// Watches of everything, each from where the one before ended: together the sequence of all transactions.
    public var observers: [WatchStream] = []
    /// The first transaction, when it was read instead of watched.
    public var first: [Seen] = []
    public var watches: [WatchStream] = []
    public var epochs: [Epoch] = []
    /// Histories are bounded to so many records; 0 = only `compact` gives them up.
    public var historyCount = 0
    /// Whether the disk fails calls, so that writes may be refused for that.
    public var diskFails = false
    /// What is there at the end, after everything came to rest: the whole list.
    public var finalRevision: UInt64 = 0
    public var finalRecords: [Seen] = []
    public var isFinished = false

    public init() {}
}

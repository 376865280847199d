extension HistoryChecker {
    /// Every watch got a gapless prefix of its events, each transaction in one piece, and knew how far it was.
    mutating func checkWatches() {
        for stream in history.watches + history.observers { check(stream) }
    }

    private mutating func check(_ stream: WatchStream) {
        if stream.from != 0 {
            if let problem = problem(of: stream, from: stream.from) { fail("\(stream.name): \(problem)") }
            return
        }
        // From now on: from some revision of the time that its begin took.
        let starts = window(stream.begin, stream.begun)
        var first: String?
        for start in starts {
            guard let problem = problem(of: stream, from: start) else { return }
            first = first ?? problem
        }
        fail("\(stream.name) from now on (\(starts)): \(first ?? "nothing fits")")
    }

    private func problem(of stream: WatchStream, from start: UInt64) -> String? {
        let expected = model.events(prefix: stream.prefix, app: stream.app, after: start)
        var count = 0
        var isOver = false
        var isSentBack = false
        for message in stream.messages {
            if isOver { return "a message after the last" }
            switch message.content {
            case .events(let events):
                for event in events {
                    guard count < expected.count else { return "an event too many: \(event)" }
                    if event != expected[count] { return "got \(event) instead of \(expected[count])" }
                    count += 1
                }
                if count > 0, count < expected.count,
                    expected[count].record.revision == expected[count - 1].record.revision
                {
                    return "revision \(expected[count].record.revision) comes in pieces"
                }
            case .progress(let revision):
                let due = expected.prefix { $0.record.revision <= revision }.count
                if due > count { return "is told that it has all up to \(revision) and misses \(expected[count])" }
            case .resync:
                isOver = true
                isSentBack = true
                let reached = count == 0 ? start : expected[count - 1].record.revision
                if !mayBeCompacted(reached, by: message.moment) {
                    return "is told to list again after \(reached) for no reason"
                }
            case .end: isOver = true
            }
        }
        if stream.isCompleteAtEnd && !isSentBack && count < expected.count {
            return "never got \(expected[count]), although all came to rest"
        }
        return nil
    }
}

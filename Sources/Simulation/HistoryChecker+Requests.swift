import PluginAPI

extension HistoryChecker {
    /// Longest time of a request, virtual nanoseconds: the slowest disk takes a hundredth of it.
    private static let longest: UInt64 = 2_000_000_000

    /// Each answer is right at some revision within the request's time.
    mutating func checkRequests() {
        for (position, operation) in history.operations.enumerated() {
            guard let end = operation.end, let response = operation.response else { continue }
            // A backup is made, moved and opened.
            if operation.endTime - operation.beginTime > Self.longest, operation.request != .backup {
                fail("operation \(position) took \((operation.endTime - operation.beginTime) / 1_000_000) ms")
            }
            let window = window(operation.begin, end)
            switch (operation.request, response) {
            case (.write(let steps), .done(let revision)):
                if steps.allSatisfy({ $0.kind == .check }) {
                    if !window.contains(where: { model.refusal(of: steps, at: $0) == nil }) {
                        fail("operation \(position) was told at revision \(revision) that its checks hold: \(steps)")
                    }
                } else if revision >= 1, revision <= model.revision, makers[Int(revision - 1)] != position {
                    fail("operation \(position) was acknowledged at revision \(revision), which is another's")
                }
            case (.write(let steps), .failed(let code, let present, let step, let message)):
                checkRefusal(position, steps, code, present, step, message, window)
            case (.get(let key, let revision), _): checkGet(position, key, revision, response, window, end)
            case (.versions(let key), _): checkVersions(position, key, response, window)
            case (.backup, .page(let revision, let records, _, _)): checkBackup(position, revision, records, window)
            case (.list, _): checkList(position, operation.request, response, window, end)
            default: checkOther(position, response)
            }
        }
    }

    private mutating func checkOther(_ position: Int, _ response: Response) {
        guard case .failed(let code, _, _, let message) = response else { return }
        let expected = [
            HOSTD_ERROR_UNAVAILABLE, HOSTD_ERROR_NO_SPACE, HOSTD_ERROR_NOT_FOUND,
        ]
        if !expected.contains(code), code != HOSTD_ERROR_INTERNAL || !history.diskFails {
            fail("operation \(position) fails: \(message)")
        }
    }

    private mutating func checkRefusal(
        _ position: Int, _ steps: [WriteStep], _ code: Int32, _ present: UInt64?, _ step: Int?, _ message: String,
        _ window: ClosedRange<UInt64>
    ) {
        if code == HOSTD_ERROR_UNAVAILABLE || code == HOSTD_ERROR_NO_SPACE { return }
        if code == HOSTD_ERROR_INTERNAL && history.diskFails { return }  // No new segment: nothing happened.
        if code == HOSTD_ERROR_NOT_FOUND, message.hasPrefix("lease") { return checkLeaseRefusal(position, steps) }
        let codes: [StateModel.Refusal: Int32] = [
            .exists: HOSTD_ERROR_ALREADY_EXISTS, .notFound: HOSTD_ERROR_NOT_FOUND, .conflict: HOSTD_ERROR_CONFLICT,
        ]
        let isRight = window.contains { revision in
            guard let refusal = model.refusal(of: steps, at: revision), codes[refusal.code] == code else {
                return false
            }
            return (step == nil || step == refusal.step) && (present == nil || present == refusal.revision)
        }
        if !isRight {
            fail("operation \(position) was refused at no revision of \(window) for this reason: \(message), \(steps)")
        }
    }

    private mutating func checkGet(
        _ position: Int, _ key: String, _ revision: UInt64, _ response: Response, _ window: ClosedRange<UInt64>,
        _ end: Int
    ) {
        let range = revision == 0 ? window : revision...revision
        switch response {
        case .record(let seen):
            if revision > window.upperBound || !range.contains(where: { model.value(key, at: $0) == seen }) {
                fail("operation \(position) got \(seen), which \(key) was not at a revision of \(range)")
            }
        case .failed(let code, _, _, let message):
            checkReadFailure(position, revision, code, message, window, end)
            if code == HOSTD_ERROR_NOT_FOUND, !range.contains(where: { model.value(key, at: $0) == nil }) {
                fail("operation \(position) did not find \(key), which was there at all revisions of \(range)")
            }
        default: fail("operation \(position) got \(response) for a get")
        }
    }

    private mutating func checkReadFailure(
        _ position: Int, _ revision: UInt64, _ code: Int32, _ message: String, _ window: ClosedRange<UInt64>, _ end: Int
    ) {
        switch code {
        case HOSTD_ERROR_NOT_FOUND: break
        case HOSTD_ERROR_COMPACTED where mayBeCompacted(revision, by: end): break
        case HOSTD_ERROR_INVALID_ARGUMENT where revision > window.lowerBound: break
        default: fail("operation \(position) at revision \(revision), present \(window), fails: \(message)")
        }
    }

    private mutating func checkList(
        _ position: Int, _ request: Request, _ response: Response, _ window: ClosedRange<UInt64>, _ end: Int
    ) {
        guard case .list(let prefix, let app, let revision, let limit, let after) = request else { return }
        switch response {
        case .page(let shown, let records, let more, let remaining):
            guard revision == 0 ? window.contains(shown) : shown == revision && shown <= window.upperBound else {
                return fail("operation \(position) shows revision \(shown), not one of \(window) or \(revision)")
            }
            let all = model.list(prefix: prefix, app: app, at: shown)
                .filter { after.isEmpty || StateModel.isBefore(after, $0.key) }
            let expected = limit == 0 ? all : Array(all.prefix(limit))
            if records != expected {
                fail("operation \(position) lists at revision \(shown) \(records), not \(expected)")
            }
            if more != (all.count > expected.count) { fail("operation \(position) says more=\(more) of \(all.count)") }
            if app == nil, remaining != UInt64(all.count - expected.count) {
                fail("operation \(position) says that \(remaining) remain of \(all.count - expected.count)")
            }
        case .failed(let code, _, _, let message):
            checkReadFailure(position, revision, code, message, window, end)
        default: fail("operation \(position) got \(response) for a list")
        }
    }
}

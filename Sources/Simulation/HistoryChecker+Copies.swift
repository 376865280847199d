import PluginAPI

extension HistoryChecker {
    /// A copy shows all of one revision that was the present one while it was made, and nothing else.
    mutating func checkBackup(_ position: Int, _ revision: UInt64, _ records: [Seen], _ window: ClosedRange<UInt64>) {
        guard window.contains(revision) else {
            return fail("operation \(position) copies revision \(revision), not one of \(window)")
        }
        let expected = model.list(prefix: "", app: nil, at: revision)
        if records != expected {
            fail("operation \(position) restores at revision \(revision) \(records), not \(expected)")
        }
    }

    /// The versions of a key up to a revision that was the present one, without a gap, and none missing that the history has.
    mutating func checkVersions(_ position: Int, _ key: String, _ response: Response, _ window: ClosedRange<UInt64>) {
        switch response {
        case .versions(let versions, let since):
            let isRight = window.contains { present in
                let all = model.versions(of: key).filter { $0.revision <= present }
                return all.count >= versions.count && Array(all.suffix(versions.count)) == versions
                    && all.filter { $0.revision > since }.count <= versions.count
            }
            if !isRight {
                fail("operation \(position) shows as versions of \(key) since \(since) \(versions), present \(window)")
            }
        case .failed(HOSTD_ERROR_NOT_FOUND, _, _, _):
            if window.allSatisfy({ model.value(key, at: $0) != nil }) {
                fail("operation \(position) finds no version of \(key), which exists at all revisions of \(window)")
            }
        case .failed(_, _, _, let message): fail("operation \(position) fails: \(message)")
        default: fail("operation \(position) got \(response) for versions")
        }
    }
}

import PluginAPI
import PluginKit

extension RequestPipeline {
    /// Commits what a request writes: as the writer that it names, and only while its fence holds.
    func commit(
        _ transaction: StoreTransaction, _ request: APIRequest, completion: @escaping @Sendable (StoreCommit) -> Void
    ) throws(PluginError) {
        guard let fence = request.fence else {
            return try store.commit(transaction, by: request.writer, completion: completion)
        }
        // Behind the request's own steps, whose positions tell what has failed.
        var fenced = transaction
        fenced.check(fence.key, expected: fence.revision)
        let position = transaction.count
        try store.commit(fenced, by: request.writer) { commit in
            guard commit.error != nil, commit.failedOperation == position else { return completion(commit) }
            // Not a conflict, which would be tried again.
            let refusal = PluginError.forbidden(
                "the writer does not lead any more: \(fence.key) is no longer at revision \(fence.revision)")
            completion(StoreCommit(revision: commit.revision, failedOperation: nil, error: refusal))
        }
    }
}

import PluginAPI
import PluginKit

extension RequestPipeline {
    /// Commits what a request writes: as the writer that it names, and only while its fence holds.
    ///
    /// What an event loop's requests write goes to the store when the loop has done all that is ready, so that it is on disk
    /// together, and `completion` runs on the loop; elsewhere it goes at once, and `completion` runs on a thread of the store.
    func commit(
        _ transaction: StoreTransaction, _ request: APIRequest, completion: @escaping @Sendable (StoreCommit) -> Void
    ) throws(PluginError) {
        let (writer, fence) = (request.writer, request.fence)
        guard let loop = request.loop, loop.isCurrent else {
            return try commit(transaction, by: writer, fence, completion)
        }
        loop.afterwards { [self] in
            do throws(PluginError) {
                try commit(transaction, by: writer, fence) { commit in
                    // Where the loop has ended meanwhile nobody waits for the answer; what else follows is done all the same.
                    if !loop.take({ completion(commit) }) { completion(commit) }
                }
            } catch {
                completion(StoreCommit(revision: 0, failedOperation: nil, error: error))
            }
        }
    }

    private func commit(
        _ transaction: StoreTransaction, by writer: String, _ fence: WriteFence?,
        _ completion: @escaping @Sendable (StoreCommit) -> Void
    ) throws(PluginError) {
        guard let fence else { return try store.commit(transaction, by: writer, completion: completion) }
        // Behind the request's own steps, whose positions tell what has failed.
        var fenced = transaction
        fenced.check(fence.key, expected: fence.revision)
        let position = transaction.count
        try store.commit(fenced, by: writer) { commit in
            guard commit.error != nil, commit.failedOperation == position else { return completion(commit) }
            // Not a conflict, which would be tried again.
            let refusal = PluginError.forbidden(
                "the writer does not lead any more: \(fence.key) is no longer at revision \(fence.revision)")
            completion(StoreCommit(revision: commit.revision, failedOperation: nil, error: refusal))
        }
    }
}

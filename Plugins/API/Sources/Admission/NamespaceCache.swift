import Objects
import PluginKit
import Synchronization

/// Whether namespaces exist and take new objects, by their records in the store; each state is read once per revision.
final class NamespaceCache: Sendable {
    private struct Entry {
        var revision: UInt64
        var isTerminating: Bool
    }

    private let store: StoreClient
    private let entries = Mutex<[String: Entry]>([:])

    init(store: StoreClient) {
        self.store = store
    }

    /// - Throws: 404 when the namespace does not exist, 403 when it is being deleted.
    func checkAccepts(_ resource: Resource, _ name: String, namespace: String) throws(APIStatus) {
        let record: StoreRecord?
        do {
            record = try store.get("namespaces//\(namespace)")
        } catch {
            throw .unavailable(error.message)
        }
        guard let record else {
            entries.withLock { _ = $0.removeValue(forKey: namespace) }
            var status = APIStatus(code: 404, reason: "NotFound", message: "namespaces \"\(namespace)\" not found")
            status.name = namespace
            status.kind = "namespaces"
            throw status
        }
        let revision = record.revision
        let known = entries.withLock { $0[namespace] }
        let isTerminating: Bool
        if let known, known.revision == revision {
            isTerminating = known.isTerminating
        } else {
            do {
                isTerminating = try record.object().deletionTimestamp != nil
            } catch {
                throw .internalError("the stored namespace \(namespace) is damaged: \(error)")
            }
            entries.withLock { entries in
                if entries.count > 10_000 { entries.removeAll() }
                entries[namespace] = Entry(revision: revision, isTerminating: isTerminating)
            }
        }
        // Events tell of the end too.
        guard isTerminating, resource.qualified != "events" else { return }
        var status = APIStatus.forbidden(
            resource, name,
            "unable to create new content in namespace \(namespace) because it is being terminated")
        status.causes = [
            .init(
                reason: "NamespaceTerminating", message: "namespace \(namespace) is being terminated",
                field: "metadata.namespace")
        ]
        throw status
    }
}

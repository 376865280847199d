import COpenSSL
import ObjectSchema
import Objects
import PluginKit
import Synchronization

/// Applies that were found to change nothing, so that the same one finds out without all the work: operators and GitOps
/// tools apply what is there already, again and again.
///
/// An apply is a function of what is applied, by whom, and of the object that is there. So the same request at the same
/// revision of the object, under the same schema, changes nothing either. What admission says may depend on more: it is
/// asked each time.
final class UnchangedApplies: Sendable {
    /// What an apply consists of.
    struct Request: Sendable {
        fileprivate let key: String
        fileprivate let digest: [UInt8]
        fileprivate let schema: SchemaNode?
    }

    private struct Known {
        var revision: UInt64
        var digest: [UInt8]
        var schema: SchemaNode?
    }

    private static let limit = 8192
    private let known = Mutex<[String: Known]>([:])

    /// The apply that a request asks for; nil for one that is not to be remembered: of a subresource, or of a custom
    /// resource, whose definition may change.
    static func request(_ context: RequestContext, _ scope: Strategy.Scope, _ schema: SchemaNode?) -> Request? {
        guard scope == .main, context.path.subresource.isEmpty, context.resource.custom == nil else { return nil }
        let head =
            [
                context.resource.apiVersion, context.resource.kind, context.query["fieldManager"] ?? "",
                context.query["force"] ?? "",
            ].joined(separator: "\0") + "\0"
        var digest = [UInt8](repeating: 0, count: 32)
        guard let hash = EVP_MD_CTX_new() else { return nil }
        defer { EVP_MD_CTX_free(hash) }
        guard EVP_DigestInit_ex(hash, EVP_sha256(), nil) == 1,
            EVP_DigestUpdate(hash, Array(head.utf8), head.utf8.count) == 1,
            EVP_DigestUpdate(hash, context.request.body, context.request.body.count) == 1,
            EVP_DigestFinal_ex(hash, &digest, nil) == 1
        else { return nil }
        return Request(key: context.key, digest: digest, schema: schema)
    }

    /// Remembers that an apply changes nothing of the object at a revision.
    func remember(_ request: Request, at revision: UInt64) {
        known.withLock { known in
            if known.count >= Self.limit, known[request.key] == nil { known.removeAll(keepingCapacity: true) }
            known[request.key] = Known(revision: revision, digest: request.digest, schema: request.schema)
        }
    }

    func contains(_ request: Request, at revision: UInt64) -> Bool {
        known.withLock { known in
            guard let found = known[request.key] else { return false }
            return found.revision == revision && found.schema === request.schema && found.digest == request.digest
        }
    }
}

extension RequestPipeline {
    /// Answers an apply of which is known that it changes nothing, after asking admission. False when it is not known.
    func respondUnchanged(
        _ request: UnchangedApplies.Request, _ context: RequestContext, _ respond: Responder
    ) throws(APIStatus) -> Bool {
        let form = try context.form
        _ = try context.request.isDryRun
        let record = try read(context)
        guard unchangedApplies.contains(request, at: record.revision) else { return false }
        var present: JSON
        do { present = try record.object() } catch {
            throw .internalError("the stored object is damaged: \(error)")
        }
        present["metadata"].removeValue(forKey: "managedFields")
        let stored = resources.working(context.resource)
        var admitted = AdmissionRequest(.update, stored, context, old: present, object: present)
        try admission.admit(&admitted)
        guard admitted.object == present, admitted.steps.isEmpty else { return false }
        try admission.validate(&admitted)
        respond(try show(record, context, form).warning(admitted.warnings))
        return true
    }
}

import Objects
import PluginAPI
import PluginKit

/// The index of custom objects, by which field selectors find them. A definition may make fields selectable when there are
/// objects already; those are indexed anew when such a selector is first used.
extension RequestPipeline {
    /// Whether a request selects by a field that not all objects may be indexed by.
    func needsIndex(_ context: RequestContext, _ custom: CustomVersion) -> Bool {
        guard !custom.isIndexed, !context.resource.selectableFields.isEmpty else { return false }
        guard let selector = context.query["fieldSelector"], !selector.isEmpty else { return false }
        return context.resource.selectableFields.contains { selector.contains($0) }
    }

    /// Indexes every object that was written under an earlier definition. [blocking]
    func index(_ resource: Resource, _ custom: CustomVersion) throws(APIStatus) {
        var after = ""
        while true {
            let page: StorePage
            do throws(PluginError) {
                page = try store.list(prefix: resource.prefix(""), limit: 500, after: after)
            } catch {
                throw APIStatus(error, resource, "")
            }
            try index(page.records.filter { $0.revision <= custom.settledRevision }, resource)
            guard page.hasMore, let last = page.records.last else { break }
            after = last.key
        }
        custom.markIndexed()
    }

    private func index(_ records: [StoreRecord], _ resource: Resource) throws(APIStatus) {
        var objects: [JSON] = []
        for record in records {
            do { objects.append(try record.object()) } catch {
                throw .internalError("the stored object \(record.key) is damaged: \(error)")
            }
        }
        let indexes = try self.indexes(of: objects, resource)
        for (record, index) in zip(records, indexes) { try set(index, of: record) }
    }

    private func set(_ index: [UInt8], of record: StoreRecord) throws(APIStatus) {
        let isSame = withExtendedLifetime(record) { record.indexBytes.elementsEqual(index) }
        guard !isSame else { return }
        do throws(PluginError) {
            try store.update(
                record.key, value: record.withValue { Array($0) }, index: index, expected: record.revision)
        } catch {
            // It was written meanwhile, under the present definition, or has gone.
            guard error.code != HOSTD_ERROR_CONFLICT, error.code != HOSTD_ERROR_NOT_FOUND else { return }
            throw .internalError("\(record.key) cannot be indexed: \(error)")
        }
    }
}

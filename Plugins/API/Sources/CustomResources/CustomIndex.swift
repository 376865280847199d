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
            for record in page.records where record.revision <= custom.settledRevision { try index(record, resource) }
            guard page.hasMore, let last = page.records.last else { break }
            after = last.key
        }
        custom.markIndexed()
    }

    private func index(_ record: StoreRecord, _ resource: Resource) throws(APIStatus) {
        do {
            let object = try record.object()
            let index = StoredObject.index(of: object, resource)
            let isSame = withExtendedLifetime(record) { record.indexBytes.elementsEqual(index) }
            guard !isSame else { return }
            let value = record.withValue { Array($0) }
            try store.update(record.key, value: value, index: index, expected: record.revision)
        } catch let error as PluginError where error.code == HOSTD_ERROR_CONFLICT || error.code == HOSTD_ERROR_NOT_FOUND
        {
            // It was written meanwhile, under the present definition, or has gone.
        } catch {
            throw .internalError("\(record.key) cannot be indexed: \(error)")
        }
    }
}

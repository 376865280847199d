/// What a table holds of routes that only some clients may use: a chain for every list of blocks, which lets clients in these
/// blocks go on and drops all others. A pure value, right under the same conditions as `FilterServices`.
struct FilterSources {
    private var chains: [[IPv4Range]: (name: String, uses: Int)] = [:]
    private var next = 1

    /// Makes, changes or removes what stands before a route. Complexity: its frontends and blocks.
    mutating func set(_ route: ServiceRoute?, replacing old: ServiceRoute?, in batch: inout FilterBatch) {
        let chain = route?.sources.map { use($0, in: &batch) }
        let before = Self.elements(old, old?.sources.flatMap { chains[$0]?.name })
        let after = Self.elements(route, chain)
        batch.deleteElements(FilterTable.restricted, before.subtracting(after).map { FilterElement(key: $0.key) })
        batch.addElements(FilterTable.restricted, Array(after.subtracting(before)))
        if let sources = old?.sources { release(sources, in: &batch) }
    }

    /// Only addresses are restricted; node ports are not.
    private static func elements(_ route: ServiceRoute?, _ chain: String?) -> Set<FilterElement> {
        guard let route, let chain else { return [] }
        return Set(
            route.frontends.compactMap { frontend in
                frontend.address.map {
                    FilterElement(
                        key: $0.bytes + FilterPods.bytes(frontend.transport, frontend.port), data: .jump(chain))
                }
            })
    }

    /// The chain of these blocks, made for the first route.
    private mutating func use(_ sources: [IPv4Range], in batch: inout FilterBatch) -> String {
        if let known = chains[sources] {
            chains[sources]?.uses += 1
            return known.name
        }
        let chain = "clients-\(next)"
        next += 1
        chains[sources] = (chain, 1)
        batch.addSet(chain, .init(keyType: NFT.TYPE_IPADDR, keySize: 4, holdsIntervals: true))
        batch.addElements(chain, Intervals(blocks: sources.map { ($0, []) }).elements)
        batch.addChain(chain)
        batch.addRule(
            chain, FilterExpressions().load(.sourceAddress, to: 0).look(up: chain, key: 0).verdict(NFT.NFT_RETURN))
        batch.addRule(chain, FilterExpressions().verdict(NFT.NF_DROP))
        return chain
    }

    private mutating func release(_ sources: [IPv4Range], in batch: inout FilterBatch) {
        guard let known = chains[sources] else { return }
        if known.uses > 1 {
            chains[sources]?.uses -= 1
            return
        }
        chains[sources] = nil
        batch.flushChain(known.name)
        batch.deleteSet(known.name)
        batch.deleteChain(known.name)
    }
}

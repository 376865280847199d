/// Options of the embedded engine, `store.options`.
extension HostConfiguration.StoreSettings {
    static var schema: OptionSchema {
        func number(_ value: Int64, _ minimum: Double, _ maximum: Double) -> OptionSchema {
            .number(.init(defaultValue: .integer(value)), isInteger: true, minimum: minimum, maximum: maximum)
        }
        return .object(
            .init(),
            .init(properties: [
                ("segmentBytes", number(16_777_216, 65_536, 1_073_741_824)),
                ("maximumValueBytes", number(1_572_864, 1024, 67_108_864)),
            ]))
    }
}

extension HostConfiguration.StoreSettings {
    /// What the embedded engine is opened with.
    var engineOptions: StateStoreOptions {
        var result = StateStoreOptions()
        result.historySeconds = history.seconds
        result.historySize = history.bytes
        result.historyCount = history.count
        result.encryption = encryption
        result.segmentSize = Int(options["segmentBytes"].integerValue ?? 16 << 20)
        result.maximumValueSize = Int(options["maximumValueBytes"].integerValue ?? 1_572_864)
        return result
    }
}

/// Options of the embedded engine, `store.options`.
extension HostConfiguration.StoreSettings {
    static var schema: OptionSchema {
        func number(_ value: Int64, _ minimum: Double, _ maximum: Double) -> OptionSchema {
            .number(.init(defaultValue: .integer(value)), isInteger: true, minimum: minimum, maximum: maximum)
        }
        return .object(
            .init(),
            .init(properties: [
                ("historySeconds", number(600, 0, 86400)),
                ("historyBytes", number(33_554_432, 1_048_576, 8_589_934_592)),
                ("segmentBytes", number(16_777_216, 65_536, 1_073_741_824)),
                ("maximumValueBytes", number(1_572_864, 1024, 67_108_864)),
            ]))
    }
}

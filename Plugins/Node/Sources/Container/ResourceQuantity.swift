import Objects

/// Quantities as they stand in resource lists: a string, or a bare number.
enum ResourceQuantity {
    /// The parsed quantity; nil when absent or unreadable.
    static func parse(_ json: JSON) -> Quantity? {
        switch json {
        case .string(let text): return parse(text)
        case .integer(let number): return parse(String(number))
        case .number(let number): return parse(String(number))
        default: return nil
        }
    }

    private static func parse(_ text: String) -> Quantity? {
        do { return try Quantity(parsing: text) } catch { return nil }  // Validated by the API; absent otherwise.
    }

    static func milliValue(_ json: JSON) -> Int64? { parse(json)?.milliValue }
    static func value(_ json: JSON) -> Int64? { parse(json)?.value }
}

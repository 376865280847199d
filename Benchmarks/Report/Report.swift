import Glibc

/// What a figure is held against.
public enum Bar: Sendable {
    case atMost(Double)
    case atLeast(Double)

    /// Whether a value keeps to it.
    public func isMet(by value: Double) -> Bool {
        switch self {
        case .atMost(let limit): value <= limit
        case .atLeast(let limit): value >= limit
        }
    }

    var text: String {
        switch self {
        case .atMost(let limit): "<= \(rounded(limit))"
        case .atLeast(let limit): ">= \(rounded(limit))"
        }
    }
}

/// Prints one figure, at once: name, value, unit, and with a bar the bar and whether it is met.
public func report(_ name: String, _ value: Double, _ unit: String, _ bar: Bar? = nil) {
    let number = rounded(value)
    var line = padded(name, 60) + String(repeating: " ", count: max(1, 13 - number.count)) + number + " "
    line += bar == nil ? unit : padded(unit, 9)
    if let bar { line += " bar: " + padded(bar.text, 12) + (bar.isMet(by: value) ? " met" : " NOT met") }
    line += "\n"
    _ = write(1, line, line.utf8.count)
}

/// Ends the program with a message.
public func fail(_ message: String) -> Never {
    let line = "benchmark: \(message)\n"
    _ = write(2, line, line.utf8.count)
    exit(1)
}

private func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}

/// Three digits that count, none behind the point of a large number.
private func rounded(_ value: Double) -> String {
    if value.magnitude >= 100 { return String(Int(value.rounded())) }
    let scale: Double = value.magnitude >= 10 ? 10 : 100
    return "\((value * scale).rounded() / scale)"
}

/// What a call costs, in units of Kubernetes' runtime cost. "A traversal" is a tenth of a unit for each element of size.
/// See https://kubernetes.io/docs/reference/using-api/cel/#resource-constraints.
enum CallCost: Sendable, Hashable {
    case fixed(UInt64)
    /// Traversals of an argument.
    case traversal(of: Int, times: UInt64)
    /// Of the result.
    case resultTraversal(times: UInt64)
    /// The number of elements of an argument.
    case elements(of: Int)
    /// A traversal of the smaller of two.
    case smaller
    /// A traversal of both.
    case both
    /// A traversal of one for each of the other.
    case product
    /// A traversal of a text for each state of a regular expression, of which four bytes make one.
    case regex
    /// Each element of one list is compared with each of the other.
    case setProduct
    /// A list's elements are compared, and texts in it traversed.
    case listTraversal
    /// An address is compared with a range: with `parsing`, it is parsed; with `isRange` it is a range too.
    case containment(parsing: Bool, isRange: Bool)

    static let one = CallCost.fixed(1)

    var fixed: UInt64? { if case .fixed(let units) = self { units } else { nil } }

    var dependsOnResult: Bool { if case .resultTraversal = self { true } else { false } }

    /// The part of the cost that is known in front of the call.
    func units(beforeCall left: CELValue, _ right: CELValue) -> UInt64 {
        dependsOnResult ? 0 : units([left, right], .null)
    }

    func units(_ arguments: [CELValue], _ result: CELValue) -> UInt64 {
        switch self {
        case .fixed(let units): units
        case .traversal(let index, let times): Self.tenths(Double(arguments[index].size) * Double(times))
        case .resultTraversal(let times): Self.tenths(Double(result.size) * Double(times))
        case .elements(let index): arguments[index].size
        case .smaller: Self.tenths(Double(min(arguments[0].size, arguments[1].size)))
        case .both: Self.tenths(Double(arguments[0].size) + Double(arguments[1].size))
        case .product: Self.tenths(Double(arguments[0].size)) &* Self.tenths(Double(arguments[1].size))
        case .regex:
            Self.tenths(1 + Double(arguments[0].size)) &* UInt64((Double(arguments[1].size) * 0.25).rounded(.up))
        case .setProduct: arguments[0].size &* arguments[1].size &+ 1
        case .listTraversal: arguments[0].traversalUnits
        case .containment(let parsing, let isRange): Self.containment(arguments, parsing, isRange)
        }
    }

    private static func containment(_ arguments: [CELValue], _ parsing: Bool, _ isRange: Bool) -> UInt64 {
        let size = Double(arguments[0].size)
        return tenths(2 * size) + (isRange ? tenths(size) + 1 : 0) + (parsing ? tenths(Double(arguments[1].size)) : 0)
    }

    static func tenths(_ size: Double) -> UInt64 { UInt64((size * 0.1).rounded(.up)) }
}

extension CELValue {
    /// Code points, bytes, elements or entries; 1 for anything else.
    var size: UInt64 {
        switch self {
        case .string(let text): UInt64(text.unicodeScalars.count)
        case .bytes(let bytes): UInt64(bytes.count)
        case .list(let list): UInt64(list.count)
        case .map(let map): UInt64(map.count)
        case .opaque(let value): value.size
        case .optional(let wrapped): wrapped?.size ?? 1
        default: 1
        }
    }

    /// What it takes to look at every part of a value.
    var traversalUnits: UInt64 {
        switch self {
        case .string, .bytes: CallCost.tenths(Double(size))
        case .list(let list):
            ((try? list.elements()) ?? []).reduce(0) { $0 + $1.traversalUnits }
        default: 1
        }
    }
}

import Objects

/// Rules of LimitRanges: bounds and defaults that do not contradict each other.
/// See https://kubernetes.io/docs/concepts/policy/limit-range/.
enum LimitRangeValidation {
    static func check(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        var types: Set<String> = []
        for (index, item) in spec["limits"].arrayValue.enumerated() {
            let place = "\(place).limits[\(index)]"
            let type = item["type"].stringValue ?? ""
            checkType(type, place, &errors)
            if !types.insert(type).inserted { errors.append(.duplicate("\(place).type", .string(type))) }
            if type == "Pod" {
                for field in ["default", "defaultRequest"] where !item[field].isEmpty {
                    errors.append(.forbidden("\(place).\(field)", "may not be specified when `type` is 'Pod'"))
                }
            }
            if type == "PersistentVolumeClaim", item["min"]["storage"].isNull, item["max"]["storage"].isNull {
                errors.append(
                    .required(
                        "\(place).limits",
                        "either minimum or maximum storage value is required, but neither was provided"))
            }
            checkNames(item, type, place, &errors)
            checkAmounts(item, type, place, &errors)
        }
    }

    private static func checkType(_ type: String, _ place: String, _ errors: inout [FieldError]) {
        let complaints = NameChecks.qualifiedName(type)
        errors += complaints.map { .invalid("\(place).type", .string(type), $0) }
        if complaints.isEmpty, !type.contains("/"), !["Pod", "Container", "PersistentVolumeClaim"].contains(type) {
            errors.append(
                .invalid("\(place).type", .string(type), "must be a standard limit type or fully qualified"))
        }
    }

    private static let fields = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]

    /// Pods have no defaults, so that of theirs nothing more is said.
    private static func fields(of type: String) -> [String] {
        type == "Pod" ? fields.filter { !$0.hasPrefix("default") } : fields
    }

    private static func checkNames(_ item: JSON, _ type: String, _ place: String, _ errors: inout [FieldError]) {
        let isOfContainers = type == "Pod" || type == "Container"
        for field in fields(of: type) {
            for (name, _) in item[field].objectValue ?? [:] {
                let complaints =
                    isOfContainers
                    ? ResourceValidation.containerResource(name) : ResourceValidation.resourceName(name)
                errors += complaints.map { .invalid("\(place).\(field)[\(name)]", .string(name), $0) }
            }
        }
    }

    private static func checkAmounts(
        _ item: JSON, _ type: String, _ place: String, _ errors: inout [FieldError]
    ) {
        let fields = fields(of: type)
        let names = Set(fields.flatMap { field in (item[field].objectValue ?? [:]).map(\.key) })
        for name in names.sorted() {
            func amount(_ field: String) -> Quantity? {
                fields.contains(field) ? Quantity.read(item[field][name]) : nil
            }
            /// Some faults show another value than the one that they are about.
            func refuse(_ field: String, showing shown: String? = nil, _ detail: String) {
                errors.append(.invalid("\(place).\(field)[\(name)]", item[shown ?? field][name], detail))
            }
            let (least, greatest) = (amount("min"), amount("max"))
            if let least, let greatest, least > greatest {
                refuse("min", "min value \(least) is greater than max value \(greatest)")
            }
            if let request = amount("defaultRequest") {
                if let least, request < least {
                    refuse("defaultRequest", "min value \(least) is greater than default request value \(request)")
                }
                if let greatest, request > greatest {
                    refuse(
                        "defaultRequest", "default request value \(request) is greater than max value \(greatest)")
                }
                if let limit = amount("default"), request > limit {
                    refuse(
                        "defaultRequest",
                        "default request value \(request) is greater than default limit value \(limit)")
                }
            }
            if let limit = amount("default") {
                if let least, limit < least {
                    refuse("default", showing: "min", "min value \(least) is greater than default value \(limit)")
                }
                if let greatest, limit > greatest {
                    refuse("default", showing: "max", "default value \(limit) is greater than max value \(greatest)")
                }
            }
            if let ratio = amount("maxLimitRequestRatio") {
                if ratio < Quantity(Int64(1)) { refuse("maxLimitRequestRatio", "ratio \(ratio) is less than 1") }
                if let least, let greatest, !least.isZero {
                    let most = Double(greatest.nanoValue) / Double(least.nanoValue)
                    if Double(ratio.nanoValue) / 1e9 > most {
                        refuse(
                            "maxLimitRequestRatio", "ratio \(ratio) is greater than max/min = \(sixDigits(most))")
                    }
                }
            }
            if !ResourceValidation.isOvercommitted(name), let limit = amount("default"),
                let request = amount("defaultRequest"), limit != request
            {
                refuse(
                    "defaultRequest", "default value \(limit) must equal to defaultRequest value \(request) in \(name)")
            }
        }
    }

    /// With six digits behind the point.
    private static func sixDigits(_ number: Double) -> String {
        let millionths = Int64((number * 1e6).rounded())
        let digits = String(millionths % 1_000_000)
        return "\(millionths / 1_000_000)." + String(repeating: "0", count: 6 - digits.count) + digits
    }
}

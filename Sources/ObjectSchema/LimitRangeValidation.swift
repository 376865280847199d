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
            checkAmounts(item, place, &errors)
        }
    }

    private static func checkType(_ type: String, _ place: String, _ errors: inout [FieldError]) {
        guard !type.isEmpty else { return }
        errors += NameChecks.qualifiedName(type).map { .invalid("\(place).type", .string(type), $0) }
        if !type.contains("/"), !["Pod", "Container", "PersistentVolumeClaim"].contains(type) {
            errors.append(
                .invalid("\(place).type", .string(type), "must be a standard limit type or fully qualified"))
        }
    }

    private static func checkAmounts(_ item: JSON, _ place: String, _ errors: inout [FieldError]) {
        let fields = ["min", "max", "default", "defaultRequest", "maxLimitRequestRatio"]
        let names = Set(fields.flatMap { field in (item[field].objectValue ?? [:]).map(\.key) })
        for name in names.sorted() {
            func amount(_ field: String) -> Quantity? { Quantity.read(item[field][name]) }
            func refuse(_ field: String, _ detail: String) {
                errors.append(.invalid("\(place).\(field)[\(name)]", item[field][name], detail))
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
                    refuse("default", "min value \(least) is greater than default value \(limit)")
                }
                if let greatest, limit > greatest {
                    refuse("default", "default value \(limit) is greater than max value \(greatest)")
                }
            }
            if let ratio = amount("maxLimitRequestRatio"), ratio < Quantity(Int64(1)) {
                refuse("maxLimitRequestRatio", "ratio \(ratio) is less than 1")
            }
        }
    }
}

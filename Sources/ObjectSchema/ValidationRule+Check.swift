import Objects

extension ValidationRule {
    /// The rules of a new object. `immutable` and `setonce` are for updates.
    func check(_ object: JSON, at place: String, _ errors: inout [FieldError]) {
        guard condition.holds(for: object) else { return }
        forEachValue(in: object, at: place) { value, place in
            if let textCheck { return check(value, place, textCheck, &errors) }
            switch name {
            case "required": if value.isEmpty { errors.append(.required(place, detail)) }
            case "present": if value.isNull { errors.append(.required(place, detail)) }
            case "forbidden": if value.exists { errors.append(.forbidden(place, detail)) }
            case "immutable", "setonce", "fixed": break
            default: if value.exists { checkPresent(value, place, &errors) }
            }
        }
    }

    /// The rules about values that are there.
    private func checkPresent(_ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        switch name {
        case "enum": checkEnum(value, place, &errors)
        case "min", "max", "range": checkNumber(value, place, &errors)
        case "unique": checkUnique(value, place, &errors)
        case "oneof", "atmostone": checkMembers(value, place, &errors)
        case "maxitems":
            if let limit = limit(0), value.count > limit { errors.append(.tooMany(place, value.count, limit: limit)) }
        case "maxlength":
            if let limit = limit(0), let text = value.stringValue, text.utf8.count > limit {
                errors.append(.tooLong(place, limit: limit))
            }
        case "labels": checkLabels(value, place, &errors)
        case "selector": checkSelector(value, place, &errors)
        case "quantity": checkQuantity(value, place, &errors)
        case "count": checkCount(value, place, &errors)
        case "port": checkPort(value, place, &errors)
        case "setting": checkSettings(value, place, &errors)
        default: break
        }
    }

    private func check(
        _ value: JSON, _ place: String, _ textCheck: (String) -> [String], _ errors: inout [FieldError]
    ) {
        guard let text = value.stringValue, !text.isEmpty else { return }
        for complaint in textCheck(text) {
            errors.append(.invalid(place, value, detail.isEmpty ? complaint : detail))
        }
    }

    /// Nil for a rule that is not about text.
    static func textCheck(_ name: String) -> (@Sendable (String) -> [String])? {
        switch name {
        case "label": NameChecks.dns1123Label
        case "subdomain": NameChecks.dns1123Subdomain
        case "label1035": NameChecks.dns1035Label
        case "qualified": NameChecks.qualifiedName
        case "qualifiedanycase": { NameChecks.qualifiedName($0.lowercased()) }
        case "labelvalue": NameChecks.labelValue
        case "envname": NameChecks.environmentName
        case "configkey": NameChecks.configKey
        case "portname": NameChecks.portName
        case "pathsegment": NameChecks.pathSegment
        case "headername": NameChecks.headerName
        case "conditionreason": NameChecks.conditionReason
        case "ip": IPSyntax.addressComplaints
        case "notip": { IPSyntax.isAddress($0) ? ["must be a DNS name, not an IP address"] : [] }
        case "cidr": IPSyntax.rangeComplaints
        case "absolute": { $0.hasPrefix("/") ? [] : ["must be an absolute path"] }
        case "relative": { $0.hasPrefix("/") ? ["must be a relative path"] : [] }
        case "nobacksteps": { PathChecks.hasBackstep($0) ? ["must not contain '..'"] : [] }
        case "unreserved": { $0.hasPrefix("..") && !$0.hasPrefix("../") ? ["must not start with '..'"] : [] }
        case "drivername": { NameChecks.dns1123Subdomain($0.lowercased()) }
        default: nil
        }
    }

    static let otherRules: Set<String> = [
        "required", "present", "forbidden", "immutable", "setonce", "fixed", "enum", "min", "max", "range", "unique",
        "oneof", "atmostone", "maxitems", "maxlength", "labels", "selector", "quantity", "count", "port", "setting",
    ]

    private func limit(_ index: Int) -> Int? { arguments.indices.contains(index) ? Int(arguments[index]) : nil }

    private func checkEnum(_ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        let text = value.stringValue ?? value.serializedString()
        if !arguments.contains(text.isEmpty ? "\"\"" : text) {
            errors.append(.notSupported(place, value, arguments.filter { $0 != "\"\"" }))
        }
    }

    private func checkNumber(_ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard let number = value.integerValue, let first = limit(0) else { return }
        switch name {
        case "min" where number < first:
            errors.append(.invalid(place, value, detail.isEmpty ? "must be greater than or equal to \(first)" : detail))
        case "max" where number > first:
            errors.append(.invalid(place, value, detail.isEmpty ? "must be less than or equal to \(first)" : detail))
        case "range":
            guard let last = limit(1), number < first || number > last else { return }
            errors.append(
                .invalid(place, value, detail.isEmpty ? "must be between \(first) and \(last), inclusive" : detail))
        default: break
        }
    }

    /// No two elements may agree in all the fields named; without fields, none may be equal.
    private func checkUnique(_ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        var seen: Set<JSON> = []
        for (index, element) in value.arrayValue.enumerated() {
            var key = element
            if !arguments.isEmpty {
                key = JSON(arguments.map { element[$0] })
                guard key.arrayValue.contains(where: { !$0.isEmpty }) else { continue }
            }
            guard !seen.insert(key).inserted else { continue }
            if arguments.count == 1 {
                errors.append(.duplicate("\(place)[\(index)].\(arguments[0])", element[arguments[0]]))
            } else {
                let shown =
                    arguments.isEmpty
                    ? element : JSON(JSONObject(arguments.map { ($0, element[$0]) }.filter { $0.1.exists }))
                errors.append(.duplicate("\(place)[\(index)]", shown))
            }
        }
    }

    private func checkMembers(_ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        let present = arguments.filter { value[$0].exists }
        let names = arguments.map { "`\($0)`" }.joined(separator: ", ")
        if present.count > 1 {
            errors.append(
                .forbidden(
                    place + "." + present[1], detail.isEmpty ? "may not specify more than 1 of \(names)" : detail))
        } else if present.isEmpty, name == "oneof" {
            errors.append(.required(place, detail.isEmpty ? "must specify one of: \(names)" : detail))
        }
    }

    private func checkLabels(_ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        for (key, label) in value.objectValue ?? [:] {
            for complaint in NameChecks.qualifiedName(key) { errors.append(.invalid(place, .string(key), complaint)) }
            for complaint in NameChecks.labelValue(label.stringValue ?? "") {
                errors.append(.invalid(place, label, complaint))
            }
        }
    }

    private func checkSelector(_ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        checkLabels(value["matchLabels"], place + ".matchLabels", &errors)
        for (index, expression) in value["matchExpressions"].arrayValue.enumerated() {
            let place = "\(place).matchExpressions[\(index)]"
            let values = expression["values"].arrayValue
            switch expression["operator"].stringValue {
            case "In", "NotIn":
                if values.isEmpty {
                    errors.append(.required(place + ".values", "must be specified when `operator` is 'In' or 'NotIn'"))
                }
            case "Exists", "DoesNotExist":
                if !values.isEmpty {
                    errors.append(
                        .forbidden(
                            place + ".values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
                }
            default:
                errors.append(.invalid(place + ".operator", expression["operator"], "not a valid selector operator"))
            }
            let key = expression["key"].stringValue ?? ""
            for complaint in NameChecks.qualifiedName(key) {
                errors.append(.invalid(place + ".key", .string(key), complaint))
            }
            for (position, value) in values.enumerated() {
                for complaint in NameChecks.labelValue(value.stringValue ?? "") {
                    errors.append(.invalid("\(place).values[\(position)]", value, complaint))
                }
            }
        }
    }

    /// A quantity that is not negative (and with the argument "positive" not zero).
    private func checkQuantity(_ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard let quantity = Quantity.read(value) else {
            errors.append(.invalid(place, value, "must be a quantity"))
            return
        }
        if arguments.first == "positive" ? quantity <= .zero : quantity.isNegative {
            let usual =
                arguments.first == "positive" ? "must be greater than zero" : "must be greater than or equal to 0"
            errors.append(.invalid(place, value, detail.isEmpty ? usual : detail))
        }
    }

    private static let mostSettings = 512
    private static let mostSettingBytes = 262_144

    /// The parameters of a driver: few of them, with names.
    private func checkSettings(_ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        let settings = value.objectValue ?? [:]
        if settings.count > Self.mostSettings {
            return errors.append(.tooLong(place, limit: Self.mostSettings))
        }
        var size = 0
        for (key, setting) in settings {
            if key.isEmpty { errors.append(.invalid(place, "", "field can not be empty.")) }
            size += key.utf8.count + (setting.stringValue?.utf8.count ?? 0)
        }
        if size > Self.mostSettingBytes { errors.append(.tooLong(place, limit: Self.mostSettingBytes)) }
    }

    /// A whole number that is not negative, or a percentage (with the argument "100" at most that many percent).
    private func checkCount(_ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        if let number = value.integerValue {
            if number < 0 { errors.append(.invalid(place, value, "must be greater than or equal to 0")) }
        } else if let text = value.stringValue {
            let complaints = NameChecks.percent(text)
            for complaint in complaints { errors.append(.invalid(place, value, complaint)) }
            if complaints.isEmpty, let limit = limit(0), let percent = Int(text.dropLast()), percent > limit {
                errors.append(.invalid(place, value, "must not be greater than \(limit)%"))
            }
        }
    }

    /// A port's number or, if it is a string, name.
    private func checkPort(_ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        let complaints = value.integerValue.map(NameChecks.portNumber) ?? NameChecks.portName(value.stringValue ?? "")
        for complaint in complaints { errors.append(.invalid(place, value, complaint)) }
    }
}

extension Quantity {
    /// Nil for what is not a quantity.
    static func read(_ value: JSON) -> Quantity? {
        do { return try Quantity(value) } catch { return nil }
    }
}

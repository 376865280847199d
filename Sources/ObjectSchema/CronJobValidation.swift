import Objects

/// Rules of CronJobs.
/// See https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/.
enum CronJobValidation {
    /// The name of a Job is its CronJob's with a time.
    private static let nameLimit = 52
    static let nameDetail = "must be no more than \(nameLimit) characters"

    static func check(_ object: JSON, _ errors: inout [FieldError]) {
        if object.name.utf8.count > nameLimit {
            errors.append(.invalid("metadata.name", .string(object.name), nameDetail))
        }
        let spec = object["spec"]
        if let text = spec["schedule"].stringValue, !text.isEmpty { schedule(text, &errors) }
        if let zone = spec["timeZone"].stringValue { timeZone(zone, &errors) }
        let job = spec["jobTemplate"]["spec"]
        if job["selector"].exists {
            errors.append(
                .invalid("spec.jobTemplate.spec.selector", job["selector"], "`selector` will be auto-generated"))
        }
        if job["manualSelector"].boolValue == true {
            errors.append(.notSupported("spec.jobTemplate.spec.manualSelector", true, ["nil", "false"]))
        }
    }

    private static func timeZone(_ zone: String, _ errors: inout [FieldError]) {
        func complain(_ text: String) { errors.append(.invalid("spec.timeZone", .string(zone), text)) }
        if zone.isEmpty { return complain("timeZone must be nil or non-empty string") }
        if zone.lowercased() == "local" {
            complain("timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")
            if zone == "Local" { return }
        }
        do { _ = try TimeZoneDatabase.rules(of: zone) } catch { complain(error.description) }
    }

    private static func schedule(_ text: String, _ errors: inout [FieldError]) {
        // A zone in the schedule would be a second way to say what timeZone says.
        let namesZone = text.contains("TZ")
        let zoned = text.hasPrefix("TZ=") || text.hasPrefix("CRON_TZ=")
        let plain = zoned ? text.firstIndex(of: " ").map { String(text[text.index(after: $0)...]) } ?? text : text
        do { _ = try CronSchedule(parsing: plain) } catch {
            errors.append(.invalid("spec.schedule", .string(text), error.description))
        }
        if namesZone { errors.append(.invalid("spec.schedule", .string(text), zoneDetail)) }
    }

    static let zoneDetail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"

    /// Takes back what is wrong with a change and was so before it.
    static func review(from old: JSON, to new: JSON, _ errors: inout [FieldError]) {
        let (before, after) = (old["spec"], new["spec"])
        errors.removeAll { error in
            switch error.path {
            case "metadata.name": error.message.hasSuffix(nameDetail)
            case "spec.timeZone": before["timeZone"] == after["timeZone"]
            case "spec.schedule":
                error.message.hasSuffix(zoneDetail) && before["schedule"].stringValue?.contains("TZ") == true
            default: false
            }
        }
        guard before["schedule"].stringValue?.contains("TZ") == true, let text = after["schedule"].stringValue,
            text.contains("TZ"), after["timeZone"].exists
        else { return }
        errors.append(
            .invalid(
                "spec.schedule", .string(text), "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
    }
}

import Objects

/// What a pod asks for and may use at most, as Kubernetes adds it up: the sum over containers, or the greatest step of
/// initialisation where that is more, sidecars running on; plus the overhead. Amounts of the pod itself take the place of
/// the sum.
public enum PodAmounts {
    public static func requests(of spec: JSON) -> ResourceList { amounts(of: spec, "requests") }
    public static func limits(of spec: JSON) -> ResourceList { amounts(of: spec, "limits") }

    private static func amounts(of spec: JSON, _ kind: String) -> ResourceList {
        var sum = ResourceList()
        for container in spec["containers"].arrayValue { sum = sum + ResourceList(container["resources"][kind]) }
        var sidecars = ResourceList()
        var greatest = ResourceList()
        for container in spec["initContainers"].arrayValue {
            var step = ResourceList(container["resources"][kind])
            if container["restartPolicy"].stringValue == "Always" {
                sum = sum + step
                sidecars = sidecars + step
                step = sidecars
            } else {
                step = step + sidecars
            }
            greatest = greatest.raised(to: step)
        }
        sum = sum.raised(to: greatest)
        for (name, amount) in ResourceList(spec["resources"][kind]).amounts { sum[name] = amount }
        for (name, amount) in ResourceList(spec["overhead"]).amounts {
            // Overhead limits nothing that has no limit.
            if kind == "limits", sum[name].map(\.isZero) ?? true { continue }
            sum[name] = (sum[name] ?? .zero) + amount
        }
        return sum
    }
}

import Objects

/// Layouts of `storage.k8s.io`: classes, drivers, and what is attached where.
enum StorageTables {
    static func layout(_ qualified: String) -> TableLayout? {
        switch qualified {
        case "storageclasses.storage.k8s.io": classes
        case "csidrivers.storage.k8s.io": drivers
        case "csinodes.storage.k8s.io":
            TableLayout("Name Drivers:integer Age") { object, now in
                [.string(object.name), .integer(Int64(object["spec"]["drivers"].count)), Cell.age(object, now)]
            }
        case "csistoragecapacities.storage.k8s.io":
            TableLayout("Name StorageClassName Capacity") { object, _ in
                [
                    .string(object.name), Cell.text(object["storageClassName"], ""),
                    Cell.text(object["capacity"], "<unset>"),
                ]
            }
        case "volumeattachments.storage.k8s.io":
            TableLayout("Name Attacher:name PV Node Attached:boolean Age") { object, now in
                let spec = object["spec"]
                return [
                    .string(object.name), Cell.text(spec["attacher"], ""),
                    Cell.text(spec["source"]["persistentVolumeName"], ""), Cell.text(spec["nodeName"], ""),
                    .bool(object["status"]["attached"].boolValue ?? false), Cell.age(object, now),
                ]
            }
        case "volumeattributesclasses.storage.k8s.io":
            TableLayout("Name DriverName Age") { object, now in
                [
                    name(object, defaultBy: ["volumeattributesclass.alpha.kubernetes.io/is-default-class"]),
                    Cell.text(object["driverName"], ""), Cell.age(object, now),
                ]
            }
        default: nil
        }
    }

    private static let defaultClass = [
        "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class",
    ]

    /// The name of a class, and whether one of the annotations makes it the default.
    private static func name(_ object: JSON, defaultBy annotations: [String]) -> JSON {
        let isDefault = annotations.contains { object.annotations[$0].stringValue == "true" }
        return .string(isDefault ? "\(object.name) (default)" : object.name)
    }

    private static let classes = TableLayout(
        "Name Provisioner ReclaimPolicy VolumeBindingMode AllowVolumeExpansion Age"
    ) { object, now in
        [
            name(object, defaultBy: defaultClass), Cell.text(object["provisioner"]),
            Cell.text(object["reclaimPolicy"], "Delete"), Cell.text(object["volumeBindingMode"], "Immediate"),
            .bool(object["allowVolumeExpansion"].boolValue ?? false), Cell.age(object, now),
        ]
    }

    private static let drivers = TableLayout(
        "Name AttachRequired:boolean PodInfoOnMount:boolean StorageCapacity:boolean TokenRequests "
            + "RequiresRepublish:boolean Modes Age"
    ) { object, now in
        let spec = object["spec"]
        let audiences = spec["tokenRequests"].arrayValue.map { $0["audience"].stringValue ?? "" }
        return [
            .string(object.name), .bool(spec["attachRequired"].boolValue ?? true),
            .bool(spec["podInfoOnMount"].boolValue ?? false), .bool(spec["storageCapacity"].boolValue ?? false),
            spec["tokenRequests"].isNull ? "<unset>" : .string(audiences.joined(separator: ",")),
            .bool(spec["requiresRepublish"].boolValue ?? false),
            Cell.list(spec["volumeLifecycleModes"].arrayValue.compactMap(\.stringValue)), Cell.age(object, now),
        ]
    }
}

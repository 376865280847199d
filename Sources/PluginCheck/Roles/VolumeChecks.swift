import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// What callers of hostd.volume/1 build upon: rules 50 and 51.
enum VolumeChecks {
    static func run(_ session: Session) {
        RoleChecks.run(
            session, HOSTD_VOLUME_1,
            [
                (50, "status", { calls throws(Breach) in try calls.succeed("status", [:]) }),
                (50, "what is gone already", gone), (50, "create again", create), (51, "publish", publish),
            ])
    }

    private static let modes: JSON = ["ReadWriteOnce"]

    private static func creation(_ name: String) -> JSON {
        [
            "name": .string(name), "capacityBytes": 1_048_576, "accessModes": modes, "volumeMode": "Filesystem",
            "parameters": [:],
        ]
    }

    /// nil, with a skip, when the driver makes no volumes.
    private static func volume(_ calls: JSONCalls, _ name: String) throws(Breach) -> JSON? {
        let answer = try calls.call("create_volume", creation(name))
        if answer.outcome.status == HOSTD_ERROR_NOT_SUPPORTED {
            calls.session.reporter.skip("volumes", "the driver does not create volumes")
            return nil
        }
        try expect(answer.isOK, "create_volume failed: \(answer.words)")
        let volume = answer.json["volume"]
        try expect(volume["volumeID"].stringValue?.isEmpty == false, "the volume has no volumeID: \(answer.words)")
        return volume
    }

    private static func gone(_ calls: JSONCalls) throws(Breach) {
        let place = "\(calls.session.scratch)/work/none"
        try calls.succeed("delete_volume", ["volumeID": "check-none"])
        try calls.succeed("unpublish", ["volumeID": "check-none", "targetPath": .string(place)])
        for (slot, request) in [("unstage", ["volumeID": "check-none", "stagingPath": .string(place)] as JSON)] {
            let answer = try calls.call(slot, request)
            try expect(
                answer.isOK || answer.outcome.status == HOSTD_ERROR_NOT_SUPPORTED,
                "\(slot) of what is gone failed: \(answer.words)")
        }
    }

    private static func create(_ calls: JSONCalls) throws(Breach) {
        guard let first = try volume(calls, "check-again"), let second = try volume(calls, "check-again") else {
            return
        }
        try expect(
            first["volumeID"] == second["volumeID"],
            "the same name made \(first["volumeID"].serializedString()), then \(second["volumeID"].serializedString())")
        guard let other = try volume(calls, "check-other") else { return }
        try expect(first["volumeID"] != other["volumeID"], "two names made one volume")
        for volume in [first, other, first] { try calls.succeed("delete_volume", ["volumeID": volume["volumeID"]]) }
    }

    private static func publish(_ calls: JSONCalls) throws(Breach) {
        guard calls.session.isPrivileged else {
            calls.session.reporter.skip("publish", "it needs root and namespaces: \(calls.session.sandboxFailure)")
            return
        }
        guard let volume = try volume(calls, "check-data") else { return }
        let work = "\(calls.session.scratch)/work"
        let (staging, target) = ("\(work)/staging", "\(work)/target")
        let identity: JSON = ["volumeID": volume["volumeID"], "context": volume["context"]]
        func request(_ more: JSON) -> JSON {
            .object(
                JSONObject(
                    (identity.objectValue ?? [:]).map { ($0.key, $0.value) }
                        + (more.objectValue ?? [:]).map { ($0.key, $0.value) }))
        }
        mkdir(staging, 0o755)
        let staged = try calls.call(
            "stage",
            request(["stagingPath": .string(staging), "volumeMode": "Filesystem", "accessModes": modes]))
        try expect(
            staged.isOK || staged.outcome.status == HOSTD_ERROR_NOT_SUPPORTED, "stage failed: \(staged.words)", rule: 50
        )
        let place = request([
            "stagingPath": .string(staged.isOK ? staging : ""), "targetPath": .string(target), "readOnly": false,
            "accessModes": modes, "pod": ["uid": "check", "name": "check", "namespace": "default"],
        ])
        try calls.succeed("publish", place)
        try calls.succeed("publish", place, rule: 50)
        try expect(write("\(target)/data", "kept"), "nothing can be written to the published path")
        let end: JSON = ["volumeID": volume["volumeID"], "targetPath": .string(target)]
        try calls.succeed("unpublish", end)
        try calls.succeed("unpublish", end, rule: 50)
        try expect(check_is_mounted(target) == 0, "after unpublish something is mounted at the target path")
        try expect(access("\(target)/data", F_OK) != 0, "after unpublish the volume's data is at the target path")
        try calls.succeed("publish", place)
        let kept = Files.contents("\(target)/data")
        try expect(kept == Array("kept".utf8), "what was written is not there after it was published again")
        try calls.succeed("unpublish", end)
        if staged.isOK {
            try calls.succeed("unstage", ["volumeID": volume["volumeID"], "stagingPath": .string(staging)])
        }
        try calls.succeed("delete_volume", ["volumeID": volume["volumeID"]])
    }

    private static func write(_ path: String, _ text: String) -> Bool {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { return false }
        defer { close(file) }
        return Glibc.write(file, text, text.utf8.count) == text.utf8.count
    }
}

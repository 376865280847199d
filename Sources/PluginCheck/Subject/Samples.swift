import Kernel
import PluginAPI

/// Requests that the slots of known roles understand, as the start for broken ones. They name things that do not exist, so
/// that nothing is begun with them. `@` stands for the scratch directory.
enum Samples {
    /// Role, slot, and one JSON text for each letter `b`, with bars between.
    private static let text = """
        hostd.runtime/1|run_sandbox|{"config":{"name":"n","namespace":"d","attempt":0,"hostname":"h","labels":{"a":"b"},"sysctls":{"a":"b"},"resources":{"cpuShares":2}}}
        hostd.runtime/1|create_container|{"sandboxID":"none","config":{"name":"c","attempt":0,"image":"none","command":["/x"],"args":["y"],"environment":[{"name":"A","value":"B"}],"mounts":[{"containerPath":"/c","hostPath":"@/none"}],"security":{"runAsUser":1,"capabilities":{"add":["X"]}},"resources":{"memoryLimitBytes":1}}}
        hostd.runtime/1|stop_container|{"id":"none","timeoutSeconds":0}
        hostd.runtime/1|exec_sync|{"id":"none","command":["/bin/true"],"timeoutSeconds":1}
        hostd.runtime/1|exec|{"id":"none","command":["/bin/true"],"tty":false}
        hostd.runtime/1|update_container|{"id":"none","resources":{"cpuShares":2,"memoryLimitBytes":1}}
        hostd.runtime/1|list_sandboxes|{"id":"none","podUID":"none"}
        hostd.runtime/1|list_containers|{"id":"none","sandboxID":"none"}
        hostd.runtime/1|container_stats|{"id":"none","sandboxID":"none"}
        hostd.runtime/1|image_status|{"image":"none"}
        hostd.runtime/1|remove_image|{"image":"none"}
        hostd.runtime/1|pull_image|{"image":"127.0.0.1:1/none:latest","authentication":{"username":"a","password":"b"},"platform":"linux/none"}
        hostd.runtime/1|*|{"id":"none"}
        hostd.network/1|collect_garbage|{"validSandboxIDs":["a"]}
        hostd.network/1|services_set|{"full":false,"services":[{"namespace":"d","name":"s","clusterIPs":["10.96.0.99"],"sessionAffinity":"None","ports":[{"name":"p","protocol":"TCP","port":80,"endpoints":[{"address":"10.244.0.9","port":80,"local":true}]}]}],"removed":[{"namespace":"d","name":"t"}]}
        hostd.network/1|policies_set|{"full":false,"policies":[{"metadata":{"name":"p"}}],"removed":[]}
        hostd.network/1|policy_rules_set|{"full":false,"groups":[{"name":"g","type":"addresses","added":["10.244.0.9"],"removed":[]}],"policies":[{"name":"d/p","ingress":[{"peers":[{"group":"g"},{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}],"ports":[{"protocol":"TCP","port":80,"endPort":90}]}]}],"subjects":[{"address":"10.244.0.8","ingress":["d/p"]}],"removed":{"groups":["h"],"policies":["d/q"],"subjects":["10.244.0.7"]}}
        hostd.network/1|status|{}
        hostd.network/1|*|{"sandboxID":"none","networkNamespace":"@/none","interfaceName":"eth0","podNamespace":"d","podName":"p","podUID":"u","portMappings":[{"hostPort":1,"containerPort":2,"protocol":"TCP"}]}
        hostd.volume/1|create_snapshot|{"name":"s","volumeID":"none","parameters":{}}
        hostd.volume/1|delete_snapshot|{"snapshotID":"none"}
        hostd.volume/1|create_volume|{"capacityBytes":-1,"accessModes":["x"],"volumeMode":"Nothing","parameters":{"a":"b"}}
        hostd.volume/1|expand|{"volumeID":"none","capacityBytes":1,"volumePath":"@/none"}
        hostd.volume/1|*|{"volumeID":"none","stagingPath":"@/none","targetPath":"@/none","volumePath":"@/none","volumeMode":"Filesystem","accessModes":["ReadWriteOnce"],"node":"check","readOnly":false,"context":{"a":"b"},"pod":{"uid":"u"}}
        hostd.device/1|allocate|{"podUID":"u","podNamespace":"d","podName":"p","container":"c","resource":"none.example/none","count":1}
        hostd.device/1|release|{"podUID":"none"}
        hostd.device/1|*|{}
        hostd.api-extension/1|serve|{"method":"GET","path":"/none","parameters":{"name":"x"},"query":{"a":["b"]},"headers":{"A":"b"},"user":{"name":"check","groups":["g"]},"subprotocol":""}|
        hostd.api/1|*|GET|/api/v1/namespaces/default/pods/none|
        hostd.scheduler/1|node_set|n|{"metadata":{"name":"n","labels":{"a":"b"}},"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}
        hostd.scheduler/1|pod_set|u|n|{"metadata":{"name":"p","namespace":"d","uid":"u"},"spec":{"nodeName":"n"}}
        hostd.scheduler/1|schedule|u|{"metadata":{"name":"p","namespace":"d","uid":"u"},"spec":{"nodeSelector":{"a":"b"},"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]}]}}},"tolerations":[{"key":"a"}],"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"a","whenUnsatisfiable":"DoNotSchedule"}]}}
        hostd.scheduler/1|*|n
        hostd.store/1|get|pods/default/none
        hostd.store/1|list|pods/|app=web|
        hostd.store/1|create|none||
        hostd.store/1|update|pods/default/none|v|
        hostd.store/1|remove|pods/default/none
        hostd.store/1|watch|pods/|app=web
        """

    /// The texts for the `b` letters of a slot; empty when nothing is known of it.
    static func texts(role: String, slot: String, scratch: String) -> [String] {
        let lines = text.split(separator: "\n").map { $0.split(separator: "|", omittingEmptySubsequences: false) }
        let line = lines.first { $0[0] == role && $0[1] == slot } ?? lines.first { $0[0] == role && $0[1] == "*" }
        return (line?.dropFirst(2) ?? []).map { part in
            part.split(separator: "@", omittingEmptySubsequences: false).joined(separator: "\(scratch)/work")
        }
    }

    /// Sizes of the flat structs that slots of known roles take.
    static func structureSize(role: String, slot: String) -> Int {
        switch (role, slot) {
        case (HOSTD_SCHEDULER_1, "node_set"): MemoryLayout<hostd_scheduler_node>.size
        case (HOSTD_SCHEDULER_1, _): MemoryLayout<hostd_scheduler_pod>.size
        default: 64
        }
    }
}

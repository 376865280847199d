import Glibc

/// Member names of Kubernetes objects that are too long for Swift to keep inside the string value itself (more than
/// 15 bytes). The parser hands out these literals, which are shared, immortal and not reference counted,
/// so that neither parsing nor ten thousand cached pods pay for their storage.
struct KnownKeys: Sendable {
    static let shared = KnownKeys()

    private let keys: [String]
    private var slots: [UInt8]
    private static let slotCount = 1024

    private init() {
        keys = Self.names
        slots = [UInt8](repeating: 0, count: Self.slotCount)
        for (position, key) in keys.enumerated() {
            var key = key
            var slot = key.withUTF8 { Self.slot(of: $0) }
            while slots[slot] != 0 { slot = (slot + 1) & (Self.slotCount - 1) }
            slots[slot] = UInt8(position + 1)
        }
    }

    /// The shared string with these bytes, of which there must be more than 15; nil when it is not a known one.
    func find(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
        var slot = Self.slot(of: bytes)
        while slots[slot] != 0 {
            let key = keys[Int(slots[slot]) - 1]
            if key.utf8.count == bytes.count {
                let same = key.utf8.withContiguousStorageIfAvailable { known in
                    guard let left = known.baseAddress, let right = bytes.baseAddress else { return false }
                    return memcmp(left, right, bytes.count) == 0
                }
                if same == true { return key }
            }
            slot = (slot + 1) & (Self.slotCount - 1)
        }
        return nil
    }

    @inline(__always)
    private static func slot(of bytes: UnsafeBufferPointer<UInt8>) -> Int {
        let raw = UnsafeRawBufferPointer(bytes)
        let first = raw.loadUnaligned(as: UInt64.self)
        let last = raw.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self)
        let mixed = (first ^ (last &* 0x9E37_79B9_7F4A_7C15) ^ UInt64(bytes.count)) &* 0xD6E8_FEB8_6659_FD93
        return Int(mixed >> 54)
    }

    /// At most 255.
    private static let names: [String] = [
        "creationTimestamp", "resourceVersion", "ownerReferences", "managedFields", "blockOwnerDeletion",
        "deletionTimestamp", "deletionGracePeriodSeconds", "observedGeneration", "lastTransitionTime", "lastProbeTime",
        "lastUpdateTime", "lastHeartbeatTime", "availableReplicas", "unavailableReplicas", "fullyLabeledReplicas",
        "updatedReplicas", "terminatingReplicas", "currentReplicas", "collisionCount", "progressDeadlineSeconds",
        "revisionHistoryLimit", "minReadySeconds", "matchExpressions", "matchLabelKeys",
        "terminationGracePeriodSeconds",
        "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy", "imagePullSecrets",
        "activeDeadlineSeconds", "serviceAccountName", "automountServiceAccountToken", "serviceAccountToken",
        "enableServiceLinks", "preemptionPolicy", "priorityClassName", "schedulerName", "securityContext",
        "readinessProbe", "livenessProbe", "initialDelaySeconds", "periodSeconds", "successThreshold",
        "failureThreshold", "timeoutSeconds", "containerStatuses", "initContainerStatuses",
        "ephemeralContainerStatuses",
        "ephemeralContainers", "persistentVolumeClaim", "persistentVolumeReclaimPolicy", "storageClassName",
        "volumeBindingMode", "allowVolumeExpansion", "volumeClaimTemplates", "podManagementPolicy", "updateStrategy",
        "persistentVolumeClaimRetentionPolicy", "ephemeral-storage", "allowPrivilegeEscalation",
        "readOnlyRootFilesystem",
        "runAsNonRoot", "supplementalGroups", "fsGroupChangePolicy", "seccompProfile", "defaultMode",
        "expirationSeconds", "tolerationSeconds", "nodeSelectorTerms", "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution", "podAffinityTerm", "labelSelector", "namespaceSelector",
        "topologySpreadConstraints", "whenUnsatisfiable", "shareProcessNamespace", "setHostnameAsFQDN",
        "sessionAffinity", "sessionAffinityConfig", "internalTrafficPolicy", "externalTrafficPolicy", "ipFamilyPolicy",
        "externalName", "loadBalancerIP", "loadBalancerSourceRanges", "publishNotReadyAddresses",
        "healthCheckNodePort", "allocateLoadBalancerNodePorts", "notReadyAddresses", "deprecatedTopology",
        "reportingComponent", "reportingInstance", "involvedObject", "firstTimestamp", "lastTimestamp",
        "leaseDurationSeconds", "leaseTransitions", "holderIdentity", "allocatable", "daemonEndpoints",
        "kubeletEndpoint",
        "containerRuntimeVersion", "kubeProxyVersion", "operatingSystem", "numberAvailable", "numberMisscheduled",
        "currentNumberScheduled", "desiredNumberScheduled", "updatedNumberScheduled", "numberUnavailable",
        "completionTime", "completionMode", "backoffLimitPerIndex", "ttlSecondsAfterFinished", "podReplacementPolicy",
        "successfulJobsHistoryLimit", "failedJobsHistoryLimit", "startingDeadlineSeconds", "concurrencyPolicy",
        "lastScheduleTime", "lastSuccessfulTime", "uncountedTerminatedPods", "kubernetes.io/hostname",
        "kubernetes.io/metadata.name", "pod-template-hash", "controller-revision-hash", "app.kubernetes.io/name",
        "app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/component",
        "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by", "kubernetes.io/service-name",
        "endpointslice.kubernetes.io/managed-by", "deployment.kubernetes.io/revision",
        "deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas",
        "kubectl.kubernetes.io/last-applied-configuration", "kubectl.kubernetes.io/restartedAt",
        "batch.kubernetes.io/job-name", "batch.kubernetes.io/controller-uid", "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index", "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable",
    ].filter { $0.utf8.count > 15 }
}

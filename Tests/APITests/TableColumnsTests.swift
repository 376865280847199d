import Objects
import XCTest

@testable import API

/// The columns of every kind, as Kubernetes 1.36 gives them.
final class TableColumnsTests: XCTestCase {
    /// NAME, or NAME:TYPE; a plus for wide output alone, an asterisk for the format "name".
    private static let columns = """
        pods: Name*,Ready,Status,Restarts,Age,IP+,Node+,Nominated Node+,Readiness Gates+
        podtemplates: Name*,Containers,Images,Pod Labels
        poddisruptionbudgets.policy: Name*,Min Available,Max Unavailable,Allowed Disruptions:integer,Age
        replicationcontrollers: Name*,Desired:integer,Current:integer,Ready:integer,Age,Containers+,Images+,Selector+
        replicasets.apps: Name*,Desired:integer,Current:integer,Ready:integer,Age,Containers+,Images+,Selector+
        daemonsets.apps: Name*,Desired:integer,Current:integer,Ready:integer,Up-to-date:integer,Available:integer,\
        Node Selector,Age,Containers+,Images+,Selector+
        deployments.apps: Name*,Ready,Up-to-date,Available,Age,Containers+,Images+,Selector+
        statefulsets.apps: Name*,Ready,Age,Containers+,Images+
        controllerrevisions.apps: Name*,Controller,Revision,Age
        jobs.batch: Name*,Status,Completions,Duration,Age,Containers+,Images+,Selector+
        cronjobs.batch: Name*,Schedule,Timezone,Suspend:boolean,Active:integer,Last Schedule,Age,Containers+,Images+,\
        Selector+
        horizontalpodautoscalers.autoscaling: Name*,Reference,Targets,MinPods,MaxPods,Replicas,Age
        services: Name*,Type,Cluster-IP,External-IP,Port(s),Age,Selector+
        endpoints: Name*,Endpoints,Age
        endpointslices.discovery.k8s.io: Name*,AddressType,Ports,Endpoints,Age
        ingresses.networking.k8s.io: Name*,Class,Hosts,Address,Ports,Age
        ingressclasses.networking.k8s.io: Name*,Controller,Parameters,Age
        networkpolicies.networking.k8s.io: Name*,Pod-Selector,Age
        servicecidrs.networking.k8s.io: Name*,CIDRs,Age
        ipaddresses.networking.k8s.io: Name*,ParentRef
        nodes: Name*,Status,Roles,Age,Version,Internal-IP+,External-IP+,OS-Image+,Kernel-Version+,Container-Runtime+
        events: Last Seen,Type,Reason,Object,Subobject+,Source+,Message,First Seen+,Count+,Name*+
        namespaces: Name*,Status,Age
        secrets: Name*,Type,Data,Age
        configmaps: Name*,Data,Age
        serviceaccounts: Name*,Secrets,Age
        componentstatuses: Name*,Status,Message,Error
        resourcequotas: Name*,Request,Limit,Age
        limitranges: Name*,Created At:date
        persistentvolumes: Name*,Capacity,Access Modes,Reclaim Policy,Status,Claim,StorageClass,VolumeAttributesClass,\
        Reason,Age,VolumeMode+
        persistentvolumeclaims: Name*,Status,Volume,Capacity,Access Modes,StorageClass,VolumeAttributesClass,Age,\
        VolumeMode+
        storageclasses.storage.k8s.io: Name*,Provisioner,ReclaimPolicy,VolumeBindingMode,AllowVolumeExpansion,Age
        volumeattributesclasses.storage.k8s.io: Name*,DriverName,Age
        volumeattachments.storage.k8s.io: Name*,Attacher*,PV,Node,Attached:boolean,Age
        csidrivers.storage.k8s.io: Name*,AttachRequired:boolean,PodInfoOnMount:boolean,StorageCapacity:boolean,\
        TokenRequests,RequiresRepublish:boolean,Modes,Age
        csinodes.storage.k8s.io: Name*,Drivers:integer,Age
        csistoragecapacities.storage.k8s.io: Name*,StorageClassName,Capacity
        roles.rbac.authorization.k8s.io: Name*,Created At:date
        clusterroles.rbac.authorization.k8s.io: Name*,Created At:date
        customresourcedefinitions.apiextensions.k8s.io: Name*,Created At:date
        rolebindings.rbac.authorization.k8s.io: Name*,Role,Age,Users+,Groups+,ServiceAccounts+
        clusterrolebindings.rbac.authorization.k8s.io: Name*,Role,Age,Users+,Groups+,ServiceAccounts+
        certificatesigningrequests.certificates.k8s.io: Name*,Age,SignerName,Requestor,RequestedDuration,Condition
        leases.coordination.k8s.io: Name*,Holder,Age
        priorityclasses.scheduling.k8s.io: Name*,Value:integer,Global-Default:boolean,Age,PreemptionPolicy
        runtimeclasses.node.k8s.io: Name*,Handler,Age
        apiservices.apiregistration.k8s.io: Name*,Service,Available,Age
        mutatingwebhookconfigurations.admissionregistration.k8s.io: Name*,Webhooks:integer,Age
        validatingwebhookconfigurations.admissionregistration.k8s.io: Name*,Webhooks:integer,Age
        validatingadmissionpolicies.admissionregistration.k8s.io: Name*,Validations:integer,ParamKind,Age
        mutatingadmissionpolicies.admissionregistration.k8s.io: Name*,Mutations:integer,ParamKind,Age
        validatingadmissionpolicybindings.admissionregistration.k8s.io: Name*,PolicyName,ParamRef,Age
        mutatingadmissionpolicybindings.admissionregistration.k8s.io: Name*,PolicyName,ParamRef,Age
        flowschemas.flowcontrol.apiserver.k8s.io: Name*,PriorityLevel,MatchingPrecedence,DistinguisherMethod,Age,MissingPL
        prioritylevelconfigurations.flowcontrol.apiserver.k8s.io: Name*,Type,NominalConcurrencyShares,Queues,HandSize,\
        QueueLengthLimit,Age
        deviceclasses.resource.k8s.io: Name*,Age
        resourceclaims.resource.k8s.io: Name*,State,Age
        resourceclaimtemplates.resource.k8s.io: Name*,Age
        resourceslices.resource.k8s.io: Name*,Node,Driver,Pool,Age
        """

    private func text(_ column: TableLayout.Column) -> String {
        column.name + (column.type == "string" ? "" : ":\(column.type)") + (column.format == "name" ? "*" : "")
            + (column.priority > 0 ? "+" : "")
    }

    func testColumns() throws {
        var resources: [String: Resource] = [:]
        for resource in ResourceTable.ofSchema().all { resources[resource.qualified] = resource }
        for line in Self.columns.split(separator: "\n") {
            let parts = line.split(separator: ": ", maxSplits: 1).map(String.init)
            let layout = TableLayout.of(try XCTUnwrap(resources[parts[0]], parts[0]))
            XCTAssertEqual(layout.columns.map(text).joined(separator: ","), parts[1], parts[0])
        }
        XCTAssertEqual(
            TableLayout.scale.columns.map(text), ["Name", "Desired:integer", "Available:integer", "Age"])
    }

    func testFlowSchemasComeInTheOrderInWhichTheyAreTried() throws {
        let flows = try XCTUnwrap(
            ResourceTable.ofSchema().all.first { $0.qualified == "flowschemas.flowcontrol.apiserver.k8s.io" })
        var writer = TableWriter(flows, version: "v1", includeObject: nil)
        writer.begin(revision: 1, more: nil, remaining: nil)
        for (name, precedence) in [("a", 9000), ("b", 1), ("c", 500), ("d", 1), ("e", 10000)] as [(String, Int64)] {
            let flow: JSON = [
                "kind": "FlowSchema", "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
                "metadata": ["name": .string(name)], "spec": ["matchingPrecedence": .integer(precedence)],
            ]
            flow.serialized().withUnsafeBytes { writer.add($0, revision: 1) }
        }
        let rows = try JSON(parsing: writer.finish())["rows"].arrayValue
        XCTAssertEqual(rows.map { $0["cells"].arrayValue[0] }, ["b", "d", "c", "a", "e"])
        XCTAssertEqual(rows.map { $0["object"]["metadata"]["name"] }, ["b", "d", "c", "a", "e"])
    }
}

import PluginAPI

// Gates of the services that a grant opens as a whole: they keep a plugin to what it began itself.

private typealias This = UnsafeMutableRawPointer?

final class TimersGate: Gate<hostd_timers_1>, @unchecked Sendable {
    override init(plugin: String, policy: GrantPolicy, base: UnsafePointer<hostd_interface>) {
        super.init(plugin: plugin, policy: policy, base: base)
        publish(HOSTD_TIMERS_1, HOSTD_TIMERS_1_SLOTS) { head in
            hostd_timers_1(
                interface: head,
                start: { this, delay, period, callback, context, timer, error in
                    let gate = owner(this, as: TimersGate.self)
                    return gate.beginning(timer) {
                        gate.base.pointee.start(gate.this, delay, period, callback, context, timer, error)
                    }
                },
                cancel: { this, timer, error in
                    let gate = owner(this, as: TimersGate.self)
                    return gate.using(timer, error, ends: true) { gate.base.pointee.cancel(gate.this, timer, error) }
                })
        }
    }
}

final class ReconcileGate: Gate<hostd_reconcile_1>, @unchecked Sendable {
    override init(plugin: String, policy: GrantPolicy, base: UnsafePointer<hostd_interface>) {
        super.init(plugin: plugin, policy: policy, base: base)
        publish(HOSTD_RECONCILE_1, HOSTD_RECONCILE_1_SLOTS) { head in
            hostd_reconcile_1(
                interface: head,
                create: { this, name, nameSize, workers, callback, context, queue, error in
                    let gate = owner(this, as: ReconcileGate.self)
                    return gate.beginning(queue) {
                        gate.base.pointee.create(gate.this, name, nameSize, workers, callback, context, queue, error)
                    }
                },
                add: { this, queue, key, keySize, delay, error in
                    let gate = owner(this, as: ReconcileGate.self)
                    return gate.using(queue, error) {
                        gate.base.pointee.add(gate.this, queue, key, keySize, delay, error)
                    }
                },
                forget: { this, queue, key, keySize, error in
                    let gate = owner(this, as: ReconcileGate.self)
                    return gate.using(queue, error) {
                        gate.base.pointee.forget(gate.this, queue, key, keySize, error)
                    }
                },
                destroy: { this, queue, error in
                    let gate = owner(this, as: ReconcileGate.self)
                    return gate.using(queue, error, ends: true) { gate.base.pointee.destroy(gate.this, queue, error) }
                },
                enqueue: { this, queue, key, keySize, group, groupSize, priority, delay, error in
                    let gate = owner(this, as: ReconcileGate.self)
                    return gate.using(queue, error) {
                        gate.base.pointee.enqueue(
                            gate.this, queue, key, keySize, group, groupSize, priority, delay, error)
                    }
                },
                drain: { this, queue, deadline, json, error in
                    let gate = owner(this, as: ReconcileGate.self)
                    return gate.using(queue, error) { gate.base.pointee.drain(gate.this, queue, deadline, json, error) }
                })
        }
    }
}

/// A candidate writes its key and deletes it: that takes the right to write the resource.
final class ElectionGate: Gate<hostd_election_1>, @unchecked Sendable {
    override init(plugin: String, policy: GrantPolicy, base: UnsafePointer<hostd_interface>) {
        super.init(plugin: plugin, policy: policy, base: base)
        publish(HOSTD_ELECTION_1, HOSTD_ELECTION_1_SLOTS) { head in
            hostd_election_1(
                interface: head,
                campaign: {
                    this, key, keySize, value, valueSize, index, indexSize, life, sink, context, handle, error in
                    let gate = owner(this, as: ElectionGate.self)
                    return gate.guarded(error) { () throws(GrantPolicy.Refusal) in
                        let resource = text(key, keySize).split(separator: "/", omittingEmptySubsequences: false).first
                        try gate.policy.checkStoreWhole(String(resource ?? ""), "hold elections at")
                    } _: {
                        gate.beginning(handle) {
                            gate.base.pointee.campaign(
                                gate.this, key, keySize, value, valueSize, index, indexSize, life, sink, context,
                                handle,
                                error)
                        }
                    }
                },
                token: { this, candidacy, token, error in
                    let gate = owner(this, as: ElectionGate.self)
                    return gate.using(candidacy, error) { gate.base.pointee.token(gate.this, candidacy, token, error) }
                },
                resign: { this, candidacy, error in
                    let gate = owner(this, as: ElectionGate.self)
                    return gate.using(candidacy, error, ends: true) {
                        gate.base.pointee.resign(gate.this, candidacy, error)
                    }
                })
        }
    }
}

final class MetricsGate: Gate<hostd_metrics_1>, @unchecked Sendable {
    override init(plugin: String, policy: GrantPolicy, base: UnsafePointer<hostd_interface>) {
        super.init(plugin: plugin, policy: policy, base: base)
        publish(HOSTD_METRICS_1, HOSTD_METRICS_1_SLOTS) { head in
            hostd_metrics_1(
                interface: head,
                define: { this, kind, name, nameSize, labels, labelsSize, metric, error in
                    let gate = owner(this, as: MetricsGate.self)
                    return gate.beginning(metric) {
                        gate.base.pointee.define(gate.this, kind, name, nameSize, labels, labelsSize, metric, error)
                    }
                },
                record: { this, metric, value, error in
                    let gate = owner(this, as: MetricsGate.self)
                    return gate.using(metric, error) { gate.base.pointee.record(gate.this, metric, value, error) }
                },
                collect: { this, text, error in
                    let gate = owner(this, as: MetricsGate.self)
                    return gate.base.pointee.collect(gate.this, text, error)
                })
        }
    }
}

final class EventsGate: Gate<hostd_events_1>, @unchecked Sendable {
    override init(plugin: String, policy: GrantPolicy, base: UnsafePointer<hostd_interface>) {
        super.init(plugin: plugin, policy: policy, base: base)
        publish(HOSTD_EVENTS_1, HOSTD_EVENTS_1_SLOTS) { head in
            hostd_events_1(
                interface: head,
                publish: { this, topic, topicSize, message, messageSize, retain, error in
                    let gate = owner(this, as: EventsGate.self)
                    return gate.guarded(error) { () throws(GrantPolicy.Refusal) in
                        try gate.policy.checkPublish(text(topic, topicSize))
                    } _: {
                        gate.base.pointee.publish(gate.this, topic, topicSize, message, messageSize, retain, error)
                    }
                },
                subscribe: { this, topic, topicSize, sink, context, subscription, error in
                    let gate = owner(this, as: EventsGate.self)
                    return gate.guarded(error) { () throws(GrantPolicy.Refusal) in
                        try gate.policy.checkSubscribe(text(topic, topicSize))
                    } _: {
                        gate.beginning(subscription) {
                            gate.base.pointee.subscribe(gate.this, topic, topicSize, sink, context, subscription, error)
                        }
                    }
                },
                unsubscribe: { this, subscription, error in
                    let gate = owner(this, as: EventsGate.self)
                    return gate.using(subscription, error, ends: true) {
                        gate.base.pointee.unsubscribe(gate.this, subscription, error)
                    }
                })
        }
    }
}

final class RolesGate: Gate<hostd_roles_1>, @unchecked Sendable {
    override init(plugin: String, policy: GrantPolicy, base: UnsafePointer<hostd_interface>) {
        super.init(plugin: plugin, policy: policy, base: base)
        publish(HOSTD_ROLES_1, HOSTD_ROLES_1_SLOTS) { head in
            hostd_roles_1(
                interface: head,
                describe: { this, json, error in
                    let gate = owner(this, as: RolesGate.self)
                    return gate.base.pointee.describe(gate.this, json, error)
                },
                providers: { this, role, roleSize, json, error in
                    let gate = owner(this, as: RolesGate.self)
                    return gate.base.pointee.providers(gate.this, role, roleSize, json, error)
                },
                watch: { this, sink, context, watch, error in
                    let gate = owner(this, as: RolesGate.self)
                    return gate.beginning(watch) { gate.base.pointee.watch(gate.this, sink, context, watch, error) }
                },
                unwatch: { this, watch, error in
                    let gate = owner(this, as: RolesGate.self)
                    return gate.using(watch, error, ends: true) { gate.base.pointee.unwatch(gate.this, watch, error) }
                },
                provider: { this, role, roleSize, plugin, pluginSize, table, error in
                    let gate = owner(this, as: RolesGate.self)
                    return gate.guarded(error) { () throws(GrantPolicy.Refusal) in
                        try gate.policy.checkRole(text(role, roleSize))
                    } _: {
                        gate.base.pointee.provider(gate.this, role, roleSize, plugin, pluginSize, table, error)
                    }
                })
        }
    }
}

final class EnvironmentGate: Gate<hostd_environment_1>, @unchecked Sendable {
    override init(plugin: String, policy: GrantPolicy, base: UnsafePointer<hostd_interface>) {
        super.init(plugin: plugin, policy: policy, base: base)
        publish(HOSTD_ENVIRONMENT_1, HOSTD_ENVIRONMENT_1_SLOTS) { head in
            hostd_environment_1(
                interface: head,
                describe: { this, json, error in
                    let gate = owner(this, as: EnvironmentGate.self)
                    return gate.base.pointee.describe(gate.this, json, error)
                },
                stop: { this, exitCode, reason, reasonSize, error in
                    let gate = owner(this, as: EnvironmentGate.self)
                    return gate.guarded(error) { () throws(GrantPolicy.Refusal) in
                        try gate.policy.checkStop()
                    } _: {
                        gate.base.pointee.stop(gate.this, exitCode, reason, reasonSize, error)
                    }
                })
        }
    }
}

final class PluginsGate: Gate<hostd_plugins_1>, @unchecked Sendable {
    override init(plugin: String, policy: GrantPolicy, base: UnsafePointer<hostd_interface>) {
        super.init(plugin: plugin, policy: policy, base: base)
        publish(HOSTD_PLUGINS_1, HOSTD_PLUGINS_1_SLOTS) { head in
            hostd_plugins_1(
                interface: head,
                describe: { this, json, error in
                    let gate = owner(this, as: PluginsGate.self)
                    return gate.base.pointee.describe(gate.this, json, error)
                },
                watch: { this, sink, context, watch, error in
                    let gate = owner(this, as: PluginsGate.self)
                    return gate.beginning(watch) { gate.base.pointee.watch(gate.this, sink, context, watch, error) }
                },
                unwatch: { this, watch, error in
                    let gate = owner(this, as: PluginsGate.self)
                    return gate.using(watch, error, ends: true) { gate.base.pointee.unwatch(gate.this, watch, error) }
                },
                request: { this, request, requestSize, answer, error in
                    let gate = owner(this, as: PluginsGate.self)
                    return gate.base.pointee.request(gate.this, request, requestSize, answer, error)
                })
        }
    }
}

//! @NAME@: a scheduler. It places each pod on the node that has the greatest share of its cores and memory left.
//!
//! To make it yours, change `score`. `refusal` decides which nodes are asked at all.

use std::collections::BTreeMap;
use std::os::raw::c_void;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

mod bindings;
mod json;
mod plugin;

use bindings as abi;
use json::Json;
use plugin::{bytes, check_deadline, invalid, lock, owned, slot, text, Host, Plugin, Result};

#[derive(Clone, Copy, Default)]
struct Amounts {
    milli_cpu: i64,
    memory: i64,
    storage: i64,
    pods: i64,
}

struct Node {
    allocatable: Amounts,
    used: Amounts,
    flags: u32,
    object: Json,
}

struct Placement {
    node: String, // The node itself may be gone, or not known yet.
    uses: Amounts,
}

#[derive(Default)]
struct Cluster {
    nodes: BTreeMap<String, Node>,
    placements: BTreeMap<String, Placement>, // By the pod's uid.
    revision: u64,                           // See hostd_scheduler_1.revision.
}

struct Scheduler {
    host: Host,
    cpu_weight: Mutex<f64>, // 0 to 1
    cluster: Mutex<Cluster>,
}

/// The greater, the better: 1 for an empty node, 0 for a full one. `after` is what would be in use with the pod there.
fn score(cpu_weight: f64, node: &Node, after: &Amounts) -> f64 {
    let left = |used: i64, all: i64| if all > 0 { 1.0 - used as f64 / all as f64 } else { 0.0 };
    cpu_weight * left(after.milli_cpu, node.allocatable.milli_cpu)
        + (1.0 - cpu_weight) * left(after.memory, node.allocatable.memory)
}

/// Why a node cannot take the pod, in the words that `kubectl describe pod` shows. A node counts under its first reason.
fn refusal(node: &Node, after: &Amounts, pod: &Json) -> Option<&'static str> {
    let all = &node.allocatable;
    let reasons = [
        (node.flags & abi::SCHEDULER_NODE_UNSCHEDULABLE != 0, "node(s) were unschedulable"),
        (node.flags & abi::SCHEDULER_NODE_READY == 0, "node(s) were not ready"),
        (has_untolerated_taint(node, pod), "node(s) had untolerated taints"),
        (!matches_selector(node, pod), "node(s) didn't match Pod's node affinity/selector"),
        (after.pods > all.pods, "Too many pods"),
        (after.milli_cpu > all.milli_cpu, "Insufficient cpu"),
        (after.memory > all.memory, "Insufficient memory"),
        (after.storage > all.storage, "Insufficient ephemeral-storage"),
    ];
    reasons.iter().find(|(applies, _)| *applies).map(|(_, reason)| *reason)
}

fn has_untolerated_taint(node: &Node, pod: &Json) -> bool {
    let tolerations = pod.get("spec").get("tolerations").array();
    node.object.get("spec").get("taints").array().iter().any(|taint| {
        taint.get("effect").text() != Some("PreferNoSchedule") && !tolerations.iter().any(|it| tolerates(it, taint))
    })
}

fn tolerates(toleration: &Json, taint: &Json) -> bool {
    let text = |json: &Json, member: &str| json.get(member).text().unwrap_or("").to_string();
    let exists = text(toleration, "operator") == "Exists";
    let (key, effect) = (text(toleration, "key"), text(toleration, "effect"));
    (key == text(taint, "key") || exists && key.is_empty())
        && (exists || text(toleration, "value") == text(taint, "value"))
        && (effect.is_empty() || effect == text(taint, "effect"))
}

fn matches_selector(node: &Node, pod: &Json) -> bool {
    let labels = node.object.get("metadata").get("labels");
    pod.get("spec").get("nodeSelector").members().iter().all(|(key, value)| labels.get(key) == value)
}

impl Amounts {
    fn of_pod(pod: &abi::SchedulerPod) -> Result<Amounts> {
        Amounts { milli_cpu: pod.milli_cpu, memory: pod.memory_bytes, storage: pod.ephemeral_storage_bytes, pods: 1 }.checked()
    }

    /// So that sums cannot overflow.
    fn checked(self) -> Result<Amounts> {
        let range = 0..=1i64 << 50;
        if [self.milli_cpu, self.memory, self.storage, self.pods].iter().all(|amount| range.contains(amount)) {
            return Ok(self);
        }
        Err(invalid("an amount is negative or beyond 2^50"))
    }

    fn plus(&self, other: &Amounts, sign: i64) -> Amounts {
        Amounts {
            milli_cpu: self.milli_cpu + sign * other.milli_cpu,
            memory: self.memory + sign * other.memory,
            storage: self.storage + sign * other.storage,
            pods: self.pods + sign * other.pods,
        }
    }
}

impl Cluster {
    fn new() -> Cluster {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Cluster { revision: since_1970.as_nanos() as u64, ..Cluster::default() } // Unlike any before.
    }

    fn set_node(&mut self, name: &str, allocatable: Amounts, flags: u32, object: Json) {
        let here = self.placements.values().filter(|placement| placement.node == name);
        let used = here.fold(Amounts::default(), |sum, placement| sum.plus(&placement.uses, 1));
        self.nodes.insert(name.to_string(), Node { allocatable, used, flags, object });
    }

    fn place(&mut self, uid: &str, node: &str, uses: Amounts) {
        self.forget(uid);
        if let Some(found) = self.nodes.get_mut(node) {
            found.used = found.used.plus(&uses, 1);
        }
        self.placements.insert(uid.to_string(), Placement { node: node.to_string(), uses });
    }

    fn forget(&mut self, uid: &str) {
        if let Some(placement) = self.placements.remove(uid) {
            if let Some(node) = self.nodes.get_mut(&placement.node) {
                node.used = node.used.plus(&placement.uses, -1);
            }
        }
    }

    /// The best node, or why there is none.
    fn choose(&self, cpu_weight: f64, uses: &Amounts, pod: &Json) -> std::result::Result<String, Json> {
        let mut reasons: BTreeMap<&str, i64> = BTreeMap::new();
        let mut best: Option<(&String, f64)> = None;
        for (name, node) in &self.nodes {
            let after = node.used.plus(uses, 1);
            if let Some(reason) = refusal(node, &after, pod) {
                *reasons.entry(reason).or_default() += 1;
                continue;
            }
            let points = score(cpu_weight, node, &after);
            if best.map_or(true, |(_, most)| points > most) {
                best = Some((name, points));
            }
        }
        if let Some((name, _)) = best {
            return Ok(name.clone());
        }
        let refusals: Vec<Json> =
            reasons.iter().map(|(reason, nodes)| object! { "reason" => *reason, "nodes" => *nodes }).collect();
        Err(object! { "nodes" => self.nodes.len(), "refusals" => refusals })
    }
}

impl Plugin for Scheduler {
    const DESCRIPTION: &'static str = r#"{"name":"@NAME@","version":"1.0.0","description":"Places pods where most is left.",
        "provides":["hostd.scheduler/1"]}"#;
    const SCHEMA: &'static str = r#"{"type":"object","properties":{"cpuWeight":{"type":"integer","minimum":0,"maximum":100,
        "default":50,"description":"How much cores count against memory, in percent."}}}"#;
    const ROLE: &'static [u8] = abi::SCHEDULER_1;
    const SLOTS: &'static [u8] = abi::SCHEDULER_1_SLOTS;
    type Table = abi::Scheduler;

    fn table(head: abi::Interface) -> abi::Scheduler {
        abi::Scheduler {
            interface: head,
            node_set: Some(node_set),
            node_remove: Some(node_remove),
            pod_set: Some(pod_set),
            pod_remove: Some(pod_remove),
            schedule: Some(schedule),
            reset: Some(reset),
            revision: Some(revision),
        }
    }

    fn new(host: Host) -> Scheduler {
        Scheduler { host, cpu_weight: Mutex::new(0.5), cluster: Mutex::new(Cluster::new()) }
    }

    fn configure(&self, options: &Json, _directory: &str) -> Result<()> {
        *lock(&self.cpu_weight) = options.get("cpuWeight").integer().unwrap_or(50) as f64 / 100.0;
        Ok(())
    }

    fn activate(&self) -> Result<()> {
        self.host.info(&format!("cores count {} of 1 against memory", lock(&self.cpu_weight)));
        Ok(())
    }

    /// Whoever activates the scheduler again feeds it anew.
    fn deactivate(&self) -> Result<()> {
        *lock(&self.cluster) = Cluster::new();
        Ok(())
    }
}

plugin_entry!(Scheduler);

// The slots, in the order of the table. What they get is borrowed for the call.

/// A flat struct that is at least as long as this plugin knows it.
unsafe fn flat<T: Copy>(pointer: *const T, struct_size: u32) -> Result<T> {
    if (struct_size as usize) < std::mem::size_of::<T>() {
        return Err(invalid(format!("a struct is shorter than {} bytes", std::mem::size_of::<T>())));
    }
    Ok(*pointer)
}

unsafe extern "C" fn node_set(
    this: *mut c_void,
    node: *const abi::SchedulerNode,
    name: *const u8,
    name_size: u64,
    object: *const u8,
    object_size: u64,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &Scheduler| {
        let node = flat(node, (*node).struct_size)?;
        let all = Amounts {
            milli_cpu: node.milli_cpu,
            memory: node.memory_bytes,
            storage: node.ephemeral_storage_bytes,
            pods: node.pods,
        };
        let object = Json::parse(bytes(object, object_size)).unwrap_or(Json::Null);
        let (name, all) = (text(name, name_size, "the node's name")?, all.checked()?);
        let mut cluster = lock(&it.cluster);
        cluster.set_node(name, all, node.flags, object);
        cluster.revision += 1;
        Ok(())
    })
}

unsafe extern "C" fn node_remove(this: *mut c_void, name: *const u8, size: u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &Scheduler| {
        let mut cluster = lock(&it.cluster);
        cluster.nodes.remove(&*String::from_utf8_lossy(bytes(name, size)));
        cluster.revision += 1;
        Ok(())
    })
}

unsafe extern "C" fn pod_set(
    this: *mut c_void,
    pod: *const abi::SchedulerPod,
    uid: *const u8,
    uid_size: u64,
    node: *const u8,
    node_size: u64,
    _object: *const u8,
    _object_size: u64,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &Scheduler| {
        let uses = Amounts::of_pod(&flat(pod, (*pod).struct_size)?)?;
        let (uid, node) = (text(uid, uid_size, "the pod's uid")?, text(node, node_size, "the node's name")?);
        let mut cluster = lock(&it.cluster);
        cluster.place(uid, node, uses);
        cluster.revision += 1;
        Ok(())
    })
}

unsafe extern "C" fn pod_remove(this: *mut c_void, uid: *const u8, size: u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &Scheduler| {
        let mut cluster = lock(&it.cluster);
        cluster.forget(&String::from_utf8_lossy(bytes(uid, size)));
        cluster.revision += 1;
        Ok(())
    })
}

unsafe extern "C" fn schedule(
    this: *mut c_void,
    deadline: u64,
    pod: *const abi::SchedulerPod,
    uid: *const u8,
    uid_size: u64,
    object: *const u8,
    object_size: u64,
    decision: *mut abi::Buffer,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &Scheduler| {
        check_deadline(deadline)?;
        let uses = Amounts::of_pod(&flat(pod, (*pod).struct_size)?)?;
        let uid = text(uid, uid_size, "the pod's uid")?;
        let object = Json::parse(bytes(object, object_size)).unwrap_or(Json::Null);
        let mut cluster = lock(&it.cluster);
        cluster.revision += 1;
        if let Some(placement) = cluster.placements.get(uid) {
            *decision = owned(object! { "node" => &placement.node }.to_string()); // Asked again: a pod is placed once.
            return Ok(());
        }
        let answer = match cluster.choose(*lock(&it.cpu_weight), &uses, &object) {
            Ok(node) => {
                cluster.place(uid, &node, uses);
                object! { "node" => node }
            }
            Err(refusals) => refusals,
        };
        *decision = owned(answer.to_string());
        Ok(())
    })
}

unsafe extern "C" fn reset(this: *mut c_void, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &Scheduler| {
        *lock(&it.cluster) = Cluster::new();
        Ok(())
    })
}

unsafe extern "C" fn revision(this: *mut c_void, number: *mut u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &Scheduler| {
        *number = lock(&it.cluster).revision;
        Ok(())
    })
}

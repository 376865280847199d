//! hostd's header, `hostd/plugin.h`, in Rust, written by hand: layouts and names are those of the header, without the
//! prefix. What a role's slots promise is said there.
#![allow(dead_code)]

use std::os::raw::{c_char, c_void};

pub const ABI_VERSION: u32 = 1;

pub const OK: i32 = 0;
pub const ERROR_INTERNAL: i32 = -1;
pub const ERROR_INVALID_ARGUMENT: i32 = -2;
pub const ERROR_NOT_FOUND: i32 = -3;
pub const ERROR_ALREADY_EXISTS: i32 = -4;
pub const ERROR_CONFLICT: i32 = -5;
pub const ERROR_UNAVAILABLE: i32 = -6;
pub const ERROR_DEADLINE_EXCEEDED: i32 = -7;
pub const ERROR_CANCELLED: i32 = -8;
pub const ERROR_NOT_SUPPORTED: i32 = -9;
pub const ERROR_FORBIDDEN: i32 = -10;
pub const ERROR_RESOURCE_EXHAUSTED: i32 = -11;
pub const ERROR_COMPACTED: i32 = -12;
pub const ERROR_NO_SPACE: i32 = -13;
pub const ERROR_WRONG_STATE: i32 = -14;
pub const ERROR_DATA_LOSS: i32 = -15;
pub const ERROR_VERSION: i32 = -16;

#[repr(C)]
pub struct Buffer {
    pub data: *const u8,
    pub size: u64,
    pub release: Option<unsafe extern "C" fn(context: *mut c_void)>,
    pub context: *mut c_void,
}

#[repr(C)]
pub struct Error {
    pub struct_size: u32,
    pub code: i32,
    pub retryable: u32,
    pub retry_delay_ms: u32,
    pub message: Buffer,
}

pub type Completion =
    unsafe extern "C" fn(context: *mut c_void, status: i32, data: *const u8, size: u64, error: *const Error);
pub type Sink = unsafe extern "C" fn(context: *mut c_void, kind: u32, data: *const u8, size: u64);
pub const SINK_DATA: u32 = 1;
pub const SINK_END: u32 = 2;
pub const SINK_RESYNC: u32 = 3;
pub const SINK_PROGRESS: u32 = 4;

#[repr(C)]
pub struct Interface {
    pub struct_size: u32,
    pub reserved: u32,
    pub this: *mut c_void, // `self` of the header.
    pub id: *const c_char,
    pub slots: *const c_char,
}

#[repr(C)]
pub struct Host {
    pub struct_size: u32,
    pub abi_minimum: u32,
    pub abi_maximum: u32,
    pub reserved: u32,
    pub this: *mut c_void,
    pub get_interface: unsafe extern "C" fn(this: *mut c_void, id: *const c_char) -> *const Interface,
}

#[repr(C)]
pub struct Plugin {
    pub struct_size: u32,
    pub abi_version: u32,
    pub this: *mut c_void,
    pub describe: unsafe extern "C" fn(this: *mut c_void, description: *mut Buffer, error: *mut Error) -> i32,
    pub schema: unsafe extern "C" fn(this: *mut c_void, schema: *mut Buffer, error: *mut Error) -> i32,
    pub configure:
        unsafe extern "C" fn(this: *mut c_void, configuration: *const u8, size: u64, error: *mut Error) -> i32,
    pub activate: unsafe extern "C" fn(this: *mut c_void, error: *mut Error) -> i32,
    pub deactivate: unsafe extern "C" fn(this: *mut c_void, error: *mut Error) -> i32,
    pub destroy: unsafe extern "C" fn(this: *mut c_void),
    pub get_interface: unsafe extern "C" fn(this: *mut c_void, id: *const c_char) -> *const Interface,
}

// Shapes of slots, named by their letters without the last one, `e`.
pub type Slot = unsafe extern "C" fn(this: *mut c_void, error: *mut Error) -> i32;
pub type SlotO = unsafe extern "C" fn(this: *mut c_void, output: *mut Buffer, error: *mut Error) -> i32;
pub type SlotW = unsafe extern "C" fn(this: *mut c_void, number: *mut u64, error: *mut Error) -> i32;
pub type SlotH = unsafe extern "C" fn(this: *mut c_void, handle: u64, error: *mut Error) -> i32;
pub type SlotB = unsafe extern "C" fn(this: *mut c_void, data: *const u8, size: u64, error: *mut Error) -> i32;
pub type SlotVH = unsafe extern "C" fn(
    this: *mut c_void,
    sink: Option<Sink>,
    context: *mut c_void,
    handle: *mut u64,
    error: *mut Error,
) -> i32;
/// `tboe`: a deadline, a JSON request, a JSON answer.
pub type JsonSlot = unsafe extern "C" fn(
    this: *mut c_void,
    deadline: u64,
    request: *const u8,
    size: u64,
    response: *mut Buffer,
    error: *mut Error,
) -> i32;

// Services of the host. The others of hostd/services are bound in the same way.

pub const LOG_1: &[u8] = b"hostd.log/1\0";
pub const LOG_INFO: u32 = 2;
pub const LOG_WARNING: u32 = 3;
pub const LOG_ERROR: u32 = 4;

#[repr(C)]
pub struct Log {
    pub interface: Interface,
    pub log: unsafe extern "C" fn(
        this: *mut c_void,
        level: u32,
        message: *const u8,
        message_size: u64,
        fields: *const u8,
        fields_size: u64,
        error: *mut Error,
    ) -> i32,
}

// Roles. A slot that is None is not provided: the host answers NOT_SUPPORTED in its place.

pub const SCHEDULER_1: &[u8] = b"hostd.scheduler/1\0";
pub const SCHEDULER_1_SLOTS: &[u8] =
    b"node_set:sbbe;node_remove:be;pod_set:sbbbe;pod_remove:be;schedule:tsbboe;reset:e;revision:We\0";
pub const SCHEDULER_NODE_UNSCHEDULABLE: u32 = 1;
pub const SCHEDULER_NODE_READY: u32 = 2;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SchedulerNode {
    pub struct_size: u32,
    pub flags: u32,
    pub milli_cpu: i64,
    pub memory_bytes: i64,
    pub ephemeral_storage_bytes: i64,
    pub pods: i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SchedulerPod {
    pub struct_size: u32,
    pub priority: i32,
    pub milli_cpu: i64,
    pub memory_bytes: i64,
    pub ephemeral_storage_bytes: i64,
}

#[repr(C)]
pub struct Scheduler {
    pub interface: Interface,
    pub node_set: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            node: *const SchedulerNode,
            name: *const u8,
            name_size: u64,
            object: *const u8,
            object_size: u64,
            error: *mut Error,
        ) -> i32,
    >,
    pub node_remove: Option<SlotB>,
    pub pod_set: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            pod: *const SchedulerPod,
            uid: *const u8,
            uid_size: u64,
            node: *const u8,
            node_size: u64,
            object: *const u8,
            object_size: u64,
            error: *mut Error,
        ) -> i32,
    >,
    pub pod_remove: Option<SlotB>,
    pub schedule: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            deadline: u64,
            pod: *const SchedulerPod,
            uid: *const u8,
            uid_size: u64,
            object: *const u8,
            object_size: u64,
            decision: *mut Buffer,
            error: *mut Error,
        ) -> i32,
    >,
    pub reset: Option<Slot>,
    pub revision: Option<SlotW>,
}

pub const NETWORK_1: &[u8] = b"hostd.network/1\0";
pub const NETWORK_1_SLOTS: &[u8] = b"status:tboe;attach:tboe;check:tboe;detach:tboe;collect_garbage:tboe;\
services_set:tboe;policies_set:tboe\0";

#[repr(C)]
pub struct Network {
    pub interface: Interface,
    pub status: Option<JsonSlot>,
    pub attach: Option<JsonSlot>,
    pub check: Option<JsonSlot>,
    pub detach: Option<JsonSlot>,
    pub collect_garbage: Option<JsonSlot>,
    pub services_set: Option<JsonSlot>,
    pub policies_set: Option<JsonSlot>,
}

pub const DEVICE_1: &[u8] = b"hostd.device/1\0";
pub const DEVICE_1_SLOTS: &[u8] = b"status:tboe;list_devices:tboe;watch:vHe;watch_cancel:he;allocate:tboe;\
release:tboe;list_allocations:tboe\0";

#[repr(C)]
pub struct Device {
    pub interface: Interface,
    pub status: Option<JsonSlot>,
    pub list_devices: Option<JsonSlot>,
    pub watch: Option<SlotVH>,
    pub watch_cancel: Option<SlotH>,
    pub allocate: Option<JsonSlot>,
    pub release: Option<JsonSlot>,
    pub list_allocations: Option<JsonSlot>,
}

pub const VOLUME_1: &[u8] = b"hostd.volume/1\0";
pub const VOLUME_1_SLOTS: &[u8] = b"status:tboe;create_volume:tboe;delete_volume:tboe;validate:tboe;\
controller_publish:tboe;controller_unpublish:tboe;stage:tboe;unstage:tboe;publish:tboe;unpublish:tboe;expand:tboe;\
volume_stats:tboe;create_snapshot:tboe;delete_snapshot:tboe;capacity:tboe\0";

#[repr(C)]
pub struct Volume {
    pub interface: Interface,
    pub status: Option<JsonSlot>,
    pub create_volume: Option<JsonSlot>,
    pub delete_volume: Option<JsonSlot>,
    pub validate: Option<JsonSlot>,
    pub controller_publish: Option<JsonSlot>,
    pub controller_unpublish: Option<JsonSlot>,
    pub stage: Option<JsonSlot>,
    pub unstage: Option<JsonSlot>,
    pub publish: Option<JsonSlot>,
    pub unpublish: Option<JsonSlot>,
    pub expand: Option<JsonSlot>,
    pub volume_stats: Option<JsonSlot>,
    pub create_snapshot: Option<JsonSlot>,
    pub delete_snapshot: Option<JsonSlot>,
    pub capacity: Option<JsonSlot>,
}

pub const API_EXTENSION_1: &[u8] = b"hostd.api-extension/1\0";
pub const API_EXTENSION_1_SLOTS: &[u8] = b"routes:oe;serve:tbbFoe\0";

#[repr(C)]
pub struct ApiExtension {
    pub interface: Interface,
    pub routes: Option<SlotO>,
    pub serve: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            deadline: u64,
            request: *const u8,
            request_size: u64,
            body: *const u8,
            body_size: u64,
            stream: i32,
            response: *mut Buffer,
            error: *mut Error,
        ) -> i32,
    >,
}

pub const RUNTIME_1: &[u8] = b"hostd.runtime/1\0";
pub const RUNTIME_1_SLOTS: &[u8] = b"status:tboe;run_sandbox:tboe;stop_sandbox:tboe;remove_sandbox:tboe;\
list_sandboxes:tboe;create_container:tboe;start_container:tboe;stop_container:tboe;remove_container:tboe;\
list_containers:tboe;update_container:tboe;reopen_log:tboe;exec_sync:tboe;exec:bFFFcHe;exec_resize:huue;exec_cancel:he;\
attach:bFFFcHe;container_stats:tboe;watch:vHe;watch_cancel:he;list_images:tboe;image_status:tboe;load_image:tbFoe;\
pull_image:bcHe;pull_cancel:he;remove_image:tboe;image_filesystem:tboe\0";

/// `bFFFcH`: a request, three descriptors that are given away, a completion, a handle out.
pub type StreamSlot = unsafe extern "C" fn(
    this: *mut c_void,
    request: *const u8,
    size: u64,
    standard_input: i32,
    standard_output: i32,
    standard_error: i32,
    completion: Option<Completion>,
    context: *mut c_void,
    operation: *mut u64,
    error: *mut Error,
) -> i32;

#[repr(C)]
pub struct Runtime {
    pub interface: Interface,
    pub status: Option<JsonSlot>,
    pub run_sandbox: Option<JsonSlot>,
    pub stop_sandbox: Option<JsonSlot>,
    pub remove_sandbox: Option<JsonSlot>,
    pub list_sandboxes: Option<JsonSlot>,
    pub create_container: Option<JsonSlot>,
    pub start_container: Option<JsonSlot>,
    pub stop_container: Option<JsonSlot>,
    pub remove_container: Option<JsonSlot>,
    pub list_containers: Option<JsonSlot>,
    pub update_container: Option<JsonSlot>,
    pub reopen_log: Option<JsonSlot>,
    pub exec_sync: Option<JsonSlot>,
    pub exec: Option<StreamSlot>,
    pub exec_resize:
        Option<unsafe extern "C" fn(this: *mut c_void, operation: u64, width: u32, height: u32, error: *mut Error) -> i32>,
    pub exec_cancel: Option<SlotH>,
    pub attach: Option<StreamSlot>,
    pub container_stats: Option<JsonSlot>,
    pub watch: Option<SlotVH>,
    pub watch_cancel: Option<SlotH>,
    pub list_images: Option<JsonSlot>,
    pub image_status: Option<JsonSlot>,
    pub load_image: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            deadline: u64,
            request: *const u8,
            size: u64,
            archive: i32,
            response: *mut Buffer,
            error: *mut Error,
        ) -> i32,
    >,
    pub pull_image: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            request: *const u8,
            size: u64,
            completion: Option<Completion>,
            context: *mut c_void,
            operation: *mut u64,
            error: *mut Error,
        ) -> i32,
    >,
    pub pull_cancel: Option<SlotH>,
    pub remove_image: Option<JsonSlot>,
    pub image_filesystem: Option<JsonSlot>,
}

pub const STORE_1: &[u8] = b"hostd.store/1\0";
pub const STORE_1_SLOTS: &[u8] = b"get:bwoe;list:bbwwboe;create:bbbwWe;update:bbbwwWe;remove:bwWe;transaction:bce;\
watch:bbwvHe;watch_cancel:he;lease_grant:wWe;lease_keep_alive:we;lease_revoke:we;compact:we;status:oe;backup:Foe;\
transaction_by:bbce;history:bwoe;revision_at:wWe;watch_promptly:he\0";
pub const STORE_RECORD_PUT: u32 = 1;
pub const STORE_RECORD_DELETE: u32 = 2;
pub const STORE_RECORD_HAS_PREVIOUS: u32 = 1;
pub const STORE_RECORD_ENTERED: u32 = 2;
pub const STORE_RECORD_LEFT: u32 = 4;
pub const STORE_CREATE: u32 = 1;
pub const STORE_UPDATE: u32 = 2;
pub const STORE_PUT: u32 = 3;
pub const STORE_DELETE: u32 = 4;
pub const STORE_CHECK: u32 = 5;

#[repr(C)]
pub struct Store {
    pub interface: Interface,
    pub get: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            key: *const u8,
            key_size: u64,
            revision: u64,
            record: *mut Buffer,
            error: *mut Error,
        ) -> i32,
    >,
    pub list: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            prefix: *const u8,
            prefix_size: u64,
            selector: *const u8,
            selector_size: u64,
            revision: u64,
            limit: u64,
            after: *const u8,
            after_size: u64,
            page: *mut Buffer,
            error: *mut Error,
        ) -> i32,
    >,
    pub create: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            key: *const u8,
            key_size: u64,
            value: *const u8,
            value_size: u64,
            index: *const u8,
            index_size: u64,
            lease: u64,
            revision: *mut u64,
            error: *mut Error,
        ) -> i32,
    >,
    pub update: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            key: *const u8,
            key_size: u64,
            value: *const u8,
            value_size: u64,
            index: *const u8,
            index_size: u64,
            lease: u64,
            expected_revision: u64,
            revision: *mut u64,
            error: *mut Error,
        ) -> i32,
    >,
    pub remove: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            key: *const u8,
            key_size: u64,
            expected_revision: u64,
            revision: *mut u64,
            error: *mut Error,
        ) -> i32,
    >,
    pub transaction: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            operations: *const u8,
            size: u64,
            completion: Option<Completion>,
            context: *mut c_void,
            error: *mut Error,
        ) -> i32,
    >,
    pub watch: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            prefix: *const u8,
            prefix_size: u64,
            selector: *const u8,
            selector_size: u64,
            from_revision: u64,
            sink: Option<Sink>,
            context: *mut c_void,
            watch: *mut u64,
            error: *mut Error,
        ) -> i32,
    >,
    pub watch_cancel: Option<SlotH>,
    pub lease_grant:
        Option<unsafe extern "C" fn(this: *mut c_void, time_to_live_ms: u64, lease: *mut u64, error: *mut Error) -> i32>,
    pub lease_keep_alive: Option<SlotH>,
    pub lease_revoke: Option<SlotH>,
    pub compact: Option<SlotH>,
    pub status: Option<SlotO>,
    pub backup: Option<unsafe extern "C" fn(this: *mut c_void, file: i32, json: *mut Buffer, error: *mut Error) -> i32>,
    // What came later, and may stay None: who writes, what a key held before, the revision of a time.
    pub transaction_by: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            writer: *const u8,
            writer_size: u64,
            operations: *const u8,
            size: u64,
            completion: Option<Completion>,
            context: *mut c_void,
            error: *mut Error,
        ) -> i32,
    >,
    pub history: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            key: *const u8,
            key_size: u64,
            limit: u64,
            json: *mut Buffer,
            error: *mut Error,
        ) -> i32,
    >,
    pub revision_at:
        Option<unsafe extern "C" fn(this: *mut c_void, time_ms: u64, revision: *mut u64, error: *mut Error) -> i32>,
    // That a watch's sink does not wait; an engine that makes no difference has None.
    pub watch_promptly: Option<SlotH>,
}

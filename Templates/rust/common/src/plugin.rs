//! The safe layer over bindings.rs: entry, life cycle, errors, bytes. Start reading in lib.rs.
#![allow(dead_code)]

use std::os::raw::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::bindings as abi;
use crate::json::Json;

/// A plugin of one role. There is one value for each call of entry: two may live side by side during a swap.
pub trait Plugin: Sized + Send + Sync + 'static {
    /// JSON, see hostd_plugin.describe.
    const DESCRIPTION: &'static str;
    /// JSON Schema of the options; "" when there are none.
    const SCHEMA: &'static str;
    /// The role's id and descriptor, both with a NUL at the end.
    const ROLE: &'static [u8];
    const SLOTS: &'static [u8];
    /// The role's table, of bindings.rs.
    type Table: 'static;
    fn table(head: abi::Interface) -> Self::Table;

    fn new(host: Host) -> Self;
    /// Validates and keeps; starts nothing. `directory` is the plugin's own, below the host's data directory.
    fn configure(&self, options: &Json, directory: &str) -> Result<()>;
    fn activate(&self) -> Result<()>;
    /// When it returns, nothing of the plugin runs: no thread, no watch, no operation.
    fn deactivate(&self) -> Result<()>;
}

/// A status and a sentence that names the thing and the remedy.
#[derive(Debug)]
pub struct Failure {
    pub code: i32,
    pub message: String,
}
pub type Result<T> = std::result::Result<T, Failure>;

pub fn failure(code: i32, message: impl Into<String>) -> Failure {
    Failure { code, message: message.into() }
}
pub fn invalid(message: impl Into<String>) -> Failure {
    failure(abi::ERROR_INVALID_ARGUMENT, message)
}

/// What went wrong in the system with `path`.
pub fn system(what: &str, path: &str, error: std::io::Error) -> Failure {
    let code = match error.raw_os_error() {
        Some(28) => abi::ERROR_NO_SPACE,     // ENOSPC
        Some(1) | Some(13) => abi::ERROR_FORBIDDEN, // EPERM, EACCES
        _ => abi::ERROR_INTERNAL,
    };
    failure(code, format!("cannot {} {}: {}", what, path, error))
}

/// A lock whose holder may have panicked: what it guards is still whole, because changes come last.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The host's services. Other services and roles are found in the same way as the log.
#[derive(Clone, Copy)]
pub struct Host {
    host: *const abi::Host,
    log: *const abi::Log,
}
// SAFETY: the tables are immutable, and their functions may be called from any thread.
unsafe impl Send for Host {}
unsafe impl Sync for Host {}

impl Host {
    /// The table of a service or role by its id (with a NUL at the end); null when nobody knows it.
    pub fn interface(&self, id: &'static [u8]) -> *const abi::Interface {
        assert_eq!(id.last(), Some(&0));
        // SAFETY: `host` lives until destroy has returned, and with it this value.
        unsafe { ((*self.host).get_interface)((*self.host).this, id.as_ptr() as *const c_char) }
    }

    pub fn log(&self, level: u32, message: &str) {
        let mut error = empty_error();
        // SAFETY: the log's table lives as long as the host; the message is borrowed for the call.
        unsafe {
            let size = message.len() as u64;
            let this = (*self.log).interface.this;
            ((*self.log).log)(this, level, message.as_ptr(), size, std::ptr::null(), 0, &mut error);
            release(&error.message);
        }
    }

    pub fn info(&self, message: &str) {
        self.log(abi::LOG_INFO, message)
    }
}

fn empty_error() -> abi::Error {
    let struct_size = std::mem::size_of::<abi::Error>() as u32;
    abi::Error { struct_size, code: 0, retryable: 0, retry_delay_ms: 0, message: empty_buffer() }
}

fn empty_buffer() -> abi::Buffer {
    abi::Buffer { data: std::ptr::null(), size: 0, release: None, context: std::ptr::null_mut() }
}

/// Releases what somebody else handed out.
unsafe fn release(buffer: &abi::Buffer) {
    if let Some(release) = buffer.release {
        release(buffer.context)
    }
}

/// Calls a slot of the host or of another role; a negative status becomes a failure.
///
/// # Safety
/// The body calls one slot with the error it is given.
pub unsafe fn called(body: impl FnOnce(*mut abi::Error) -> i32) -> Result<()> {
    let mut error = empty_error();
    let status = body(&mut error);
    if status >= 0 {
        return Ok(());
    }
    let message = String::from_utf8_lossy(bytes(error.message.data, error.message.size.min(4096))).into_owned();
    release(&error.message);
    Err(failure(status, message))
}

/// As `called`, for a slot that hands bytes out: they are copied and released.
///
/// # Safety
/// As `called`.
pub unsafe fn called_buffer(body: impl FnOnce(*mut abi::Buffer, *mut abi::Error) -> i32) -> Result<Vec<u8>> {
    let mut buffer = empty_buffer();
    called(|error| body(&mut buffer, error))?;
    let copy = bytes(buffer.data, buffer.size).to_vec();
    release(&buffer);
    Ok(copy)
}

/// Hands bytes out; the receiver calls `release` exactly once.
pub fn owned(bytes: impl Into<Vec<u8>>) -> abi::Buffer {
    unsafe extern "C" fn release(context: *mut c_void) {
        drop(Box::from_raw(context as *mut Vec<u8>));
    }
    let boxed: Box<Vec<u8>> = Box::new(bytes.into());
    let (data, size) = (boxed.as_ptr(), boxed.len() as u64);
    abi::Buffer { data, size, release: Some(release), context: Box::into_raw(boxed) as *mut c_void }
}

/// Borrowed bytes of an argument; null is empty.
///
/// # Safety
/// `data` has `size` bytes that live as long as the call.
pub unsafe fn bytes<'a>(data: *const u8, size: u64) -> &'a [u8] {
    if data.is_null() || size == 0 {
        return &[];
    }
    std::slice::from_raw_parts(data, size as usize)
}

/// Borrowed text of an argument that must not be empty.
///
/// # Safety
/// As `bytes`.
pub unsafe fn text<'a>(data: *const u8, size: u64, what: &str) -> Result<&'a str> {
    match std::str::from_utf8(bytes(data, size)) {
        Ok("") | Err(_) => Err(invalid(format!("{} is empty or not text", what))),
        Ok(text) => Ok(text),
    }
}

/// The text of a member that every request of its kind needs.
pub fn needed<'a>(request: &'a Json, member: &str) -> Result<&'a str> {
    let found = request.get(member).text().filter(|text| !text.is_empty() && !text.contains('\0'));
    found.ok_or_else(|| invalid(format!("the request needs a text \"{}\"", member)))
}

pub fn monotonic_nanoseconds() -> u64 {
    #[repr(C)]
    struct Time {
        seconds: i64,
        nanoseconds: i64,
    }
    extern "C" {
        fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    }
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(1, &mut time) }; // CLOCK_MONOTONIC
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

pub fn check_deadline(deadline: u64) -> Result<()> {
    if deadline != 0 && monotonic_nanoseconds() > deadline {
        return Err(failure(abi::ERROR_DEADLINE_EXCEEDED, "the deadline had passed when the call came in"));
    }
    Ok(())
}

/// Where the messages of a watch go.
pub struct Subscriber {
    sink: abi::Sink,
    context: *mut c_void,
}
// SAFETY: the ABI lets any thread call a sink, one at a time; the context is the subscriber's.
unsafe impl Send for Subscriber {}

impl Subscriber {
    pub fn new(sink: Option<abi::Sink>, context: *mut c_void) -> Result<Subscriber> {
        sink.map(|sink| Subscriber { sink, context }).ok_or_else(|| invalid("a watch needs a sink"))
    }

    pub fn send(&mut self, kind: u32, message: &[u8]) {
        // SAFETY: a subscriber is there exactly as long as its stream, and is exclusive here.
        unsafe { (self.sink)(self.context, kind, message.as_ptr(), message.len() as u64) }
    }

    /// Nothing follows.
    pub fn end(mut self) {
        self.send(abi::SINK_END, b"")
    }
}

/// Completes an operation: exactly once for each that was begun.
///
/// # Safety
/// `completion` and `context` are those of the operation.
pub unsafe fn complete(completion: abi::Completion, context: *mut c_void, result: Result<()>, data: &[u8]) {
    let (start, size) = (data.as_ptr(), data.len() as u64);
    match result {
        Ok(()) => completion(context, abi::OK, start, size, std::ptr::null()),
        Err(failure) => {
            let mut error = empty_error();
            fill(&mut error, &failure);
            completion(context, failure.code, start, size, &error);
            release(&error.message);
        }
    }
}

/// Writes a failure into an error that has the room.
unsafe fn fill(error: *mut abi::Error, failure: &Failure) {
    let retryable = failure.code == abi::ERROR_UNAVAILABLE || failure.code == abi::ERROR_DEADLINE_EXCEEDED;
    let mut message = failure.message.clone();
    while message.len() > 4096 {
        message.pop();
    }
    (*error).code = failure.code;
    (*error).retryable = retryable as u32;
    (*error).message = owned(message);
}

const NEW: u8 = 0;
const CONFIGURED: u8 = 1;
const ACTIVE: u8 = 2;

/// What `self` of both tables, the plugin's and the role's, points to.
struct Instance<P: Plugin> {
    table: Option<Box<P::Table>>,
    plugin: P,
    state: AtomicU8,
}

/// Runs a body at the boundary: an error becomes the status and the caller's error, a panic an internal error.
unsafe fn guarded(error: *mut abi::Error, body: impl FnOnce() -> Result<()>) -> i32 {
    let result = catch_unwind(AssertUnwindSafe(body));
    let failure = match result {
        Ok(Ok(())) => return abi::OK,
        Ok(Err(failure)) => failure,
        Err(_) => failure(abi::ERROR_INTERNAL, "the plugin panicked; its message is on standard error"),
    };
    if !error.is_null() && (*error).struct_size as usize >= std::mem::size_of::<abi::Error>() {
        fill(error, &failure);
    }
    failure.code
}

/// Runs the body of a slot with the plugin, which is active.
///
/// # Safety
/// `this` is the `self` of this plugin's table, `error` null or the caller's error.
pub unsafe fn slot<P: Plugin>(this: *mut c_void, error: *mut abi::Error, body: impl FnOnce(&P) -> Result<()>) -> i32 {
    let instance = &*(this as *const Instance<P>);
    guarded(error, || {
        if instance.state.load(Ordering::Acquire) != ACTIVE {
            return Err(failure(abi::ERROR_WRONG_STATE, "the plugin is not active"));
        }
        body(&instance.plugin)
    })
}

/// A slot of the shape `tboe`: what json_slot! makes of a method `fn(&self, &Json) -> Result<Json>`.
///
/// # Safety
/// As `slot`; `response` is the caller's buffer.
pub unsafe fn answer_json<P: Plugin>(
    this: *mut c_void,
    deadline: u64,
    request: (*const u8, u64),
    response: *mut abi::Buffer,
    error: *mut abi::Error,
    method: impl FnOnce(&P, &Json) -> Result<Json>,
) -> i32 {
    slot(this, error, |plugin: &P| {
        check_deadline(deadline)?;
        let request = parse_request(bytes(request.0, request.1))?;
        *response = owned(method(plugin, &request)?.to_string());
        Ok(())
    })
}

pub fn parse_request(bytes: &[u8]) -> Result<Json> {
    match Json::parse(bytes) {
        Some(object @ Json::Object(_)) => Ok(object),
        _ => Err(invalid("the request is not a JSON object")),
    }
}

#[macro_export]
macro_rules! json_slot {
    ($plugin:ty, $method:ident) => {{
        unsafe extern "C" fn slot(
            this: *mut std::os::raw::c_void,
            deadline: u64,
            request: *const u8,
            size: u64,
            response: *mut $crate::bindings::Buffer,
            error: *mut $crate::bindings::Error,
        ) -> i32 {
            $crate::plugin::answer_json(this, deadline, (request, size), response, error, <$plugin>::$method)
        }
        Some(slot as $crate::bindings::JsonSlot)
    }};
}

/// Exports the entry of a plugin: plugin_entry!(MyPlugin);
#[macro_export]
macro_rules! plugin_entry {
    ($plugin:ty) => {
        /// # Safety
        /// The host calls it, with its table and room for the plugin's.
        #[no_mangle]
        pub unsafe extern "C" fn hostd_plugin_entry(
            host: *const $crate::bindings::Host,
            plugin: *mut $crate::bindings::Plugin,
            error: *mut $crate::bindings::Error,
        ) -> i32 {
            $crate::plugin::enter::<$plugin>(host, plugin, error)
        }
    };
}

/// # Safety
/// See hostd_plugin_entry.
pub unsafe fn enter<P: Plugin>(host: *const abi::Host, plugin: *mut abi::Plugin, error: *mut abi::Error) -> i32 {
    guarded(error, || {
        let (lowest, highest) = ((*host).abi_minimum, (*host).abi_maximum);
        let room = (*plugin).struct_size as usize;
        if lowest > abi::ABI_VERSION || highest < abi::ABI_VERSION || room < std::mem::size_of::<abi::Plugin>() {
            let message = format!("this plugin speaks ABI {}, the host offers {} to {}", abi::ABI_VERSION, lowest, highest);
            return Err(failure(abi::ERROR_VERSION, message));
        }
        let log = ((*host).get_interface)((*host).this, abi::LOG_1.as_ptr() as *const c_char) as *const abi::Log;
        if log.is_null() {
            return Err(failure(abi::ERROR_NOT_SUPPORTED, "the host lacks hostd.log/1"));
        }
        let made = P::new(Host { host, log });
        let this = Box::into_raw(Box::new(Instance { table: None, plugin: made, state: AtomicU8::new(NEW) }));
        (*this).table = Some(Box::new(P::table(abi::Interface {
            struct_size: std::mem::size_of::<P::Table>() as u32,
            reserved: 0,
            this: this as *mut c_void,
            id: P::ROLE.as_ptr() as *const c_char,
            slots: P::SLOTS.as_ptr() as *const c_char,
        })));
        *plugin = abi::Plugin {
            struct_size: std::mem::size_of::<abi::Plugin>() as u32,
            abi_version: abi::ABI_VERSION,
            this: this as *mut c_void,
            describe: describe::<P>,
            schema: schema::<P>,
            configure: configure::<P>,
            activate: activate::<P>,
            deactivate: deactivate::<P>,
            destroy: destroy::<P>,
            get_interface: get_interface::<P>,
        };
        Ok(())
    })
}

unsafe extern "C" fn describe<P: Plugin>(_: *mut c_void, description: *mut abi::Buffer, error: *mut abi::Error) -> i32 {
    guarded(error, || {
        *description = owned(P::DESCRIPTION);
        Ok(())
    })
}

unsafe extern "C" fn schema<P: Plugin>(_: *mut c_void, schema: *mut abi::Buffer, error: *mut abi::Error) -> i32 {
    guarded(error, || {
        *schema = owned(P::SCHEMA);
        Ok(())
    })
}

unsafe extern "C" fn configure<P: Plugin>(
    this: *mut c_void,
    configuration: *const u8,
    size: u64,
    error: *mut abi::Error,
) -> i32 {
    let instance = &*(this as *const Instance<P>);
    guarded(error, || {
        if instance.state.load(Ordering::Acquire) == ACTIVE {
            return Err(failure(abi::ERROR_WRONG_STATE, "the plugin is active: deactivate it first"));
        }
        let configuration = parse_request(bytes(configuration, size))?;
        let directory = configuration.get("paths").get("plugin").text().unwrap_or("");
        instance.plugin.configure(configuration.get("options"), directory)?;
        instance.state.store(CONFIGURED, Ordering::Release);
        Ok(())
    })
}

unsafe extern "C" fn activate<P: Plugin>(this: *mut c_void, error: *mut abi::Error) -> i32 {
    let instance = &*(this as *const Instance<P>);
    guarded(error, || {
        if instance.state.load(Ordering::Acquire) != CONFIGURED {
            return Err(failure(abi::ERROR_WRONG_STATE, "the plugin is active, or not configured"));
        }
        instance.plugin.activate()?;
        instance.state.store(ACTIVE, Ordering::Release);
        Ok(())
    })
}

unsafe extern "C" fn deactivate<P: Plugin>(this: *mut c_void, error: *mut abi::Error) -> i32 {
    let instance = &*(this as *const Instance<P>);
    guarded(error, || {
        if instance.state.load(Ordering::Acquire) != ACTIVE {
            return Ok(());
        }
        instance.state.store(CONFIGURED, Ordering::Release); // From here on, slots refuse.
        instance.plugin.deactivate()
    })
}

unsafe extern "C" fn destroy<P: Plugin>(this: *mut c_void) {
    let instance = Box::from_raw(this as *mut Instance<P>);
    guarded(std::ptr::null_mut(), || {
        drop(instance);
        Ok(())
    });
}

unsafe extern "C" fn get_interface<P: Plugin>(this: *mut c_void, id: *const c_char) -> *const abi::Interface {
    let instance = &*(this as *const Instance<P>);
    let asked = std::ffi::CStr::from_ptr(id).to_bytes_with_nul();
    match &instance.table {
        Some(table) if asked == P::ROLE => &**table as *const P::Table as *const abi::Interface,
        _ => std::ptr::null(),
    }
}

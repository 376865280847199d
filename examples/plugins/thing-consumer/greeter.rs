//! Uses a role that another plugin defines, com.example.thing/1 (../thing-provider/thing.h), and provides one of its own:
//! com.example.greeter/1, "greet:boe;changes:We". What is common to all plugins in Rust comes from the templates of
//! `hostd plugin new`.

use std::os::raw::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

#[path = "../../../Templates/rust/common/src/bindings.rs"]
mod bindings;
#[path = "../../../Templates/rust/common/src/json.rs"]
mod json;
#[path = "../../../Templates/rust/common/src/plugin.rs"]
mod plugin;

use bindings as abi;
use json::Json;
use plugin::{called, called_buffer, failure, lock, owned, slot, text, Host, Plugin, Result};

/// thing.h in Rust.
const THING: &[u8] = b"com.example.thing/1\0";
#[repr(C)]
struct ThingTable {
    interface: abi::Interface,
    put: unsafe extern "C" fn(
        this: *mut c_void,
        name: *const u8,
        name_size: u64,
        value: *const u8,
        value_size: u64,
        error: *mut abi::Error,
    ) -> i32,
    get: unsafe extern "C" fn(
        this: *mut c_void,
        name: *const u8,
        name_size: u64,
        value: *mut abi::Buffer,
        error: *mut abi::Error,
    ) -> i32,
    watch: abi::SlotVH,
    watch_cancel: abi::SlotH,
}

/// The role as the host forwards it: to whoever provides it at the moment of a call.
#[derive(Clone, Copy)]
struct Thing(*const ThingTable);
// SAFETY: the table is immutable and lives until destroy; its slots may be called from any thread.
unsafe impl Send for Thing {}

impl Thing {
    fn find(host: &Host) -> Result<Thing> {
        let table = host.interface(THING) as *const ThingTable;
        if table.is_null() {
            return Err(failure(abi::ERROR_NOT_FOUND, "nobody provides com.example.thing/1: load thing-provider as well"));
        }
        Ok(Thing(table))
    }

    fn get(&self, name: &str) -> Result<String> {
        // SAFETY: the name is borrowed for the call, the value is copied and released.
        let value = unsafe {
            let table = &*self.0;
            let (this, name, size) = (table.interface.this, name.as_ptr(), name.len() as u64);
            called_buffer(|value, error| (table.get)(this, name, size, value, error))?
        };
        Ok(String::from_utf8_lossy(&value).into_owned())
    }

    /// Counts changes in `counter`, which lives until `watch_cancel` has returned.
    fn watch(&self, counter: *const AtomicU64) -> Result<u64> {
        unsafe extern "C" fn sink(context: *mut c_void, kind: u32, _data: *const u8, _size: u64) {
            if kind == abi::SINK_DATA {
                (*(context as *const AtomicU64)).fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut handle = 0;
        // SAFETY: the caller keeps the counter alive.
        unsafe {
            let table = &*self.0;
            let this = table.interface.this;
            called(|error| (table.watch)(this, Some(sink), counter as *mut c_void, &mut handle, error))?;
        }
        Ok(handle)
    }

    fn watch_cancel(&self, handle: u64) -> Result<()> {
        // SAFETY: plain values.
        unsafe { called(|error| ((*self.0).watch_cancel)((*self.0).interface.this, handle, error)) }
    }
}

#[repr(C)]
struct GreeterTable {
    interface: abi::Interface,
    greet: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            name: *const u8,
            name_size: u64,
            greeting: *mut abi::Buffer,
            error: *mut abi::Error,
        ) -> i32,
    >,
    changes: Option<abi::SlotW>,
}

struct Greeter {
    host: Host,
    thing: Mutex<Option<(Thing, u64)>>, // And the handle of the watch.
    changes: Box<AtomicU64>,
}

impl Greeter {
    /// "Hello, NAME.", or with the greeting that the other plugin keeps.
    fn greet(&self, name: &str) -> Result<String> {
        let (thing, _) = lock(&self.thing).ok_or_else(|| failure(abi::ERROR_WRONG_STATE, "the plugin is not active"))?;
        let greeting = match thing.get("greeting") {
            Err(failure) if failure.code == abi::ERROR_NOT_FOUND => "Hello".to_string(),
            other => other?,
        };
        Ok(format!("{}, {}.", greeting, name))
    }
}

unsafe extern "C" fn greet(
    this: *mut c_void,
    name: *const u8,
    name_size: u64,
    greeting: *mut abi::Buffer,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &Greeter| {
        *greeting = owned(it.greet(text(name, name_size, "the name")?)?);
        Ok(())
    })
}

unsafe extern "C" fn changes(this: *mut c_void, number: *mut u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &Greeter| {
        *number = it.changes.load(Ordering::Relaxed);
        Ok(())
    })
}

impl Plugin for Greeter {
    const DESCRIPTION: &'static str = r#"{"name":"thing-consumer","version":"1.0.0","description":"Greets by the book.",
        "provides":["com.example.greeter/1"],"requires":["com.example.thing/1"]}"#;
    const SCHEMA: &'static str = "";
    const ROLE: &'static [u8] = b"com.example.greeter/1\0";
    const SLOTS: &'static [u8] = b"greet:boe;changes:We\0";
    type Table = GreeterTable;

    fn table(head: abi::Interface) -> GreeterTable {
        GreeterTable { interface: head, greet: Some(greet), changes: Some(changes) }
    }

    fn new(host: Host) -> Greeter {
        Greeter { host, thing: Mutex::new(None), changes: Box::new(AtomicU64::new(0)) }
    }

    fn configure(&self, _options: &Json, _directory: &str) -> Result<()> {
        Ok(())
    }

    fn activate(&self) -> Result<()> {
        let thing = Thing::find(&self.host)?;
        let watch = thing.watch(&*self.changes)?;
        *lock(&self.thing) = Some((thing, watch));
        Ok(())
    }

    fn deactivate(&self) -> Result<()> {
        match lock(&self.thing).take() {
            Some((thing, watch)) => thing.watch_cancel(watch),
            None => Ok(()),
        }
    }
}

plugin_entry!(Greeter);

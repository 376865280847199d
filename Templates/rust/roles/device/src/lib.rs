//! @NAME@: devices from a list. Pods ask for them as an extended resource, `example.com/@NAME@: 1`, and get each at most
//! once. The book of allocations is on disk before a container hears of its devices.
//!
//! To make it yours, find devices in `activate` in place of taking them from the options, and tell `watchers` when one of
//! them comes, goes, or changes its health.

use std::os::raw::c_void;
use std::sync::Mutex;

mod bindings;
mod files;
mod json;
mod plugin;
mod watchers;

use bindings as abi;
use json::Json;
use plugin::{failure, invalid, lock, needed, slot, Host, Plugin, Result, Subscriber};
use watchers::Watchers;

const BOOK: &str = "allocations.json";

/// What the lock guards: slots are called from any thread.
#[derive(Default)]
struct Book {
    directory: String,
    resource: String,
    devices: Vec<String>,
    allocations: Vec<Json>, // As list_allocations shows them.
}

impl Book {
    fn listed(&self) -> Json {
        object! { "format" => 1, "allocations" => self.allocations.clone() }
    }

    /// Replaces the allocations and writes them down, or changes nothing.
    fn change(&mut self, allocations: Vec<Json>) -> Result<()> {
        let before = std::mem::replace(&mut self.allocations, allocations);
        let saved = files::write_file(&self.directory, BOOK, &self.listed());
        if saved.is_err() {
            self.allocations = before;
        }
        saved
    }

    fn is_free(&self, device: &String) -> bool {
        let ids = |allocation: &Json| allocation.get("deviceIDs").array().to_vec();
        !self.allocations.iter().flat_map(ids).any(|id| id.text() == Some(device))
    }

    fn devices(&self) -> Json {
        let devices: Vec<Json> = self.devices.iter().map(|id| object! { "id" => id, "healthy" => true }).collect();
        object! { "resources" => vec![object! { "name" => &self.resource, "devices" => devices }] }
    }
}

/// {deviceIDs, edits}: what the container gets to see of its devices, as CDI's containerEdits.
fn grant(allocation: &Json) -> Json {
    let ids: Vec<&str> = allocation.get("deviceIDs").array().iter().filter_map(|id| id.text()).collect();
    let nodes: Vec<Json> = ids.iter().filter(|id| id.starts_with("/dev/")).map(|id| object! { "path" => *id }).collect();
    let environment = vec![format!("DEVICES={}", ids.join(","))];
    object! { "deviceIDs" => ids, "edits" => object! { "env" => environment, "deviceNodes" => nodes } }
}

struct Devices {
    book: Mutex<Book>,
    watchers: Watchers,
}

impl Devices {
    fn status(&self, _request: &Json) -> Result<Json> {
        Ok(object! { "vendor" => "example.com", "version" => "1.0.0", "ready" => true, "reason" => "" })
    }

    fn list_devices(&self, _request: &Json) -> Result<Json> {
        Ok(lock(&self.book).devices())
    }

    fn list_allocations(&self, _request: &Json) -> Result<Json> {
        Ok(lock(&self.book).listed())
    }

    fn allocate(&self, request: &Json) -> Result<Json> {
        let (pod, container) = (needed(request, "podUID")?, needed(request, "container")?);
        let count = request.get("count").integer().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        if count == 0 {
            return Err(invalid("count must be a number from 1"));
        }
        let resource = needed(request, "resource")?;
        let mut book = lock(&self.book);
        if resource != book.resource {
            let message = format!("there is no resource {} here, only {}", resource, book.resource);
            return Err(failure(abi::ERROR_NOT_FOUND, message));
        }
        let same = |it: &&Json| it.get("podUID").text() == Some(pod) && it.get("container").text() == Some(container);
        if let Some(before) = book.allocations.iter().find(same) {
            return match before.get("deviceIDs").array().len() {
                has if has == count => Ok(grant(before)), // The same container gets the same again.
                has => Err(failure(abi::ERROR_CONFLICT, format!("the container has {} of {} already", has, resource))),
            };
        }
        let free: Vec<&String> = book.devices.iter().filter(|device| book.is_free(device)).collect();
        if free.len() < count {
            let message = format!("{} of {} are asked for, {} of {} are free", count, resource, free.len(), book.devices.len());
            return Err(failure(abi::ERROR_RESOURCE_EXHAUSTED, message));
        }
        let text = |member: &str| request.get(member).text().unwrap_or("").to_string();
        let made = object! {
            "podUID" => pod, "podNamespace" => text("podNamespace"), "podName" => text("podName"),
            "container" => container, "resource" => resource, "deviceIDs" => free[..count].to_vec(),
        };
        let mut allocations = book.allocations.clone();
        allocations.push(made.clone());
        book.change(allocations)?;
        Ok(grant(&made))
    }

    fn release(&self, request: &Json) -> Result<Json> {
        let pod = needed(request, "podUID")?;
        let mut book = lock(&self.book);
        let (freed, kept): (Vec<Json>, Vec<Json>) =
            book.allocations.iter().cloned().partition(|allocation| allocation.get("podUID").text() == Some(pod));
        if !freed.is_empty() {
            book.change(kept)?;
        }
        let ids: Vec<Json> = freed.iter().flat_map(|allocation| allocation.get("deviceIDs").array().to_vec()).collect();
        Ok(object! { "deviceIDs" => ids })
    }
}

// A subscriber is told of the devices at once; whoever finds a change calls `watchers.tell` with `devices()`.

unsafe extern "C" fn watch(
    this: *mut c_void,
    sink: Option<abi::Sink>,
    context: *mut c_void,
    handle: *mut u64,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &Devices| {
        let subscriber = Subscriber::new(sink, context)?;
        let devices = lock(&it.book).devices().to_string();
        *handle = it.watchers.add(subscriber, Some(devices.as_bytes()));
        Ok(())
    })
}

unsafe extern "C" fn watch_cancel(this: *mut c_void, handle: u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &Devices| {
        it.watchers.cancel(handle);
        Ok(())
    })
}

impl Plugin for Devices {
    const DESCRIPTION: &'static str = r#"{"name":"@NAME@","version":"1.0.0","description":"Devices from a list.",
        "provides":["hostd.device/1"]}"#;
    const SCHEMA: &'static str = r#"{"type":"object","properties":{
        "resource":{"type":"string","minLength":1,"default":"example.com/@NAME@","description":"What pods ask for."},
        "devices":{"type":"array","items":{"type":"string","minLength":1},"default":["first","second"],
        "description":"The ids of the devices; one that begins with /dev/ is given to its container as a node."}}}"#;
    const ROLE: &'static [u8] = abi::DEVICE_1;
    const SLOTS: &'static [u8] = abi::DEVICE_1_SLOTS;
    type Table = abi::Device;

    fn table(head: abi::Interface) -> abi::Device {
        abi::Device {
            interface: head,
            status: json_slot!(Devices, status),
            list_devices: json_slot!(Devices, list_devices),
            watch: Some(watch),
            watch_cancel: Some(watch_cancel),
            allocate: json_slot!(Devices, allocate),
            release: json_slot!(Devices, release),
            list_allocations: json_slot!(Devices, list_allocations),
        }
    }

    fn new(_host: Host) -> Devices {
        Devices { book: Mutex::new(Book::default()), watchers: Watchers::default() }
    }

    fn configure(&self, options: &Json, directory: &str) -> Result<()> {
        let mut book = lock(&self.book);
        book.directory = directory.to_string();
        book.resource = options.get("resource").text().unwrap_or("example.com/@NAME@").to_string();
        let ids = options.get("devices").array().iter().filter_map(|id| id.text()).map(String::from);
        book.devices = ids.collect();
        Ok(())
    }

    fn activate(&self) -> Result<()> {
        let mut book = lock(&self.book);
        let saved = files::read_file(&book.directory, BOOK)?.unwrap_or(Json::Null);
        book.allocations = saved.get("allocations").array().to_vec();
        Ok(())
    }

    fn deactivate(&self) -> Result<()> {
        self.watchers.end_all();
        lock(&self.book).allocations.clear(); // All of them are in the file.
        Ok(())
    }
}

plugin_entry!(Devices);

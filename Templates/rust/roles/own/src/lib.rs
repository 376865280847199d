//! @NAME@: provides a role of its own, @ROLE@, which role.h declares.

use std::collections::BTreeMap;
use std::os::raw::c_void;
use std::sync::Mutex;

mod bindings;
mod json;
mod plugin;

use bindings as abi;
use json::Json;
use plugin::{bytes, failure, invalid, lock, owned, slot, text, Host, Plugin, Result};

// role.h in Rust. Once plugins use the role, slots are only appended.

const ROLE: &[u8] = b"@ROLE@\0";
const ROLE_SLOTS: &[u8] = b"put:bbe;get:boe;count:We\0";

#[repr(C)]
struct RoleTable {
    interface: abi::Interface,
    put: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            name: *const u8,
            name_size: u64,
            value: *const u8,
            value_size: u64,
            error: *mut abi::Error,
        ) -> i32,
    >,
    get: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            name: *const u8,
            name_size: u64,
            value: *mut abi::Buffer,
            error: *mut abi::Error,
        ) -> i32,
    >,
    count: Option<abi::SlotW>,
}

struct Keeper {
    host: Host,
    limit: Mutex<usize>,
    values: Mutex<BTreeMap<String, Vec<u8>>>, // Slots are called from any thread.
}

unsafe extern "C" fn put(
    this: *mut c_void,
    name: *const u8,
    name_size: u64,
    value: *const u8,
    value_size: u64,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &Keeper| {
        let name = text(name, name_size, "the name")?;
        let limit = *lock(&it.limit);
        let mut values = lock(&it.values);
        if name.len() > 256 {
            return Err(invalid("a name is 1 to 256 bytes of text"));
        }
        if values.len() >= limit && !values.contains_key(name) {
            return Err(failure(abi::ERROR_RESOURCE_EXHAUSTED, format!("{} names are kept already", limit)));
        }
        values.insert(name.to_string(), bytes(value, value_size).to_vec()); // Borrowed: what is kept is copied.
        Ok(())
    })
}

unsafe extern "C" fn get(
    this: *mut c_void,
    name: *const u8,
    name_size: u64,
    value: *mut abi::Buffer,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &Keeper| {
        let name = text(name, name_size, "the name")?;
        let found = lock(&it.values).get(name).cloned();
        *value = owned(found.ok_or_else(|| failure(abi::ERROR_NOT_FOUND, "nothing is kept under that name"))?);
        Ok(())
    })
}

unsafe extern "C" fn count(this: *mut c_void, names: *mut u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &Keeper| {
        *names = lock(&it.values).len() as u64;
        Ok(())
    })
}

impl Plugin for Keeper {
    const DESCRIPTION: &'static str = r#"{"name":"@NAME@","version":"1.0.0","description":"Keeps values under names.",
        "provides":["@ROLE@"]}"#;
    const SCHEMA: &'static str = r#"{"type":"object","properties":{"limit":{"type":"integer","minimum":1,"maximum":1000000,
        "default":1000,"description":"The most names that are kept."}}}"#;
    const ROLE: &'static [u8] = ROLE;
    const SLOTS: &'static [u8] = ROLE_SLOTS;
    type Table = RoleTable;

    fn table(head: abi::Interface) -> RoleTable {
        RoleTable { interface: head, put: Some(put), get: Some(get), count: Some(count) }
    }

    fn new(host: Host) -> Keeper {
        Keeper { host, limit: Mutex::new(1000), values: Mutex::new(BTreeMap::new()) }
    }

    fn configure(&self, options: &Json, _directory: &str) -> Result<()> {
        let limit = options.get("limit").integer().and_then(|limit| usize::try_from(limit).ok());
        *lock(&self.limit) = limit.unwrap_or(1000);
        Ok(())
    }

    fn activate(&self) -> Result<()> {
        self.host.info(&format!("keeps up to {} names", lock(&self.limit)));
        Ok(())
    }

    fn deactivate(&self) -> Result<()> {
        lock(&self.values).clear();
        Ok(())
    }
}

plugin_entry!(Keeper);

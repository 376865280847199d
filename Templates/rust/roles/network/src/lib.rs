//! @NAME@: a network that keeps the book of addresses. Each sandbox gets one address of a range, for as long as it lives,
//! also across restarts.
//!
//! It makes no links. A network that does makes them in `attach`, where the address is known and the sandbox's namespace is
//! `networkNamespace` of the request, and takes them away in `detach`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Mutex;

mod bindings;
mod files;
mod json;
mod plugin;

use bindings as abi;
use json::Json;
use plugin::{failure, invalid, lock, needed, Host, Plugin, Result};

const BOOK: &str = "addresses.json";

#[derive(Clone, Copy)]
struct Range {
    first: u32,
    prefix: u32,
}

impl Range {
    fn parse(text: &str) -> Option<Range> {
        let (address, prefix) = text.split_once('/')?;
        let prefix: u32 = prefix.parse().ok().filter(|prefix| (8..=29).contains(prefix))?;
        let address: Ipv4Addr = address.parse().ok()?;
        Some(Range { first: u32::from(address) & (u32::MAX << (32 - prefix)), prefix })
    }

    fn size(&self) -> u32 {
        1 << (32 - self.prefix)
    }

    fn address(&self, offset: u32) -> String {
        Ipv4Addr::from(self.first + offset).to_string()
    }
}

/// What the lock guards: slots are called from any thread.
struct Book {
    directory: String,
    range: Range,
    attachments: BTreeMap<String, u32>, // sandbox → its address, as an offset into the range
}

impl Book {
    fn save(&self) -> Result<()> {
        let attachment = |(id, offset): (&String, &u32)| object! { "sandboxID" => id, "offset" => i64::from(*offset) };
        let attachments: Vec<Json> = self.attachments.iter().map(attachment).collect();
        files::write_file(&self.directory, BOOK, &object! { "format" => 1, "attachments" => attachments })
    }

    /// Changes the attachments and writes them down, or changes nothing.
    fn change<T>(&mut self, body: impl FnOnce(&mut BTreeMap<String, u32>) -> T) -> Result<()> {
        let before = self.attachments.clone();
        body(&mut self.attachments);
        let saved = self.save();
        if saved.is_err() {
            self.attachments = before;
        }
        saved
    }

    /// The lowest free offset; 0 is the network, 1 the gateway, the last one the broadcast address.
    fn free_offset(&self) -> Result<u32> {
        let taken: std::collections::BTreeSet<u32> = self.attachments.values().copied().collect();
        let found = (2..self.range.size() - 1).find(|offset| !taken.contains(offset));
        let message = format!("all {} addresses of the range are taken", self.range.size() - 3);
        found.ok_or_else(|| failure(abi::ERROR_RESOURCE_EXHAUSTED, message))
    }
}

struct AddressBook {
    book: Mutex<Book>,
}

impl AddressBook {
    fn status(&self, _request: &Json) -> Result<Json> {
        let book = lock(&self.book);
        let range = format!("{}/{}", book.range.address(0), book.range.prefix);
        Ok(object! {
            "name" => "@NAME@", "version" => "1.0.0", "ready" => true, "reason" => "", "podRange" => range,
            "nodeAddresses" => Vec::<Json>::new(), "bridge" => "", "routing" => "none", "features" => object! {},
        })
    }

    fn attach(&self, request: &Json) -> Result<Json> {
        let id = needed(request, "sandboxID")?;
        let mut book = lock(&self.book);
        let offset = match book.attachments.get(id) {
            Some(offset) => *offset,
            None => {
                let offset = book.free_offset()?;
                book.change(|attachments| attachments.insert(id.to_string(), offset))?;
                offset
            }
        };
        // A link to `networkNamespace` would be made here, unless it is there already.
        let interface = request.get("interfaceName").text().unwrap_or("eth0");
        let (range, gateway) = (book.range, book.range.address(1));
        let address = format!("{}/{}", range.address(offset), range.prefix);
        Ok(object! {
            "interfaces" => vec![object! { "name" => interface }],
            "ips" => vec![object! { "address" => address, "gateway" => &gateway }],
            "routes" => vec![object! { "dst" => "0.0.0.0/0", "gw" => &gateway }],
            "dns" => object! {},
        })
    }

    fn check(&self, request: &Json) -> Result<Json> {
        let id = needed(request, "sandboxID")?;
        if lock(&self.book).attachments.contains_key(id) {
            return Ok(object! {});
        }
        Err(failure(abi::ERROR_NOT_FOUND, format!("sandbox {} has no address: attach it", id)))
    }

    fn detach(&self, request: &Json) -> Result<Json> {
        let id = needed(request, "sandboxID")?;
        let mut book = lock(&self.book);
        if book.attachments.contains_key(id) {
            book.change(|attachments| attachments.remove(id))?; // What is gone already is success.
        }
        Ok(object! {})
    }

    fn collect_garbage(&self, request: &Json) -> Result<Json> {
        let valid = match request.get("validSandboxIDs") {
            Json::Array(ids) => ids,
            _ => return Err(invalid("the request needs a list \"validSandboxIDs\"")),
        };
        let is_valid = |id: &String| valid.iter().any(|valid| valid.text() == Some(id));
        let mut book = lock(&self.book);
        let removed: Vec<String> = book.attachments.keys().filter(|id| !is_valid(id)).cloned().collect();
        if !removed.is_empty() {
            book.change(|attachments| attachments.retain(|id, _| is_valid(id)))?;
        }
        Ok(object! { "removed" => removed })
    }
}

impl Plugin for AddressBook {
    const DESCRIPTION: &'static str = r#"{"name":"@NAME@","version":"1.0.0","description":"Gives pods addresses.",
        "provides":["hostd.network/1"]}"#;
    const SCHEMA: &'static str = r#"{"type":"object","properties":{"range":{"type":"string","default":"10.200.0.0/24",
        "pattern":"^[0-9.]+/[0-9]+$","description":"The IPv4 range of pods, /8 to /29; its first address is the gateway."}}}"#;
    const ROLE: &'static [u8] = abi::NETWORK_1;
    const SLOTS: &'static [u8] = abi::NETWORK_1_SLOTS;
    type Table = abi::Network;

    fn table(head: abi::Interface) -> abi::Network {
        abi::Network {
            interface: head,
            status: json_slot!(AddressBook, status),
            attach: json_slot!(AddressBook, attach),
            check: json_slot!(AddressBook, check),
            detach: json_slot!(AddressBook, detach),
            collect_garbage: json_slot!(AddressBook, collect_garbage),
            services_set: None, // The host answers NOT_SUPPORTED in their place.
            policies_set: None,
        }
    }

    fn new(_host: Host) -> AddressBook {
        let range = Range { first: 0, prefix: 24 };
        AddressBook { book: Mutex::new(Book { directory: String::new(), range, attachments: BTreeMap::new() }) }
    }

    fn configure(&self, options: &Json, directory: &str) -> Result<()> {
        let range = Range::parse(options.get("range").text().unwrap_or("10.200.0.0/24"))
            .ok_or_else(|| invalid("range must be an IPv4 range, /8 to /29, such as 10.200.0.0/24"))?;
        *lock(&self.book) = Book { directory: directory.to_string(), range, attachments: BTreeMap::new() };
        Ok(())
    }

    fn activate(&self) -> Result<()> {
        let mut book = lock(&self.book);
        let saved = files::read_file(&book.directory, BOOK)?.unwrap_or(Json::Null);
        let attachment = |entry: &Json| {
            let offset = u32::try_from(entry.get("offset").integer()?).ok()?;
            Some((entry.get("sandboxID").text()?.to_string(), offset))
        };
        book.attachments = saved.get("attachments").array().iter().filter_map(attachment).collect();
        Ok(())
    }

    fn deactivate(&self) -> Result<()> {
        lock(&self.book).attachments.clear(); // All of it is in the file.
        Ok(())
    }
}

plugin_entry!(AddressBook);

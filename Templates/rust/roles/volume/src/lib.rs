//! @NAME@: volumes in directories of this machine. A volume is a directory under the plugin's own, which `publish` binds at
//! the place where a pod looks for it. A capacity is a promise here, not a quota.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::raw::{c_char, c_int, c_ulong, c_void};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Mutex;

mod bindings;
mod files;
mod json;
mod plugin;

use bindings as abi;
use json::Json;
use plugin::{failure, invalid, lock, needed, system, Host, Plugin, Result};

const BOOK: &str = "volumes.json";

extern "C" {
    fn mount(source: *const c_char, target: *const c_char, kind: *const c_char, flags: c_ulong, data: *const c_void) -> c_int;
    fn umount2(target: *const c_char, flags: c_int) -> c_int;
}
const MS_RDONLY: c_ulong = 1;
const MS_REMOUNT: c_ulong = 32;
const MS_BIND: c_ulong = 4096;
const MNT_DETACH: c_int = 2;
const EINVAL: i32 = 22;

fn bind(source: Option<&str>, target: &str, flags: c_ulong) -> io::Result<()> {
    let source = source.map(CString::new).transpose()?;
    let target = CString::new(target)?;
    let from = source.as_ref().map_or(std::ptr::null(), |source| source.as_ptr());
    // SAFETY: the strings live across the call.
    match unsafe { mount(from, target.as_ptr(), std::ptr::null(), flags, std::ptr::null()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes away everything that is mounted at `target`.
fn unbind(target: &str) -> io::Result<()> {
    let path = CString::new(target)?;
    // SAFETY: the string lives across the calls.
    while unsafe { umount2(path.as_ptr(), MNT_DETACH) } == 0 {}
    let error = io::Error::last_os_error();
    let is_clear = error.raw_os_error() == Some(EINVAL) || error.kind() == io::ErrorKind::NotFound;
    if is_clear { Ok(()) } else { Err(error) }
}

fn is_same_directory(one: &str, other: &str) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}

/// What the lock guards. Every slot holds it: publishing twice at once must not bind twice.
#[derive(Default)]
struct Book {
    directory: String,
    volumes: BTreeMap<String, i64>, // volume id, which is its name → capacity
}

impl Book {
    fn path(&self, id: &str) -> String {
        format!("{}/volumes/{}", self.directory, id)
    }

    /// Changes the volumes and writes them down, or changes nothing.
    fn change<T>(&mut self, body: impl FnOnce(&mut BTreeMap<String, i64>) -> T) -> Result<()> {
        let before = self.volumes.clone();
        body(&mut self.volumes);
        let volume = |(id, capacity): (&String, &i64)| object! { "volumeID" => id, "capacityBytes" => *capacity };
        let volumes: Vec<Json> = self.volumes.iter().map(volume).collect();
        let saved = files::write_file(&self.directory, BOOK, &object! { "format" => 1, "volumes" => volumes });
        if saved.is_err() {
            self.volumes = before;
        }
        saved
    }

    fn known<'a>(&self, request: &'a Json) -> Result<&'a str> {
        let id = needed(request, "volumeID")?;
        if self.volumes.contains_key(id) {
            return Ok(id);
        }
        Err(failure(abi::ERROR_NOT_FOUND, format!("there is no volume {}", id)))
    }
}

/// Names become parts of paths, so they are no paths themselves.
fn is_plain_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.starts_with('.') && name.len() <= 200 && name.bytes().all(allowed)
}

fn target_of(request: &Json) -> Result<&str> {
    let target = needed(request, "targetPath")?;
    if target.starts_with('/') && target.len() < 4000 && !target.contains("/../") {
        return Ok(target);
    }
    Err(invalid("targetPath must be an absolute path"))
}

struct Directories {
    book: Mutex<Book>,
}

impl Directories {
    fn status(&self, _request: &Json) -> Result<Json> {
        Ok(object! {
            "driver" => "@NAME@.example.com", "version" => "1.0.0", "ready" => true, "reason" => "",
            "capabilities" => vec!["create", "expand"],
        })
    }

    fn create_volume(&self, request: &Json) -> Result<Json> {
        let name = needed(request, "name")?;
        let mut capacity = request.get("capacityBytes").integer().unwrap_or(0);
        if !is_plain_name(name) || capacity < 0 {
            return Err(invalid("a name has letters, digits, '-', '_' and '.', and a capacity is not negative"));
        }
        if request.get("source") != &Json::Null {
            let message = "volumes cannot be made from a snapshot or from another volume";
            return Err(failure(abi::ERROR_NOT_SUPPORTED, message));
        }
        let mut book = lock(&self.book);
        match book.volumes.get(name) {
            Some(before) if *before < capacity => {
                let message = format!("volume {} exists with {} bytes", name, before);
                return Err(failure(abi::ERROR_ALREADY_EXISTS, message));
            }
            Some(before) => capacity = *before, // The same request again.
            None => {
                let path = book.path(name);
                let open_to_all = fs::Permissions::from_mode(0o777); // Pods of any user write into it.
                fs::create_dir_all(&path)
                    .and_then(|()| fs::set_permissions(&path, open_to_all))
                    .map_err(|error| system("make", &path, error))?;
                book.change(|volumes| volumes.insert(name.to_string(), capacity))?;
            }
        }
        Ok(object! { "volume" => object! { "volumeID" => name, "capacityBytes" => capacity, "context" => object! {} } })
    }

    fn delete_volume(&self, request: &Json) -> Result<Json> {
        let id = needed(request, "volumeID")?;
        let mut book = lock(&self.book);
        if book.volumes.contains_key(id) {
            let path = book.path(id);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(system("remove", &path, error)),
                _ => book.change(|volumes| volumes.remove(id))?,
            }
        }
        Ok(object! {}) // What is gone is success.
    }

    fn validate(&self, request: &Json) -> Result<Json> {
        lock(&self.book).known(request)?;
        let blocks = request.get("volumeMode").text() == Some("Block");
        let message = if blocks { "volumes are directories here" } else { "" };
        Ok(object! { "confirmed" => !blocks, "message" => message })
    }

    fn publish(&self, request: &Json) -> Result<Json> {
        let book = lock(&self.book);
        let source = book.path(book.known(request)?);
        let target = target_of(request)?;
        fs::create_dir_all(target).map_err(|error| system("make", target, error))?;
        if !is_same_directory(&source, target) {
            bind(Some(&source), target, MS_BIND).map_err(|error| system("bind the volume at", target, error))?;
        }
        let access = if request.get("readOnly").bool() == Some(true) { MS_RDONLY } else { 0 };
        bind(None, target, MS_BIND | MS_REMOUNT | access).map_err(|error| system("set the access of", target, error))?;
        Ok(object! {})
    }

    fn unpublish(&self, request: &Json) -> Result<Json> {
        let target = target_of(request)?;
        let _book = lock(&self.book);
        unbind(target).map_err(|error| system("unmount", target, error))?;
        match fs::remove_dir(target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(system("remove", target, error)),
            _ => Ok(object! {}),
        }
    }

    fn expand(&self, request: &Json) -> Result<Json> {
        let mut book = lock(&self.book);
        let id = book.known(request)?;
        let wanted = request.get("capacityBytes").integer().filter(|wanted| *wanted > 0);
        let wanted = wanted.ok_or_else(|| invalid("capacityBytes must be a positive number"))?;
        let capacity = wanted.max(book.volumes[id]);
        book.change(|volumes| volumes.insert(id.to_string(), capacity))?;
        Ok(object! { "capacityBytes" => capacity, "nodeExpansionRequired" => false })
    }
}

impl Plugin for Directories {
    const DESCRIPTION: &'static str = r#"{"name":"@NAME@","version":"1.0.0","description":"Volumes in directories.",
        "provides":["hostd.volume/1"]}"#;
    const SCHEMA: &'static str = ""; // No options.
    const ROLE: &'static [u8] = abi::VOLUME_1;
    const SLOTS: &'static [u8] = abi::VOLUME_1_SLOTS;
    type Table = abi::Volume;

    /// Slots that are None answer NOT_SUPPORTED: attaching to nodes, staging, statistics, snapshots, free space.
    fn table(head: abi::Interface) -> abi::Volume {
        abi::Volume {
            interface: head,
            status: json_slot!(Directories, status),
            create_volume: json_slot!(Directories, create_volume),
            delete_volume: json_slot!(Directories, delete_volume),
            validate: json_slot!(Directories, validate),
            controller_publish: None,
            controller_unpublish: None,
            stage: None,
            unstage: None,
            publish: json_slot!(Directories, publish),
            unpublish: json_slot!(Directories, unpublish),
            expand: json_slot!(Directories, expand),
            volume_stats: None,
            create_snapshot: None,
            delete_snapshot: None,
            capacity: None,
        }
    }

    fn new(_host: Host) -> Directories {
        Directories { book: Mutex::new(Book::default()) }
    }

    fn configure(&self, _options: &Json, directory: &str) -> Result<()> {
        lock(&self.book).directory = directory.to_string();
        Ok(())
    }

    fn activate(&self) -> Result<()> {
        let mut book = lock(&self.book);
        let saved = files::read_file(&book.directory, BOOK)?.unwrap_or(Json::Null);
        let volume = |it: &Json| Some((it.get("volumeID").text()?.to_string(), it.get("capacityBytes").integer()?));
        book.volumes = saved.get("volumes").array().iter().filter_map(volume).collect();
        Ok(())
    }

    fn deactivate(&self) -> Result<()> {
        lock(&self.book).volumes.clear(); // All of it is in the file.
        Ok(())
    }
}

plugin_entry!(Directories);

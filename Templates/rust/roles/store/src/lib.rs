//! @NAME@: the state of hostd in memory, with a log file that each write reaches before it is acknowledged. What the slots
//! promise is in hostd/roles/store.h. state.rs has the data, watch.rs the thread, log.rs the file.

use std::fs::File;
use std::io::Write;
use std::os::raw::c_void;
use std::os::unix::io::FromRawFd;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

mod bindings;
mod json;
mod log;
mod plugin;
mod record;
mod selector;
mod state;
mod watch;

use bindings as abi;
use json::Json;
use plugin::{bytes, complete, failure, invalid, lock, owned, slot, system, Host, Plugin, Result, Subscriber};
use record::{check_prefix, Operation};
use selector::Selector;
use state::State;
use watch::{Store, Watch};

struct LogStore {
    host: Host,
    directory: Mutex<String>,
    store: Arc<Store>,
    teller: Mutex<Option<JoinHandle<()>>>,
}

impl LogStore {
    fn write(&self, operation: Operation) -> Result<u64> {
        let revision = lock(&self.store.shared).state.commit(&[operation]).map_err(|refusal| refusal.failure)?;
        self.store.news.notify_all();
        Ok(revision)
    }
}

impl Plugin for LogStore {
    const DESCRIPTION: &'static str = r#"{"name":"@NAME@","version":"1.0.0","description":"State in memory, with a log file.",
        "provides":["hostd.store/1"]}"#;
    const SCHEMA: &'static str = ""; // No options.
    const ROLE: &'static [u8] = abi::STORE_1;
    const SLOTS: &'static [u8] = abi::STORE_1_SLOTS;
    type Table = abi::Store;

    fn table(head: abi::Interface) -> abi::Store {
        abi::Store {
            interface: head,
            get: Some(get),
            list: Some(list),
            create: Some(create),
            update: Some(update),
            remove: Some(remove),
            transaction: Some(transaction),
            watch: Some(watch_slot),
            watch_cancel: Some(watch_cancel),
            lease_grant: Some(lease_grant),
            lease_keep_alive: Some(lease_keep_alive),
            lease_revoke: Some(lease_revoke),
            compact: Some(compact),
            status: Some(status),
            backup: Some(backup),
            // It does not know who wrote when: hostd is told NOT_SUPPORTED, and goes without.
            transaction_by: None,
            history: None,
            revision_at: None,
            // Its sinks run on a thread of their own, whatever they promise.
            watch_promptly: None,
        }
    }

    fn new(host: Host) -> LogStore {
        let directory = Mutex::new(String::new());
        LogStore { host, directory, store: Arc::new(Store::default()), teller: Mutex::new(None) }
    }

    fn configure(&self, _options: &Json, directory: &str) -> Result<()> {
        *lock(&self.directory) = directory.to_string();
        Ok(())
    }

    fn activate(&self) -> Result<()> {
        let state = State::open(&lock(&self.directory))?;
        self.host.info(&format!("{} keys at revision {}", state.size().0, state.revision));
        let mut shared = lock(&self.store.shared);
        shared.state = state;
        shared.is_stopping = false;
        let store = self.store.clone();
        let thread = thread::Builder::new().spawn(move || store.tell());
        *lock(&self.teller) = Some(thread.map_err(|error| system("start", "a thread", error))?);
        Ok(())
    }

    fn deactivate(&self) -> Result<()> {
        lock(&self.store.shared).is_stopping = true;
        self.store.news.notify_all();
        let joined = lock(&self.teller).take().map(JoinHandle::join);
        let mut shared = lock(&self.store.shared);
        let watches = std::mem::take(&mut shared.watches);
        shared.state = State::default(); // All of it is in the file.
        drop(shared);
        watches.into_values().filter_map(|watch| watch.subscriber).for_each(Subscriber::end);
        match joined {
            Some(Err(_)) => Err(failure(abi::ERROR_INTERNAL, "the thread that tells watches panicked")),
            _ => Ok(()),
        }
    }
}

plugin_entry!(LogStore);

unsafe extern "C" fn get(
    this: *mut c_void,
    key: *const u8,
    key_size: u64,
    revision: u64,
    record: *mut abi::Buffer,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &LogStore| {
        let found = lock(&it.store.shared).state.get(bytes(key, key_size), revision)?;
        let mut out = Vec::new();
        found.encode(0, &mut out);
        *record = owned(out);
        Ok(())
    })
}

unsafe extern "C" fn list(
    this: *mut c_void,
    prefix: *const u8,
    prefix_size: u64,
    selector: *const u8,
    selector_size: u64,
    revision: u64,
    limit: u64,
    after: *const u8,
    after_size: u64,
    page: *mut abi::Buffer,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &LogStore| {
        let (prefix, after) = (bytes(prefix, prefix_size), bytes(after, after_size));
        check_prefix(prefix)?;
        let selector = Selector::parse(bytes(selector, selector_size))?;
        *page = owned(lock(&it.store.shared).state.list(prefix, &selector, revision, limit, after)?);
        Ok(())
    })
}

unsafe extern "C" fn create(
    this: *mut c_void,
    key: *const u8,
    key_size: u64,
    value: *const u8,
    value_size: u64,
    index: *const u8,
    index_size: u64,
    lease: u64,
    revision: *mut u64,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &LogStore| {
        let (value, index) = (bytes(value, value_size).to_vec(), bytes(index, index_size).to_vec());
        let step = Operation::new(abi::STORE_CREATE, bytes(key, key_size));
        *revision = it.write(Operation { lease, value, index, ..step })?;
        Ok(())
    })
}

unsafe extern "C" fn update(
    this: *mut c_void,
    key: *const u8,
    key_size: u64,
    value: *const u8,
    value_size: u64,
    index: *const u8,
    index_size: u64,
    lease: u64,
    expected: u64,
    revision: *mut u64,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &LogStore| {
        let (value, index) = (bytes(value, value_size).to_vec(), bytes(index, index_size).to_vec());
        let step = Operation::new(abi::STORE_UPDATE, bytes(key, key_size));
        *revision = it.write(Operation { lease, value, index, expected, ..step })?;
        Ok(())
    })
}

unsafe extern "C" fn remove(
    this: *mut c_void,
    key: *const u8,
    key_size: u64,
    expected: u64,
    revision: *mut u64,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &LogStore| {
        let step = Operation::new(abi::STORE_DELETE, bytes(key, key_size));
        *revision = it.write(Operation { expected, ..step })?;
        Ok(())
    })
}

unsafe extern "C" fn transaction(
    this: *mut c_void,
    operations: *const u8,
    size: u64,
    completion: Option<abi::Completion>,
    context: *mut c_void,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &LogStore| {
        let completion = completion.ok_or_else(|| invalid("a transaction needs a completion"))?;
        let operations = Operation::decode_all(bytes(operations, size))?;
        let outcome = lock(&it.store.shared).state.commit(&operations);
        it.store.news.notify_all();
        let (step, revision, result) = match outcome {
            Ok(revision) => (u32::MAX, revision, Ok(())),
            Err(refusal) => (refusal.step, refusal.revision, Err(refusal.failure)),
        };
        let mut commit = 16u32.to_le_bytes().to_vec(); // hostd_store_commit
        commit.extend(step.to_le_bytes());
        commit.extend(revision.to_le_bytes());
        complete(completion, context, result, &commit); // It is on disk already.
        Ok(())
    })
}

unsafe extern "C" fn watch_slot(
    this: *mut c_void,
    prefix: *const u8,
    prefix_size: u64,
    selector: *const u8,
    selector_size: u64,
    from: u64,
    sink: Option<abi::Sink>,
    context: *mut c_void,
    handle: *mut u64,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &LogStore| {
        let prefix = bytes(prefix, prefix_size).to_vec();
        check_prefix(&prefix)?;
        let selector = Selector::parse(bytes(selector, selector_size))?;
        let subscriber = Some(Subscriber::new(sink, context)?);
        let mut shared = lock(&it.store.shared);
        if from != 0 && from < shared.state.compacted {
            return Err(failure(abi::ERROR_COMPACTED, format!("revision {} is no longer kept", from)));
        }
        let delivered = if from == 0 { shared.state.revision } else { from };
        shared.last_watch += 1;
        *handle = shared.last_watch;
        let made = Watch { prefix, selector, delivered, told: None, subscriber, is_cancelled: false };
        let key = shared.last_watch;
        shared.watches.insert(key, made);
        it.store.news.notify_all();
        Ok(())
    })
}

unsafe extern "C" fn watch_cancel(this: *mut c_void, handle: u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &LogStore| {
        it.store.cancel(handle);
        Ok(())
    })
}

unsafe extern "C" fn lease_grant(this: *mut c_void, milliseconds: u64, lease: *mut u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &LogStore| {
        *lease = lock(&it.store.shared).state.grant(milliseconds)?;
        it.store.news.notify_all(); // The thread waits for the end of the first lease.
        Ok(())
    })
}

unsafe extern "C" fn lease_keep_alive(this: *mut c_void, lease: u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &LogStore| lock(&it.store.shared).state.keep_alive(lease))
}

unsafe extern "C" fn lease_revoke(this: *mut c_void, lease: u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &LogStore| {
        lock(&it.store.shared).state.revoke(lease)?;
        it.store.news.notify_all();
        Ok(())
    })
}

unsafe extern "C" fn compact(this: *mut c_void, revision: u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &LogStore| lock(&it.store.shared).state.compact(revision))
}

unsafe extern "C" fn status(this: *mut c_void, json: *mut abi::Buffer, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &LogStore| {
        let shared = lock(&it.store.shared);
        let (keys, size) = shared.state.size();
        let answer = object! {
            "revision" => shared.state.revision, "compactedRevision" => shared.state.compacted, "keys" => keys,
            "bytes" => size, "engine" => "@NAME@", "healthy" => true, "reason" => "",
        };
        *json = owned(answer.to_string());
        Ok(())
    })
}

unsafe extern "C" fn backup(this: *mut c_void, file: i32, json: *mut abi::Buffer, error: *mut abi::Error) -> i32 {
    // The descriptor is ours from the moment of the call, and closed when `file` is dropped.
    let file = if file >= 0 { Some(File::from_raw_fd(file)) } else { None };
    slot(this, error, |it: &LogStore| {
        let mut file = file.ok_or_else(|| invalid("a backup needs a file"))?;
        let (snapshot, revision) = {
            let shared = lock(&it.store.shared);
            (shared.state.snapshot(), shared.state.revision)
        };
        file.write_all(&snapshot).map_err(|error| system("write", "the backup", error))?;
        *json = owned(object! { "revision" => revision, "bytes" => snapshot.len() }.to_string());
        Ok(())
    })
}

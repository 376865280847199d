//! @NAME@: runs containers as plain processes of this machine, with pipes to log files, exit codes, exec and signals.
//! Nothing is isolated, and an image is no more than its name: a container needs a `command`. What the slots promise is in
//! hostd/roles/runtime.h. process.rs starts processes, container.rs follows them.
//!
//! Pipes end with hostd, so containers do as well: `deactivate` kills them. A runtime that lets them live on gives their
//! streams to a process that survives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::raw::c_void;
use std::os::unix::io::{AsRawFd, FromRawFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

mod bindings;
mod container;
mod json;
mod plugin;
mod process;
mod watchers;

use bindings as abi;
use container::{object_or_empty, Container, Output, State};
use json::Json;
use plugin::{bytes, complete, failure, invalid, lock, monotonic_nanoseconds, needed, parse_request, slot};
use plugin::{Host, Plugin, Result, Subscriber};
use watchers::Watchers;

const EXEC_OUTPUT_LIMIT: usize = 16 << 20;

struct Sandbox {
    config: Json,
    is_ready: bool,
    created: u64,
}

#[derive(Default)]
struct Table {
    sandboxes: BTreeMap<String, Sandbox>,
    containers: BTreeMap<String, Container>,
    images: BTreeSet<String>,
    operations: BTreeMap<u64, u32>, // Running execs: handle → process
    last_handle: u64,
    threads: Vec<JoinHandle<()>>,
    is_stopping: bool,
}

/// What the threads of containers share with the slots.
struct Shared {
    host: Host,
    table: Mutex<Table>,
    ended: Condvar, // A container has.
    watchers: Watchers,
    /// Held around a change and word of it, so that word comes in the order of changes. Taken before `table`.
    order: Mutex<()>,
}

impl Shared {
    fn tell(&self, kind: &str, container: &Json) {
        let message = object! {
            "type" => kind, "containerID" => container.get("id"), "sandboxID" => container.get("sandboxID"),
            "container" => container,
        };
        self.watchers.tell(message.to_string().as_bytes());
    }

    /// The body of a container's thread.
    fn follow(&self, id: &str, process: u32, output: Output) {
        container::follow(output, process, |entry| {
            let mut table = lock(&self.table);
            let written = table.containers.get_mut(id).map_or(Ok(()), |it| it.write_line(entry));
            drop(table);
            if let Err(error) = written {
                self.host.log(abi::LOG_WARNING, &format!("the log of {} cannot be written: {}", id, error));
            }
        });
        process::kill_group(process, process::SIGKILL); // What it has left behind.
        process::await_end(process);
        let _order = lock(&self.order);
        let mut table = lock(&self.table);
        // Until it is reaped, its number is its own: so that is done under the lock under which others kill.
        let ended = table.containers.get_mut(id).map(|it| {
            it.finish();
            it.json()
        });
        drop(table);
        self.ended.notify_all();
        if let Some(container) = ended {
            self.tell("exited", &container);
        }
    }

    /// Signals a container, and waits for its end; after `patience` it is killed.
    fn end(&self, id: &str, signal: i32, patience: Duration) {
        let mut table = lock(&self.table);
        let give_up = Instant::now() + patience;
        let mut signal = Some(signal);
        while let Some(process) = table.containers.get(id).and_then(Container::process) {
            if let Some(signal) = signal.take() {
                process::kill_group(process, signal);
            }
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                process::kill_group(process, process::SIGKILL);
                table = self.ended.wait(table).unwrap_or_else(|poisoned| poisoned.into_inner());
            } else {
                let waited = self.ended.wait_timeout(table, left);
                table = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
            }
        }
    }

    fn remove(&self, id: &str) {
        self.end(id, process::SIGKILL, Duration::ZERO);
        let _order = lock(&self.order);
        let removed = lock(&self.table).containers.remove(id);
        if let Some(container) = removed {
            self.tell("removed", &container.json());
        }
    }
}

impl Table {
    /// Starts a thread; those that have ended are let go of.
    fn start_thread(&mut self, body: impl FnOnce() + Send + 'static) -> Result<()> {
        if self.is_stopping {
            return Err(failure(abi::ERROR_UNAVAILABLE, "@NAME@ is stopping"));
        }
        self.threads.retain(|thread| !thread.is_finished());
        let thread = thread::Builder::new().spawn(body);
        self.threads.push(thread.map_err(|error| plugin::system("start", "a thread", error))?);
        Ok(())
    }

    fn running(&self, id: &str) -> Result<&Container> {
        let found = self.containers.get(id);
        let found = found.ok_or_else(|| failure(abi::ERROR_NOT_FOUND, format!("there is no container {}", id)))?;
        if found.state != State::Running {
            return Err(failure(abi::ERROR_WRONG_STATE, format!("container {} does not run", id)));
        }
        Ok(found)
    }

    /// What an exec runs: the command in the environment of its container.
    fn exec_command(&self, request: &Json) -> Result<Command> {
        let container = self.running(id_of(request))?;
        process::command(&process::texts(request.get("command")), container.config.get("environment"), None)
    }

    fn containers_of(&self, sandbox: &str) -> Vec<String> {
        self.containers.values().filter(|it| it.sandbox_id == sandbox).map(|it| it.id.clone()).collect()
    }
}

fn id_of(request: &Json) -> &str {
    request.get("id").text().unwrap_or("")
}

fn random_id() -> Result<String> {
    let mut bytes = [0u8; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| plugin::system("read", "/dev/urandom", error))?;
    Ok(bytes.iter().map(|byte| format!("{:02x}", byte)).collect())
}

fn sandbox_json(id: &str, sandbox: &Sandbox) -> Json {
    let text = |member: &str| sandbox.config.get(member).text().unwrap_or("").to_string();
    object! {
        "id" => id, "podUID" => text("podUID"), "name" => text("name"), "namespace" => text("namespace"),
        "attempt" => sandbox.config.get("attempt").integer().unwrap_or(0),
        "state" => if sandbox.is_ready { "ready" } else { "notReady" },
        "createdAt" => process::time_text(sandbox.created), "networkNamespace" => "",
        "labels" => object_or_empty(&sandbox.config, "labels"),
        "annotations" => object_or_empty(&sandbox.config, "annotations"),
    }
}

fn image_json(reference: &str) -> Json {
    object! {
        "id" => reference, "repoTags" => vec![reference], "repoDigests" => Vec::<Json>::new(), "size" => 0,
        "pinned" => false,
    }
}

fn stop_signal(name: &str) -> i32 {
    let known = [("HUP", 1), ("INT", 2), ("QUIT", 3), ("KILL", 9), ("USR1", 10), ("USR2", 12)];
    let name = name.strip_prefix("SIG").unwrap_or(name);
    known.iter().find(|(it, _)| *it == name).map_or(process::SIGTERM, |(_, signal)| *signal)
}

struct Processes {
    shared: Arc<Shared>,
}

impl Processes {
    fn status(&self, _request: &Json) -> Result<Json> {
        Ok(object! {
            "name" => "@NAME@", "version" => "1.0.0", "ready" => true, "reason" => "", "cgroup" => "v2",
            "cgroupParent" => "", "snapshotter" => "none", "features" => object! {},
        })
    }

    fn run_sandbox(&self, request: &Json) -> Result<Json> {
        let config = request.get("config");
        needed(config, "podUID")?;
        let id = random_id()?;
        let sandbox = Sandbox { config: config.clone(), is_ready: true, created: process::wall_clock() };
        let answer = object! { "sandbox" => sandbox_json(&id, &sandbox) };
        lock(&self.shared.table).sandboxes.insert(id, sandbox);
        Ok(answer)
    }

    fn list_sandboxes(&self, request: &Json) -> Result<Json> {
        let (id, pod) = (request.get("id").text(), request.get("podUID").text());
        let table = lock(&self.shared.table);
        let matches = |(its_id, it): &(&String, &Sandbox)| {
            id.map_or(true, |id| id == its_id.as_str()) && pod.map_or(true, |pod| it.config.get("podUID").text() == Some(pod))
        };
        let found: Vec<Json> = table.sandboxes.iter().filter(matches).map(|(id, it)| sandbox_json(id, it)).collect();
        Ok(object! { "sandboxes" => found })
    }

    /// What is gone already is success, here and below.
    fn stop_sandbox(&self, request: &Json) -> Result<Json> {
        let id = id_of(request);
        let containers = {
            let mut table = lock(&self.shared.table);
            if let Some(sandbox) = table.sandboxes.get_mut(id) {
                sandbox.is_ready = false;
            }
            table.containers_of(id)
        };
        containers.iter().for_each(|id| self.shared.end(id, process::SIGKILL, Duration::ZERO));
        Ok(object! {})
    }

    fn remove_sandbox(&self, request: &Json) -> Result<Json> {
        self.stop_sandbox(request)?;
        let containers = lock(&self.shared.table).containers_of(id_of(request));
        containers.iter().for_each(|id| self.shared.remove(id));
        lock(&self.shared.table).sandboxes.remove(id_of(request));
        Ok(object! {})
    }

    fn create_container(&self, request: &Json) -> Result<Json> {
        let (sandbox_id, config) = (needed(request, "sandboxID")?, request.get("config"));
        needed(config, "name")?;
        let image = needed(config, "image")?;
        let id = random_id()?;
        let _order = lock(&self.shared.order);
        let mut table = lock(&self.shared.table);
        let sandbox = table.sandboxes.get(sandbox_id).filter(|sandbox| sandbox.is_ready);
        let sandbox = sandbox
            .ok_or_else(|| failure(abi::ERROR_NOT_FOUND, format!("there is no ready sandbox {}", sandbox_id)))?;
        if !table.images.contains(image) {
            return Err(failure(abi::ERROR_NOT_FOUND, format!("there is no image {}: pull it first", image)));
        }
        let folder = sandbox.config.get("logDirectory").text().unwrap_or("");
        let log_path = config.get("logPath").text().filter(|path| !path.is_empty());
        let container = Container {
            id: id.clone(),
            sandbox_id: sandbox_id.to_string(),
            config: config.clone(),
            log_path: log_path.map(|path| format!("{}/{}", folder, path)),
            log: None,
            state: State::Created,
            child: None,
            exit_code: 0,
            created: process::wall_clock(),
            started: 0,
            finished: 0,
        };
        let json = container.json();
        table.containers.insert(id.clone(), container);
        drop(table);
        self.shared.tell("created", &json);
        Ok(object! { "id" => id })
    }

    fn start_container(&self, request: &Json) -> Result<Json> {
        let id = needed(request, "id")?.to_string();
        let _order = lock(&self.shared.order);
        let mut table = lock(&self.shared.table);
        if table.is_stopping {
            return Err(failure(abi::ERROR_UNAVAILABLE, "@NAME@ is stopping"));
        }
        let missing = || failure(abi::ERROR_NOT_FOUND, format!("there is no container {}", id));
        let container = table.containers.get_mut(&id).ok_or_else(missing)?;
        let output = container.start()?;
        let (process, json) = (container.process().unwrap_or(0), container.json());
        let shared = self.shared.clone();
        let followed = id.clone();
        if let Err(failure) = table.start_thread(move || shared.follow(&followed, process, output)) {
            process::kill_group(process, process::SIGKILL);
            table.containers.get_mut(&id).map(Container::finish);
            return Err(failure);
        }
        drop(table);
        self.shared.tell("started", &json);
        Ok(object! { "container" => json })
    }

    fn stop_container(&self, request: &Json) -> Result<Json> {
        let id = id_of(request);
        let seconds = request.get("timeoutSeconds").integer().unwrap_or(10).clamp(0, 86_400);
        let signal = {
            let table = lock(&self.shared.table);
            let name = table.containers.get(id).and_then(|it| it.config.get("stopSignal").text());
            stop_signal(name.unwrap_or("TERM"))
        };
        self.shared.end(id, signal, Duration::from_secs(seconds as u64));
        Ok(object! {})
    }

    fn remove_container(&self, request: &Json) -> Result<Json> {
        self.shared.remove(id_of(request));
        Ok(object! {})
    }

    fn list_containers(&self, request: &Json) -> Result<Json> {
        let (id, sandbox) = (request.get("id").text(), request.get("sandboxID").text());
        let table = lock(&self.shared.table);
        let matches = |it: &&Container| {
            id.map_or(true, |id| id == it.id) && sandbox.map_or(true, |sandbox| sandbox == it.sandbox_id)
        };
        let found: Vec<Json> = table.containers.values().filter(matches).map(Container::json).collect();
        Ok(object! { "containers" => found })
    }

    fn reopen_log(&self, request: &Json) -> Result<Json> {
        let mut table = lock(&self.shared.table);
        let id = table.running(id_of(request))?.id.clone();
        match table.containers.get_mut(&id) {
            Some(container) => container.open_log().map(|()| object! {}),
            None => Ok(object! {}),
        }
    }

    fn exec_sync(&self, request: &Json) -> Result<Json> {
        let mut command = lock(&self.shared.table).exec_command(request)?;
        let seconds = request.get("timeoutSeconds").integer().unwrap_or(0).clamp(0, 86_400) as u64;
        let deadline = if seconds > 0 { monotonic_nanoseconds() + seconds * 1_000_000_000 } else { 0 };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process::start(&mut command)?;
        let output = read_output(&mut child, deadline);
        if output.is_none() {
            process::kill_group(child.id(), process::SIGKILL);
        }
        let code = process::exit_code(child.wait());
        let output = output.ok_or_else(|| failure(abi::ERROR_DEADLINE_EXCEEDED, "the command did not end in time"))?;
        let [standard, error] = output;
        Ok(object! { "exitCode" => code, "stdout" => process::base64(&standard), "stderr" => process::base64(&error) })
    }

    fn list_images(&self, _request: &Json) -> Result<Json> {
        let images: Vec<Json> = lock(&self.shared.table).images.iter().map(|image| image_json(image)).collect();
        Ok(object! { "images" => images })
    }

    fn image_status(&self, request: &Json) -> Result<Json> {
        let image = request.get("image").text().unwrap_or("");
        let is_known = lock(&self.shared.table).images.contains(image);
        Ok(object! { "image" => if is_known { image_json(image) } else { Json::Null } })
    }

    fn remove_image(&self, request: &Json) -> Result<Json> {
        let image = request.get("image").text().unwrap_or("");
        let mut table = lock(&self.shared.table);
        if let Some(user) = table.containers.values().find(|it| it.config.get("image").text() == Some(image)) {
            return Err(failure(abi::ERROR_CONFLICT, format!("container {} uses the image {}", user.id, image)));
        }
        table.images.remove(image);
        Ok(object! {})
    }

    fn exec(&self, request: &Json, streams: [Option<File>; 3], done: Done) -> Result<u64> {
        if request.get("tty").bool() == Some(true) {
            return Err(failure(abi::ERROR_NOT_SUPPORTED, "@NAME@ has no terminals"));
        }
        let mut table = lock(&self.shared.table);
        let mut command = table.exec_command(request)?;
        let [input, output, error] = streams.map(|stream| stream.map_or_else(Stdio::null, Stdio::from));
        command.stdin(input).stdout(output).stderr(error);
        let mut child = process::start(&mut command)?;
        drop(command); // With its copies of the streams: the other side waits for their end.
        let process = child.id();
        table.last_handle += 1;
        let handle = table.last_handle;
        let shared = self.shared.clone();
        let body = move || {
            process::await_end(process);
            let mut table = lock(&shared.table);
            table.operations.remove(&handle); // From here on nobody kills it.
            let code = process::exit_code(child.wait());
            drop(table);
            done.complete(&object! { "exitCode" => code });
        };
        let started = table.start_thread(body);
        if started.is_err() {
            process::kill_group(process, process::SIGKILL);
        }
        started?;
        table.operations.insert(handle, process);
        Ok(handle)
    }
}

/// Both streams to their ends; None when the deadline has passed first.
fn read_output(child: &mut Child, deadline: u64) -> Option<[Vec<u8>; 2]> {
    let (mut standard, mut error) = (child.stdout.take()?, child.stderr.take()?);
    let mut waited = [process::poll_entry(standard.as_raw_fd()), process::poll_entry(error.as_raw_fd())];
    let mut output = [Vec::new(), Vec::new()];
    let mut block = [0; 16_384];
    while waited.iter().any(|entry| entry.file >= 0) {
        if !process::poll_files(&mut waited, process::milliseconds_until(deadline)) {
            return None;
        }
        for index in 0..2 {
            if waited[index].file < 0 || waited[index].found == 0 {
                continue;
            }
            match if index == 0 { standard.read(&mut block) } else { error.read(&mut block) } {
                Ok(0) => waited[index].file = -1,
                Ok(count) if output[index].len() < EXEC_OUTPUT_LIMIT => output[index].extend_from_slice(&block[..count]),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => waited[index].file = -1,
            }
        }
    }
    Some(output)
}

/// The completion of an operation.
struct Done {
    completion: abi::Completion,
    context: *mut c_void,
}
// SAFETY: the ABI lets any thread complete an operation; the context is the caller's.
unsafe impl Send for Done {}

impl Done {
    fn complete(self, answer: &Json) {
        // SAFETY: called once, as it takes itself.
        unsafe { complete(self.completion, self.context, Ok(()), answer.to_string().as_bytes()) }
    }
}

/// A descriptor that is ours from the moment of the call.
unsafe fn taken(file: i32) -> Option<File> {
    if file >= 0 {
        Some(File::from_raw_fd(file))
    } else {
        None
    }
}

unsafe extern "C" fn exec(
    this: *mut c_void,
    request: *const u8,
    size: u64,
    input: i32,
    output: i32,
    errors: i32,
    completion: Option<abi::Completion>,
    context: *mut c_void,
    operation: *mut u64,
    error: *mut abi::Error,
) -> i32 {
    let streams = [taken(input), taken(output), taken(errors)];
    slot(this, error, |it: &Processes| {
        let completion = completion.ok_or_else(|| invalid("an exec needs a completion"))?;
        let request = parse_request(bytes(request, size))?;
        *operation = it.exec(&request, streams, Done { completion, context })?;
        Ok(())
    })
}

unsafe extern "C" fn exec_cancel(this: *mut c_void, operation: u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &Processes| {
        let table = lock(&it.shared.table);
        if let Some(process) = table.operations.get(&operation) {
            process::kill_group(*process, process::SIGKILL);
        }
        Ok(())
    })
}

/// There is nothing to fetch: the name is the image. So it completes at once.
unsafe extern "C" fn pull_image(
    this: *mut c_void,
    request: *const u8,
    size: u64,
    completion: Option<abi::Completion>,
    context: *mut c_void,
    operation: *mut u64,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &Processes| {
        let completion = completion.ok_or_else(|| invalid("a pull needs a completion"))?;
        let request = parse_request(bytes(request, size))?;
        let image = needed(&request, "image")?;
        if image.len() > 512 {
            return Err(invalid("the image's name has more than 512 bytes"));
        }
        let mut table = lock(&it.shared.table);
        table.images.insert(image.to_string());
        table.last_handle += 1;
        *operation = table.last_handle;
        drop(table);
        Done { completion, context }.complete(&object! { "image" => image_json(image) });
        Ok(())
    })
}

unsafe extern "C" fn pull_cancel(this: *mut c_void, _operation: u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |_: &Processes| Ok(())) // All pulls have completed.
}

unsafe extern "C" fn watch(
    this: *mut c_void,
    sink: Option<abi::Sink>,
    context: *mut c_void,
    handle: *mut u64,
    error: *mut abi::Error,
) -> i32 {
    slot(this, error, |it: &Processes| {
        *handle = it.shared.watchers.add(Subscriber::new(sink, context)?, None);
        Ok(())
    })
}

unsafe extern "C" fn watch_cancel(this: *mut c_void, handle: u64, error: *mut abi::Error) -> i32 {
    slot(this, error, |it: &Processes| {
        it.shared.watchers.cancel(handle);
        Ok(())
    })
}

impl Plugin for Processes {
    const DESCRIPTION: &'static str = r#"{"name":"@NAME@","version":"1.0.0","description":"Containers as plain processes.",
        "provides":["hostd.runtime/1"]}"#;
    const SCHEMA: &'static str = ""; // No options.
    const ROLE: &'static [u8] = abi::RUNTIME_1;
    const SLOTS: &'static [u8] = abi::RUNTIME_1_SLOTS;
    type Table = abi::Runtime;

    /// What is None answers NOT_SUPPORTED: limits, terminals, attach, statistics, archives of images.
    fn table(head: abi::Interface) -> abi::Runtime {
        abi::Runtime {
            interface: head,
            status: json_slot!(Processes, status),
            run_sandbox: json_slot!(Processes, run_sandbox),
            stop_sandbox: json_slot!(Processes, stop_sandbox),
            remove_sandbox: json_slot!(Processes, remove_sandbox),
            list_sandboxes: json_slot!(Processes, list_sandboxes),
            create_container: json_slot!(Processes, create_container),
            start_container: json_slot!(Processes, start_container),
            stop_container: json_slot!(Processes, stop_container),
            remove_container: json_slot!(Processes, remove_container),
            list_containers: json_slot!(Processes, list_containers),
            update_container: None,
            reopen_log: json_slot!(Processes, reopen_log),
            exec_sync: json_slot!(Processes, exec_sync),
            exec: Some(exec),
            exec_resize: None,
            exec_cancel: Some(exec_cancel),
            attach: None,
            container_stats: None,
            watch: Some(watch),
            watch_cancel: Some(watch_cancel),
            list_images: json_slot!(Processes, list_images),
            image_status: json_slot!(Processes, image_status),
            load_image: None,
            pull_image: Some(pull_image),
            pull_cancel: Some(pull_cancel),
            remove_image: json_slot!(Processes, remove_image),
            image_filesystem: None,
        }
    }

    fn new(host: Host) -> Processes {
        let (table, order) = (Mutex::new(Table::default()), Mutex::new(()));
        Processes { shared: Arc::new(Shared { host, table, ended: Condvar::new(), watchers: Watchers::default(), order }) }
    }

    fn configure(&self, _options: &Json, _directory: &str) -> Result<()> {
        Ok(())
    }

    fn activate(&self) -> Result<()> {
        *lock(&self.shared.table) = Table::default();
        Ok(())
    }

    /// Ends every process, and waits for the threads that follow them.
    fn deactivate(&self) -> Result<()> {
        let threads = {
            let mut table = lock(&self.shared.table);
            table.is_stopping = true;
            let running = table.containers.values().filter_map(Container::process);
            running.chain(table.operations.values().copied()).for_each(|it| process::kill_group(it, process::SIGKILL));
            std::mem::take(&mut table.threads)
        };
        let panicked = threads.into_iter().map(JoinHandle::join).filter(std::result::Result::is_err).count();
        self.shared.watchers.end_all();
        *lock(&self.shared.table) = Table::default();
        match panicked {
            0 => Ok(()),
            count => Err(failure(abi::ERROR_INTERNAL, format!("{} threads panicked", count))),
        }
    }
}

plugin_entry!(Processes);

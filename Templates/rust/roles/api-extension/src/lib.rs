//! @NAME@: paths behind the API front. GET /@NAME@ greets the caller, GET /@NAME@/count streams numbers.
//!
//!   kubectl get --raw /@NAME@

use std::fs::File;
use std::io::{self, Write};
use std::os::raw::{c_int, c_void};
use std::os::unix::io::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

mod bindings;
mod json;
mod plugin;

use bindings as abi;
use json::Json;
use plugin::{bytes, check_deadline, failure, invalid, lock, owned, parse_request, slot, Host, Plugin, Result};

struct Greeter {
    host: Host,
    greeting: Mutex<String>,
    stopping: Arc<AtomicBool>,
    streams: Mutex<Vec<JoinHandle<()>>>,
}

/// A client that does not read holds up a stream for a second at most: then writing fails.
fn limit_writing(stream: &File) -> io::Result<()> {
    extern "C" {
        fn setsockopt(socket: c_int, level: c_int, name: c_int, value: *const c_void, size: u32) -> c_int;
    }
    const SOL_SOCKET: c_int = 1;
    const SO_SNDTIMEO: c_int = 21;
    let one_second = [1i64, 0i64];
    let value = one_second.as_ptr() as *const c_void;
    // SAFETY: the option's value is a struct timeval.
    match unsafe { setsockopt(stream.as_raw_fd(), SOL_SOCKET, SO_SNDTIMEO, value, 16) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Writes one packet for each chunk of the body. Closing the socket, by dropping it, ends the response.
fn send_numbers(mut stream: File, stopping: &AtomicBool) -> io::Result<()> {
    limit_writing(&stream)?;
    for number in 1..=10 {
        if stopping.load(Ordering::Acquire) {
            break;
        }
        stream.write_all(format!("{}\n", number).as_bytes())?;
    }
    Ok(())
}

impl Greeter {
    fn serve(&self, request: &Json, stream: Option<File>) -> Result<Json> {
        let headers = object! { "Content-Type" => "text/plain" };
        if request.get("path").text() == Some("/@NAME@/count") {
            self.start_stream(stream.ok_or_else(|| invalid("a stream needs a socket"))?)?;
            return Ok(object! { "status" => 200, "headers" => headers, "stream" => true });
        }
        let user = request.get("user").get("name").text().unwrap_or("stranger");
        self.host.info(&format!("greeted {}", user));
        let body = format!("{}, {}.\n", lock(&self.greeting), user);
        Ok(object! { "status" => 200, "headers" => headers, "body" => body })
    }

    /// Starts the thread of a stream; from then on the socket is its own.
    fn start_stream(&self, stream: File) -> Result<()> {
        let mut streams = lock(&self.streams);
        if self.stopping.load(Ordering::Acquire) {
            return Err(failure(abi::ERROR_UNAVAILABLE, "@NAME@ is stopping"));
        }
        streams.retain(|stream| !stream.is_finished());
        let (stopping, host) = (self.stopping.clone(), self.host);
        let body = move || {
            if let Err(error) = send_numbers(stream, &stopping) {
                host.log(abi::LOG_WARNING, &format!("a stream ended early: {}", error));
            }
        };
        let thread = thread::Builder::new().spawn(body);
        streams.push(thread.map_err(|error| plugin::system("start", "a stream", error))?);
        Ok(())
    }
}

unsafe extern "C" fn routes(this: *mut c_void, json: *mut abi::Buffer, error: *mut abi::Error) -> i32 {
    slot(this, error, |_: &Greeter| {
        let route = |path: &str| object! { "methods" => vec!["GET"], "path" => path, "upgrade" => "none" };
        *json = owned(object! { "routes" => vec![route("/@NAME@"), route("/@NAME@/count")] }.to_string());
        Ok(())
    })
}

unsafe extern "C" fn serve(
    this: *mut c_void,
    deadline: u64,
    request: *const u8,
    request_size: u64,
    _body: *const u8,
    _body_size: u64,
    stream: i32,
    response: *mut abi::Buffer,
    error: *mut abi::Error,
) -> i32 {
    // The socket is ours from the moment of the call: whatever becomes of it, it is closed when `stream` is dropped.
    let stream = if stream >= 0 { Some(File::from_raw_fd(stream)) } else { None };
    slot(this, error, |it: &Greeter| {
        check_deadline(deadline)?;
        let request = parse_request(bytes(request, request_size))?;
        *response = owned(it.serve(&request, stream)?.to_string());
        Ok(())
    })
}

impl Plugin for Greeter {
    const DESCRIPTION: &'static str = r#"{"name":"@NAME@","version":"1.0.0","description":"Serves /@NAME@.",
        "provides":["hostd.api-extension/1"]}"#;
    const SCHEMA: &'static str = r#"{"type":"object","properties":{"greeting":{"type":"string","maxLength":100,
        "default":"Hello"}}}"#;
    const ROLE: &'static [u8] = abi::API_EXTENSION_1;
    const SLOTS: &'static [u8] = abi::API_EXTENSION_1_SLOTS;
    type Table = abi::ApiExtension;

    fn table(head: abi::Interface) -> abi::ApiExtension {
        abi::ApiExtension { interface: head, routes: Some(routes), serve: Some(serve) }
    }

    fn new(host: Host) -> Greeter {
        let stopping = Arc::new(AtomicBool::new(true));
        Greeter { host, greeting: Mutex::new("Hello".to_string()), stopping, streams: Mutex::new(Vec::new()) }
    }

    fn configure(&self, options: &Json, _directory: &str) -> Result<()> {
        *lock(&self.greeting) = options.get("greeting").text().unwrap_or("Hello").to_string();
        Ok(())
    }

    fn activate(&self) -> Result<()> {
        self.stopping.store(false, Ordering::Release);
        Ok(())
    }

    /// No thread is left when this returns.
    fn deactivate(&self) -> Result<()> {
        let streams = {
            let mut streams = lock(&self.streams);
            self.stopping.store(true, Ordering::Release);
            std::mem::take(&mut *streams)
        };
        for stream in streams {
            stream.join().map_err(|_| failure(abi::ERROR_INTERNAL, "a stream panicked"))?;
        }
        Ok(())
    }
}

plugin_entry!(Greeter);

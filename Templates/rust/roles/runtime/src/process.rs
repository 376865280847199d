//! Processes: started, read, waited for. Nothing here knows of containers.

use std::io;
use std::os::raw::{c_int, c_long, c_ulong, c_void};
use std::os::unix::io::RawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bindings as abi;
use crate::json::Json;
use crate::plugin::{failure, invalid, monotonic_nanoseconds, Result};

#[repr(C)]
pub struct PollEntry {
    pub file: RawFd,
    pub wanted: i16,
    pub found: i16,
}

extern "C" {
    fn setsid() -> c_int;
    fn signal(number: c_int, handler: usize) -> usize;
    fn kill(process: c_int, signal: c_int) -> c_int;
    fn waitid(kind: c_int, id: u32, about: *mut c_void, options: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn fcntl(file: c_int, command: c_int, ...) -> c_int;
    fn poll(entries: *mut PollEntry, count: c_ulong, milliseconds: c_int) -> c_int;
}
pub const SIGKILL: c_int = 9;
pub const SIGTERM: c_int = 15;
const POLLIN: i16 = 1;

pub fn poll_entry(file: RawFd) -> PollEntry {
    PollEntry { file, wanted: POLLIN, found: 0 }
}

/// Waits for one of the files; false when the time (milliseconds, -1 = none) has passed first.
pub fn poll_files(entries: &mut [PollEntry], milliseconds: i32) -> bool {
    // SAFETY: the entries are an array of struct pollfd.
    unsafe { poll(entries.as_mut_ptr(), entries.len() as c_ulong, milliseconds) != 0 }
}

pub fn make_nonblocking(file: RawFd) -> io::Result<()> {
    const F_SETFL: c_int = 4;
    const O_NONBLOCK: c_int = 0o4000;
    match unsafe { fcntl(file, F_SETFL, O_NONBLOCK) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A file that can be read from when the process has ended; -1 where the kernel has none.
pub fn process_file(process: u32) -> RawFd {
    const PIDFD_OPEN: c_long = 434;
    unsafe { syscall(PIDFD_OPEN, process as c_int, 0 as c_int) as RawFd }
}

pub fn texts(list: &Json) -> Vec<String> {
    list.array().iter().filter_map(|text| text.text()).map(String::from).collect()
}

/// The command, in an environment of its own: [{name, value}], over a plain PATH.
pub fn command(arguments: &[String], environment: &Json, directory: Option<&str>) -> Result<Command> {
    let (program, rest) = match arguments.split_first() {
        Some((program, rest)) if !program.is_empty() => (program, rest),
        _ => return Err(invalid("there is no command: images here have none of their own")),
    };
    let mut command = Command::new(program);
    command.args(rest).env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    for pair in environment.array() {
        if let (Some(name), Some(value)) = (pair.get("name").text(), pair.get("value").text()) {
            if !name.is_empty() && !name.contains(|c| c == '=' || c == '\0') && !value.contains('\0') {
                command.env(name, value);
            }
        }
    }
    if let Some(directory) = directory.filter(|directory| !directory.is_empty()) {
        command.current_dir(directory);
    }
    Ok(command)
}

/// Starts a process that leads a group of its own, with signals as they come from the system.
pub fn start(command: &mut Command) -> Result<Child> {
    let prepare = || {
        // SAFETY: both may be called between fork and exec.
        unsafe {
            setsid();
            (1..=64).for_each(|number| {
                signal(number, 0);
            });
        }
        Ok(())
    };
    // SAFETY: `prepare` calls nothing else.
    unsafe { command.pre_exec(prepare) };
    command.spawn().map_err(|error| {
        let name = command.get_program().to_string_lossy().into_owned();
        let code = match error.kind() {
            io::ErrorKind::NotFound => abi::ERROR_NOT_FOUND,
            _ => abi::ERROR_INVALID_ARGUMENT,
        };
        failure(code, format!("{} cannot be executed: {}", name, error))
    })
}

/// Signals the whole group. Its leader must not have been reaped yet.
pub fn kill_group(process: u32, signal: c_int) {
    let process = process as c_int;
    // SAFETY: plain numbers.
    unsafe {
        if kill(-process, signal) != 0 {
            kill(process, signal);
        }
    }
}

/// Returns when the process has ended, and leaves it to be reaped.
pub fn await_end(process: u32) {
    const P_PID: c_int = 1;
    const WEXITED_WNOWAIT: c_int = 4 | 0x0100_0000;
    let mut about = [0u64; 16]; // siginfo_t, which nobody reads.
    // SAFETY: there is room for a siginfo_t.
    while unsafe { waitid(P_PID, process, about.as_mut_ptr() as *mut c_void, WEXITED_WNOWAIT) } != 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

/// The exit code; 128 and the signal's number for one that was killed.
pub fn exit_code(status: io::Result<ExitStatus>) -> i64 {
    use std::os::unix::process::ExitStatusExt;
    status.map_or(255, |status| status.code().unwrap_or(128 + status.signal().unwrap_or(0)).into())
}

/// Milliseconds for `poll_files` until a monotonic deadline; 0 = none.
pub fn milliseconds_until(deadline: u64) -> i32 {
    match deadline {
        0 => -1,
        deadline => (deadline.saturating_sub(monotonic_nanoseconds()) / 1_000_000 + 1).min(1 << 30) as i32,
    }
}

pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0usize, |group, index| group << 8 | usize::from(*chunk.get(index).unwrap_or(&0)));
        for digit in 0..4 {
            let is_there = digit <= chunk.len();
            out.push(if is_there { DIGITS[group >> (18 - 6 * digit) & 63] as char } else { '=' });
        }
    }
    out
}

/// Nanoseconds since 1970.
pub fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

/// RFC 3339; "" for 0.
pub fn time_text(nanoseconds: u64) -> String {
    if nanoseconds == 0 {
        return String::new();
    }
    let seconds = (nanoseconds / 1_000_000_000) as i64;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 1970 to a date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted - era * 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", year, month, day, hour, minute, second, nanoseconds % 1_000_000_000)
}

//! Containers: one process each, and a thread that writes its output to the log and sees it end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::io::{AsRawFd, FromRawFd};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};

use crate::bindings as abi;
use crate::json::Json;
use crate::object;
use crate::plugin::{failure, system, Result};
use crate::process;

const LONGEST_LINE: usize = 16_384;

#[derive(Clone, Copy, PartialEq)]
pub enum State {
    Created,
    Running,
    Exited,
}

pub struct Container {
    pub id: String,
    pub sandbox_id: String,
    pub config: Json,
    pub log_path: Option<String>,
    pub log: Option<File>,
    pub state: State,
    pub child: Option<Child>,
    pub exit_code: i64,
    pub created: u64,
    pub started: u64,
    pub finished: u64,
}

/// What the thread of a container reads.
pub struct Output {
    standard: ChildStdout,
    error: ChildStderr,
}

impl Container {
    /// The process's number, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().filter(|_| self.state == State::Running).map(Child::id)
    }

    pub fn open_log(&mut self) -> Result<()> {
        if let Some(path) = &self.log_path {
            let file = OpenOptions::new().create(true).append(true).open(path);
            self.log = Some(file.map_err(|error| system("open the log", path, error))?);
        }
        Ok(())
    }

    pub fn start(&mut self) -> Result<Output> {
        if self.state != State::Created {
            return Err(failure(abi::ERROR_WRONG_STATE, format!("container {} was started before", self.id)));
        }
        self.open_log()?;
        let mut arguments = process::texts(self.config.get("command"));
        arguments.extend(process::texts(self.config.get("args")));
        let directory = self.config.get("workingDirectory").text();
        let mut command = process::command(&arguments, self.config.get("environment"), directory)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process::start(&mut command)?;
        let output = match (child.stdout.take(), child.stderr.take()) {
            (Some(standard), Some(error)) => Output { standard, error },
            _ => return Err(failure(abi::ERROR_INTERNAL, "the process has no streams")),
        };
        self.child = Some(child);
        self.state = State::Running;
        self.started = process::wall_clock();
        Ok(output)
    }

    /// Takes note of the end, and reaps the process.
    pub fn finish(&mut self) {
        self.exit_code = self.child.take().map_or(255, |mut child| process::exit_code(child.wait()));
        self.finished = process::wall_clock();
        self.state = State::Exited;
    }

    pub fn write_line(&mut self, entry: &[u8]) -> io::Result<()> {
        self.log.as_mut().map_or(Ok(()), |log| log.write_all(entry))
    }

    /// As hostd/roles/runtime.h describes it.
    pub fn json(&self) -> Json {
        let state = match self.state {
            State::Created => "created",
            State::Running => "running",
            State::Exited => "exited",
        };
        let reason = match (self.state, self.exit_code) {
            (State::Exited, 0) => "Completed",
            (State::Exited, _) => "Error",
            _ => "",
        };
        let text = |member: &str| self.config.get(member).text().unwrap_or("").to_string();
        object! {
            "id" => &self.id, "sandboxID" => &self.sandbox_id, "name" => text("name"),
            "attempt" => self.config.get("attempt").integer().unwrap_or(0), "state" => state,
            "createdAt" => process::time_text(self.created), "startedAt" => process::time_text(self.started),
            "finishedAt" => process::time_text(self.finished), "exitCode" => self.exit_code, "reason" => reason,
            "message" => "", "image" => text("image"), "imageID" => text("image"),
            "processID" => i64::from(self.process().unwrap_or(0)), "labels" => object_or_empty(&self.config, "labels"),
            "annotations" => object_or_empty(&self.config, "annotations"),
            "logPath" => self.log_path.clone().unwrap_or_default(), "mounts" => Vec::<Json>::new(),
        }
    }
}

pub fn object_or_empty(config: &Json, member: &str) -> Json {
    match config.get(member) {
        found @ Json::Object(_) => found.clone(),
        _ => object! {},
    }
}

/// Reads until the process has ended (what it leaves behind may hold its streams open for longer), and hands each line to
/// `write` in CRI's format: time, stream, F for a full line or P for a part of one, the line.
pub fn follow(mut output: Output, process: u32, mut write: impl FnMut(&[u8])) {
    let files = [output.standard.as_raw_fd(), output.error.as_raw_fd()];
    let end = process::process_file(process);
    // Closed when it is dropped.
    let _end = if end >= 0 { Some(unsafe { File::from_raw_fd(end) }) } else { None };
    let mut pending = [Vec::new(), Vec::new()];
    let mut waited = [process::poll_entry(files[0]), process::poll_entry(files[1]), process::poll_entry(end)];
    if files.iter().any(|file| process::make_nonblocking(*file).is_err()) {
        return;
    }
    loop {
        process::poll_files(&mut waited, -1);
        let is_over = waited[2].found != 0 || end < 0 && waited[0].file < 0 && waited[1].file < 0;
        for (index, name) in ["stdout", "stderr"].iter().enumerate() {
            let mut block = [0; LONGEST_LINE];
            while waited[index].file >= 0 {
                let result = if index == 0 { output.standard.read(&mut block) } else { output.error.read(&mut block) };
                match result {
                    Ok(0) => waited[index].file = -1,
                    Ok(count) => pending[index].extend_from_slice(&block[..count]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => waited[index].file = -1,
                }
                write_lines(name, &mut pending[index], false, &mut write);
            }
            if is_over {
                write_lines(name, &mut pending[index], true, &mut write);
            }
        }
        if is_over {
            return;
        }
    }
}

/// Writes the whole lines of what came so far; the rest too when nothing follows.
fn write_lines(stream: &str, pending: &mut Vec<u8>, is_end: bool, write: &mut impl FnMut(&[u8])) {
    let mut start = 0;
    while start < pending.len() {
        let line = &pending[start..];
        let end = line.iter().position(|byte| *byte == b'\n');
        let size = match end {
            Some(size) => size,
            None if line.len() < LONGEST_LINE && !is_end => break,
            None => line.len(),
        };
        let tag = if end.is_some() { "F" } else { "P" };
        let mut entry = format!("{} {} {} ", process::time_text(process::wall_clock()), stream, tag).into_bytes();
        entry.extend_from_slice(&line[..size]);
        entry.push(b'\n');
        write(&entry);
        start += size + end.is_some() as usize;
    }
    pending.drain(..start);
}

//! The log file: what was acknowledged is in it. An entry is its size, a checksum, and records; all of one entry were
//! written under one revision, or none.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};

use crate::bindings::ERROR_DATA_LOSS;
use crate::plugin::{failure, system, Result};
use crate::record::Record;

pub struct Log {
    path: String,
    file: File,
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

pub fn entry(records: &[&Record]) -> Vec<u8> {
    let mut body = Vec::new();
    records.iter().for_each(|record| record.encode(0, &mut body));
    let mut entry = (body.len() as u32).to_le_bytes().to_vec();
    entry.extend(checksum(&body).to_le_bytes());
    entry.extend(body);
    entry
}

/// The records of all whole entries. A last entry that was cut by a crash was never acknowledged, and is left out.
pub fn read(directory: &str) -> Result<Vec<Record>> {
    let path = format!("{}/store.log", directory);
    let mut content = Vec::new();
    match File::open(&path).and_then(|mut file| file.read_to_end(&mut content)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(system("read", &path, error)),
        _ => {}
    }
    let mut records = Vec::new();
    let mut rest = &content[..];
    while rest.len() >= 8 {
        let size = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        let expected = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]);
        if rest.len() - 8 < size {
            break;
        }
        let (mut body, next) = rest[8..].split_at(size);
        if checksum(body) != expected {
            if next.is_empty() {
                break;
            }
            let message = format!("{} is damaged at byte {}: restore a backup", path, content.len() - rest.len());
            return Err(failure(ERROR_DATA_LOSS, message));
        }
        while let Some((record, size)) = Record::decode(body) {
            records.push(record);
            body = &body[size..];
        }
        rest = next;
    }
    Ok(records)
}

impl Log {
    /// Replaces the log by one that has `entries` alone.
    pub fn rewrite(directory: &str, entries: &[u8]) -> Result<Log> {
        let path = format!("{}/store.log", directory);
        let draft = format!("{}.new", path);
        let write = || {
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&draft)?;
            file.write_all(entries)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(directory)?.sync_all()?;
            Ok(file)
        };
        let file = write().map_err(|error| system("write", &path, error))?;
        Ok(Log { path, file })
    }

    /// Returns when the entry is on disk. One that could not be written whole is cut off again.
    pub fn append(&mut self, entry: &[u8]) -> Result<()> {
        let before = self.file.metadata().map_err(|error| system("look at", &self.path, error))?.len();
        self.file.write_all(entry).and_then(|()| self.file.sync_data()).map_err(|error| {
            let cut = self.file.set_len(before).and_then(|()| {
                use std::io::Seek;
                self.file.seek(std::io::SeekFrom::Start(before))
            });
            let what = if cut.is_ok() { "write" } else { "repair" };
            system(what, &self.path, error)
        })
    }
}

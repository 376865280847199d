//! Records as they cross: the layouts of hostd/roles/store.h. Numbers are little-endian, records lie on multiples of 8.

use crate::bindings as abi;
use crate::plugin::{invalid, Result};

pub const RECORD_HEAD: usize = 64;
const OPERATION_HEAD: usize = 48;
/// Kinds that only the log knows: a lease, with its time to live in `version` (0 = over); the revision, without a key.
pub const LOG_LEASE: u32 = 100;
pub const LOG_REVISION: u32 = 101;

#[derive(Clone, Default)]
pub struct Record {
    pub kind: u32,
    pub revision: u64,
    pub create_revision: u64,
    pub version: u64,
    pub lease: u64,
    pub key: Vec<u8>,
    pub index: Vec<u8>,
    pub value: Vec<u8>,
}

fn number32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn number64(bytes: &[u8], at: usize) -> u64 {
    u64::from(number32(bytes, at)) | u64::from(number32(bytes, at + 4)) << 32
}

fn padded(size: usize) -> usize {
    (size + 7) / 8 * 8
}

impl Record {
    pub fn is_put(&self) -> bool {
        self.kind == abi::STORE_RECORD_PUT
    }

    pub fn encode(&self, flags: u32, out: &mut Vec<u8>) {
        let start = out.len();
        let size = padded(RECORD_HEAD + self.key.len() + self.index.len() + self.value.len());
        out.extend((RECORD_HEAD as u32).to_le_bytes());
        out.extend((size as u32).to_le_bytes());
        for number in [self.revision, self.create_revision, self.version, self.lease] {
            out.extend(number.to_le_bytes());
        }
        for number in [self.kind, flags, self.key.len() as u32, self.index.len() as u32, self.value.len() as u32, 0] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.key.iter().chain(&self.index).chain(&self.value));
        out.resize(start + size, 0);
    }

    /// The record that begins at `bytes`, and its size; None when it is not whole.
    pub fn decode(bytes: &[u8]) -> Option<(Record, usize)> {
        if bytes.len() < RECORD_HEAD {
            return None;
        }
        let (head, size) = (number32(bytes, 0) as usize, number32(bytes, 4) as usize);
        let sizes = [number32(bytes, 48) as usize, number32(bytes, 52) as usize, number32(bytes, 56) as usize];
        if head < RECORD_HEAD || size > bytes.len() || sizes.iter().sum::<usize>() + head > size {
            return None;
        }
        let [key, index, value] = parts(bytes, head, sizes);
        let record = Record {
            kind: number32(bytes, 40),
            revision: number64(bytes, 8),
            create_revision: number64(bytes, 16),
            version: number64(bytes, 24),
            lease: number64(bytes, 32),
            key,
            index,
            value,
        };
        Some((record, size))
    }
}

fn parts(bytes: &[u8], head: usize, sizes: [usize; 3]) -> [Vec<u8>; 3] {
    let (first, second) = (head + sizes[0], head + sizes[0] + sizes[1]);
    [bytes[head..first].to_vec(), bytes[first..second].to_vec(), bytes[second..second + sizes[2]].to_vec()]
}

/// One step of a transaction.
pub struct Operation {
    pub kind: u32,
    pub expected: u64,
    pub lease: u64,
    pub key: Vec<u8>,
    pub index: Vec<u8>,
    pub value: Vec<u8>,
}

impl Operation {
    pub fn new(kind: u32, key: &[u8]) -> Operation {
        Operation { kind, expected: 0, lease: 0, key: key.to_vec(), index: Vec::new(), value: Vec::new() }
    }

    /// All steps of a transaction's bytes.
    pub fn decode_all(mut bytes: &[u8]) -> Result<Vec<Operation>> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let size = if bytes.len() < OPERATION_HEAD { 0 } else { number32(bytes, 4) as usize };
            let head = if size == 0 { 0 } else { number32(bytes, 0) as usize };
            let sizes = match size {
                0 => [0; 3],
                _ => [number32(bytes, 32) as usize, number32(bytes, 36) as usize, number32(bytes, 40) as usize],
            };
            if head < OPERATION_HEAD || size > bytes.len() || size % 8 != 0 || head + sizes.iter().sum::<usize>() > size {
                return Err(invalid(format!("step {} of the transaction is malformed", all.len())));
            }
            let [key, index, value] = parts(bytes, head, sizes);
            let (kind, expected, lease) = (number32(bytes, 8), number64(bytes, 16), number64(bytes, 24));
            all.push(Operation { kind, expected, lease, key, index, value });
            bytes = &bytes[size..];
        }
        Ok(all)
    }

    /// Refuses what could never be stored.
    pub fn check(&self) -> Result<()> {
        check_key(&self.key)?;
        let zeros = self.index.iter().filter(|byte| **byte == 0).count();
        if zeros % 2 != 0 || self.index.last().map_or(false, |last| *last != 0) {
            return Err(invalid("an index is a list of \"name\\0value\\0\""));
        }
        match self.kind {
            abi::STORE_CREATE..=abi::STORE_CHECK => Ok(()),
            kind => Err(invalid(format!("{} is no kind of step", kind))),
        }
    }
}

/// UTF-8 without control characters, and how many slashes it has.
fn slashes(path: &[u8]) -> Option<usize> {
    let is_text = std::str::from_utf8(path).is_ok() && path.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f);
    (is_text && path.len() <= 1024 && !path.starts_with(b"/")).then(|| path.iter().filter(|byte| **byte == b'/').count())
}

pub fn check_key(key: &[u8]) -> Result<()> {
    match slashes(key) {
        Some(2) if !key.ends_with(b"/") => Ok(()),
        _ => Err(invalid("a key is RESOURCE/NAMESPACE/NAME, at most 1,024 bytes of text")),
    }
}

pub fn check_prefix(prefix: &[u8]) -> Result<()> {
    if prefix.is_empty() || prefix.ends_with(b"/") && matches!(slashes(prefix), Some(1 | 2)) {
        return Ok(());
    }
    Err(invalid("a prefix is empty, RESOURCE/ or RESOURCE/NAMESPACE/"))
}

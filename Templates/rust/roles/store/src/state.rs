//! What the store knows, and how it changes. Time and watches are looked after by lib.rs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bindings as abi;
use crate::log::{self, Log};
use crate::plugin::{failure, invalid, Failure, Result};
use crate::record::{check_key, Operation, Record, LOG_LEASE, LOG_REVISION};
use crate::selector::Selector;

/// Changes that can be watched from and read at; older ones are given up.
const HISTORY: usize = 20_000;

pub struct Change {
    pub record: Arc<Record>,
    pub previous: Option<Arc<Record>>,
}

pub struct Lease {
    time_to_live: Duration,
    pub expires: Instant,
}

/// Why a transaction did not happen.
pub struct Refusal {
    pub step: u32,
    pub revision: u64, // Of the key that failed the precondition; 0 = absent.
    pub failure: Failure,
}

#[derive(Default)]
pub struct State {
    pub log: Option<Log>,
    pub revision: u64,
    pub compacted: u64,
    /// Each key's records, deletes included, oldest first; the first may be from before `compacted`.
    keys: BTreeMap<Vec<u8>, Vec<Arc<Record>>>,
    pub changes: VecDeque<Change>,
    pub leases: BTreeMap<u64, Lease>,
    last_lease: u64,
}

impl State {
    /// Reads the log, and begins a new one without history.
    pub fn open(directory: &str) -> Result<State> {
        let mut state = State::default();
        for record in log::read(directory)? {
            state.revision = state.revision.max(record.revision);
            state.last_lease = state.last_lease.max(record.lease);
            match record.kind {
                LOG_LEASE if record.version > 0 => state.start_lease(record.lease, record.version),
                LOG_LEASE => drop(state.leases.remove(&record.lease)),
                LOG_REVISION => {}
                abi::STORE_RECORD_PUT => drop(state.keys.insert(record.key.clone(), vec![Arc::new(record)])),
                _ => drop(state.keys.remove(&record.key)),
            }
        }
        state.compacted = state.revision;
        state.log = Some(Log::rewrite(directory, &state.snapshot())?);
        Ok(state)
    }

    /// All that is needed to begin again from here, as entries of a log.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = log::entry(&[&Record { kind: LOG_REVISION, revision: self.revision, ..Record::default() }]);
        for (lease, it) in &self.leases {
            out.extend(log::entry(&[&lease_record(*lease, it.time_to_live.as_millis() as u64)]));
        }
        for record in self.keys.values().filter_map(|history| history.last()).filter(|record| record.is_put()) {
            out.extend(log::entry(&[record]));
        }
        out
    }

    fn write(&mut self, records: &[&Record]) -> Result<()> {
        let log = self.log.as_mut().ok_or_else(|| failure(abi::ERROR_WRONG_STATE, "the store is closed"))?;
        log.append(&log::entry(records))
    }

    fn current(&self, key: &[u8]) -> Option<&Arc<Record>> {
        self.keys.get(key).and_then(|history| history.last()).filter(|record| record.is_put())
    }

    fn check_revision(&self, revision: u64) -> Result<u64> {
        match revision {
            0 => Ok(self.revision),
            revision if revision > self.revision => Err(invalid(format!("revision {} is not reached yet", revision))),
            revision if revision < self.compacted => {
                Err(failure(abi::ERROR_COMPACTED, format!("revision {} is no longer kept", revision)))
            }
            revision => Ok(revision),
        }
    }

    fn record_at(history: &[Arc<Record>], revision: u64) -> Option<&Arc<Record>> {
        history.iter().rev().find(|record| record.revision <= revision).filter(|record| record.is_put())
    }

    pub fn get(&self, key: &[u8], revision: u64) -> Result<Arc<Record>> {
        check_key(key)?;
        let revision = self.check_revision(revision)?;
        let found = self.keys.get(key).and_then(|history| State::record_at(history, revision));
        found.cloned().ok_or_else(|| failure(abi::ERROR_NOT_FOUND, format!("there is no {}", String::from_utf8_lossy(key))))
    }

    /// A page, as it crosses: hostd_store_page.
    pub fn list(&self, prefix: &[u8], selector: &Selector, revision: u64, limit: u64, after: &[u8]) -> Result<Vec<u8>> {
        let revision = self.check_revision(revision)?;
        let start = std::cmp::max(prefix, after).to_vec();
        let (mut records, mut count, mut remaining) = (Vec::new(), 0u64, 0u64);
        for (key, history) in self.keys.range(start..).take_while(|(key, _)| key.starts_with(prefix)) {
            let record = match State::record_at(history, revision) {
                Some(record) if key.as_slice() > after || after.is_empty() => record,
                _ => continue,
            };
            if limit > 0 && count == limit {
                remaining += 1;
            } else if selector.matches(&record.index) {
                record.encode(0, &mut records);
                count += 1;
            }
        }
        let mut page = 32u32.to_le_bytes().to_vec();
        page.extend(u32::from(remaining > 0).to_le_bytes());
        for number in [revision, count, remaining] {
            page.extend(number.to_le_bytes());
        }
        page.extend(records);
        Ok(page)
    }

    /// All steps under one revision, or none. Returns the revision.
    pub fn commit(&mut self, operations: &[Operation]) -> std::result::Result<u64, Refusal> {
        let revision = self.revision + 1;
        let mut staged: Vec<Change> = Vec::new();
        for (step, operation) in operations.iter().enumerate() {
            // What an earlier step of the same transaction has done counts.
            let earlier = staged.iter().rev().find(|change| change.record.key == operation.key);
            let before = match earlier {
                Some(change) => Some(&change.record).filter(|record| record.is_put()).cloned(),
                None => self.current(&operation.key).cloned(),
            };
            match self.step(operation, before.as_ref(), revision) {
                Ok(None) => {}
                Ok(Some(record)) => staged.push(Change { record: Arc::new(record), previous: before }),
                Err(failure) => {
                    let present = before.map_or(0, |record| record.revision);
                    return Err(Refusal { step: step as u32, revision: present, failure });
                }
            }
        }
        if staged.is_empty() {
            return Ok(self.revision);
        }
        let records: Vec<&Record> = staged.iter().map(|change| &*change.record).collect();
        self.write(&records).map_err(|failure| Refusal { step: u32::MAX, revision: 0, failure })?;
        self.revision = revision;
        for change in staged {
            self.keys.entry(change.record.key.clone()).or_default().push(change.record.clone());
            self.changes.push_back(change);
        }
        if self.changes.len() > HISTORY {
            let oldest = self.changes[HISTORY / 2].record.revision - 1;
            self.forget_before(oldest);
        }
        Ok(revision)
    }

    /// What a step writes, if anything.
    fn step(&self, operation: &Operation, before: Option<&Arc<Record>>, revision: u64) -> Result<Option<Record>> {
        operation.check()?;
        let key = String::from_utf8_lossy(&operation.key).into_owned();
        let present = before.map_or(0, |record| record.revision);
        let fits = match operation.kind {
            abi::STORE_CREATE if before.is_some() => {
                return Err(failure(abi::ERROR_ALREADY_EXISTS, format!("{} exists", key)));
            }
            abi::STORE_UPDATE | abi::STORE_DELETE if before.is_none() => {
                return Err(failure(abi::ERROR_NOT_FOUND, format!("there is no {}", key)));
            }
            abi::STORE_UPDATE | abi::STORE_DELETE => operation.expected == 0 || operation.expected == present,
            abi::STORE_CHECK => operation.expected == present,
            _ => true,
        };
        if !fits {
            let message = format!("{} is at revision {}, not {}", key, present, operation.expected);
            return Err(failure(abi::ERROR_CONFLICT, message));
        }
        if operation.lease != 0 && !self.leases.contains_key(&operation.lease) {
            return Err(failure(abi::ERROR_NOT_FOUND, format!("there is no lease {}", operation.lease)));
        }
        let (create_revision, version) = before.map_or((revision, 0), |record| (record.create_revision, record.version));
        let head = Record { revision, create_revision, key: operation.key.clone(), ..Record::default() };
        Ok(match operation.kind {
            abi::STORE_CHECK => None,
            abi::STORE_DELETE => Some(Record { kind: abi::STORE_RECORD_DELETE, ..head }),
            _ => Some(Record {
                kind: abi::STORE_RECORD_PUT,
                version: version + 1,
                lease: operation.lease,
                index: operation.index.clone(),
                value: operation.value.clone(),
                ..head
            }),
        })
    }

    pub fn compact(&mut self, revision: u64) -> Result<()> {
        if revision > self.revision {
            return Err(invalid(format!("revision {} is not reached yet", revision)));
        }
        self.forget_before(revision);
        Ok(())
    }

    fn forget_before(&mut self, revision: u64) {
        while self.changes.front().map_or(false, |change| change.record.revision <= revision) {
            self.changes.pop_front();
        }
        for history in self.keys.values_mut() {
            let needed = history.iter().rposition(|record| record.revision <= revision).unwrap_or(0);
            history.drain(..needed);
            if !history[0].is_put() && history[0].revision <= revision {
                history.remove(0);
            }
        }
        self.keys.retain(|_, history| !history.is_empty());
        self.compacted = self.compacted.max(revision);
    }

    fn start_lease(&mut self, lease: u64, milliseconds: u64) {
        let time_to_live = Duration::from_millis(milliseconds.min(1 << 40));
        self.leases.insert(lease, Lease { time_to_live, expires: Instant::now() + time_to_live });
    }

    pub fn grant(&mut self, milliseconds: u64) -> Result<u64> {
        if milliseconds == 0 {
            return Err(invalid("a lease needs a time to live"));
        }
        let lease = self.last_lease + 1;
        self.write(&[&lease_record(lease, milliseconds)])?;
        self.last_lease = lease;
        self.start_lease(lease, milliseconds);
        Ok(lease)
    }

    pub fn keep_alive(&mut self, lease: u64) -> Result<()> {
        let missing = || failure(abi::ERROR_NOT_FOUND, format!("there is no lease {}", lease));
        let found = self.leases.get_mut(&lease).ok_or_else(missing)?;
        found.expires = Instant::now() + found.time_to_live;
        Ok(())
    }

    /// Ends a lease, and deletes what was written under it.
    pub fn revoke(&mut self, lease: u64) -> Result<()> {
        if !self.leases.contains_key(&lease) {
            return Err(failure(abi::ERROR_NOT_FOUND, format!("there is no lease {}", lease)));
        }
        let held = self.keys.values().filter_map(|history| history.last());
        let keys = held.filter(|record| record.is_put() && record.lease == lease).map(|record| record.key.clone());
        let deletes: Vec<Operation> = keys.map(|key| Operation::new(abi::STORE_DELETE, &key)).collect();
        self.commit(&deletes).map_err(|refusal| refusal.failure)?;
        self.write(&[&lease_record(lease, 0)])?;
        self.leases.remove(&lease);
        Ok(())
    }

    /// The number of keys, and of the bytes of their values.
    pub fn size(&self) -> (usize, usize) {
        let present = self.keys.values().filter_map(|history| history.last()).filter(|record| record.is_put());
        present.fold((0, 0), |(keys, bytes), record| (keys + 1, bytes + record.value.len()))
    }
}

fn lease_record(lease: u64, time_to_live: u64) -> Record {
    Record { kind: LOG_LEASE, lease, version: time_to_live, ..Record::default() }
}

//! Watches: one thread tells them of changes, and ends leases that nobody keeps alive.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::bindings as abi;
use crate::plugin::{lock, Subscriber};
use crate::record::Record;
use crate::selector::Selector;
use crate::state::{Change, State};

/// Changes in one message.
const BATCH: usize = 256;

pub struct Watch {
    pub prefix: Vec<u8>,
    pub selector: Selector,
    /// All changes up to here were told, or are of no concern.
    pub delivered: u64,
    /// The revision that the last progress message named.
    pub told: Option<u64>,
    /// None while the thread is telling it something.
    pub subscriber: Option<Subscriber>,
    pub is_cancelled: bool,
}

#[derive(Default)]
pub struct Shared {
    pub state: State,
    pub watches: std::collections::BTreeMap<u64, Watch>,
    pub last_watch: u64,
    pub is_stopping: bool,
    pub teller: Option<ThreadId>,
}

#[derive(Default)]
pub struct Store {
    pub shared: Mutex<Shared>,
    /// A change, a watch, a message that was told, the end.
    pub news: Condvar,
}

impl Watch {
    /// A change as this watch sees it; nothing when it is of no concern.
    fn encode(&self, change: &Change, out: &mut Vec<u8>) {
        let record = &change.record;
        if !record.key.starts_with(&self.prefix) {
            return;
        }
        let matches = |record: &Arc<Record>| self.selector.matches(&record.index);
        let is = record.is_put() && matches(record);
        let was = change.previous.as_ref().map(matches);
        let (flags, previous) = match (record.is_put(), is, was) {
            (false, _, Some(true)) => (abi::STORE_RECORD_HAS_PREVIOUS, &change.previous),
            (true, false, Some(true)) => (abi::STORE_RECORD_LEFT | abi::STORE_RECORD_HAS_PREVIOUS, &change.previous),
            (true, true, Some(false)) => (abi::STORE_RECORD_ENTERED, &None),
            (true, true, _) => (0, &None),
            _ => return,
        };
        record.encode(flags, out);
        if let Some(previous) = previous {
            previous.encode(0, out);
        }
    }

    /// The next message, if changes concern it, and the revision that it brings the watch to.
    fn next_batch(&self, state: &State) -> (Vec<u8>, u64) {
        let start = state.changes.partition_point(|change| change.record.revision <= self.delivered);
        let (mut batch, mut last) = (Vec::new(), self.delivered);
        for (count, change) in state.changes.iter().skip(start).enumerate() {
            if count >= BATCH && change.record.revision != last {
                return (batch, last);
            }
            self.encode(change, &mut batch);
            last = change.record.revision;
        }
        (batch, state.revision.max(last))
    }
}

impl Store {
    /// The body of the thread.
    pub fn tell(&self) {
        let mut shared = lock(&self.shared);
        shared.teller = Some(thread::current().id());
        while !shared.is_stopping {
            let expired = expired_lease(&shared.state);
            if let Some(lease) = expired {
                if shared.state.revoke(lease).is_err() {
                    shared.state.leases.remove(&lease); // The disk is full, say: it is over all the same.
                }
                continue;
            }
            let (revision, compacted) = (shared.state.revision, shared.state.compacted);
            let due = |watch: &Watch| watch.delivered < revision || watch.told != Some(revision);
            let found = shared.watches.iter().find(|(_, watch)| watch.subscriber.is_some() && due(watch));
            let handle = match found {
                Some((handle, _)) => *handle,
                None => {
                    let wait = next_expiry(&shared.state);
                    let waited = self.news.wait_timeout(shared, wait);
                    shared = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
                    continue;
                }
            };
            let (batch, last) = shared.watches[&handle].next_batch(&shared.state);
            let watch = match shared.watches.get_mut(&handle) {
                Some(watch) => watch,
                None => continue,
            };
            let is_behind = watch.delivered < compacted;
            watch.delivered = last;
            let tell_progress = last == revision;
            watch.told = if tell_progress { Some(last) } else { watch.told };
            let mut subscriber = match watch.subscriber.take() {
                Some(subscriber) => subscriber,
                None => continue,
            };
            drop(shared); // Sinks are never called under the lock.
            if is_behind {
                subscriber.send(abi::SINK_RESYNC, b"");
            } else {
                if !batch.is_empty() {
                    subscriber.send(abi::SINK_DATA, &batch);
                }
                if tell_progress {
                    subscriber.send(abi::SINK_PROGRESS, &last.to_le_bytes());
                }
            }
            shared = lock(&self.shared);
            match shared.watches.get_mut(&handle) {
                Some(watch) if !is_behind && !watch.is_cancelled => watch.subscriber = Some(subscriber),
                _ => drop(shared.watches.remove(&handle)),
            }
            self.news.notify_all();
        }
    }

    /// When it returns, the sink is not running and will not run again.
    pub fn cancel(&self, handle: u64) {
        let mut shared = lock(&self.shared);
        loop {
            let teller = shared.teller;
            let watch = match shared.watches.get_mut(&handle) {
                Some(watch) => watch,
                None => return,
            };
            if let Some(subscriber) = watch.subscriber.take() {
                shared.watches.remove(&handle);
                drop(shared);
                return subscriber.end();
            }
            watch.is_cancelled = true;
            if teller == Some(thread::current().id()) {
                return; // From the sink itself: it was the last message.
            }
            shared = self.news.wait(shared).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }
}

fn expired_lease(state: &State) -> Option<u64> {
    let now = Instant::now();
    state.leases.iter().find(|(_, lease)| lease.expires <= now).map(|(lease, _)| *lease)
}

fn next_expiry(state: &State) -> Duration {
    let next = state.leases.values().map(|lease| lease.expires).min();
    next.map_or(Duration::from_secs(3600), |expires| expires.saturating_duration_since(Instant::now()))
}

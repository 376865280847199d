//! The subscribers of a watch: told one after the other, and never again after they have cancelled.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::thread::{self, ThreadId};

use crate::bindings as abi;
use crate::plugin::{lock, Subscriber};

#[derive(Default)]
struct State {
    /// None while the subscriber is being told something.
    subscribers: BTreeMap<u64, Option<Subscriber>>,
    last_handle: u64,
    teller: Option<ThreadId>,
}

#[derive(Default)]
pub struct Watchers {
    state: Mutex<State>,
    told: Condvar,
}

impl Watchers {
    /// Adds a subscriber, who was told `first` by then.
    pub fn add(&self, mut subscriber: Subscriber, first: Option<&[u8]>) -> u64 {
        if let Some(message) = first {
            subscriber.send(abi::SINK_DATA, message);
        }
        let mut state = lock(&self.state);
        state.last_handle += 1;
        let handle = state.last_handle;
        state.subscribers.insert(handle, Some(subscriber));
        handle
    }

    /// Tells all. Callers see to it that only one thread does so at a time; sinks may ask back, also to cancel.
    pub fn tell(&self, message: &[u8]) {
        let mut state = lock(&self.state);
        state.teller = Some(thread::current().id());
        let handles: Vec<u64> = state.subscribers.keys().copied().collect();
        for handle in handles {
            let mut subscriber = match state.subscribers.get_mut(&handle).and_then(Option::take) {
                Some(subscriber) => subscriber,
                None => continue,
            };
            drop(state);
            subscriber.send(abi::SINK_DATA, message);
            state = lock(&self.state);
            if let Some(place) = state.subscribers.get_mut(&handle) {
                *place = Some(subscriber); // Unless it has cancelled meanwhile.
            }
            self.told.notify_all();
        }
        state.teller = None;
    }

    /// When it returns, the sink is not running, unless this is called from it, and will not run again.
    pub fn cancel(&self, handle: u64) {
        let mut state = lock(&self.state);
        loop {
            let is_teller = state.teller == Some(thread::current().id());
            match state.subscribers.get(&handle) {
                None => return,
                Some(None) if !is_teller => state = self.told.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner()),
                Some(_) => break,
            }
        }
        let ended = state.subscribers.remove(&handle).flatten();
        drop(state);
        if let Some(subscriber) = ended {
            subscriber.end();
        }
    }

    pub fn end_all(&self) {
        let handles: Vec<u64> = lock(&self.state).subscribers.keys().copied().collect();
        handles.into_iter().for_each(|handle| self.cancel(handle));
    }
}

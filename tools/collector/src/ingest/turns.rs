//! Order in which first messages are decrypted: round robin over sources, a bounded number at a time.
//!
//! A first message costs two or five Diffie-Hellman operations before its sender has proved anything. A source that sends
//! thousands waits for itself: each other source has at most one round to wait for.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::unproved::Source;

/// The queue. Cheap to clone. Bounded by the connections without a proved key.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    free: usize,
    waiting: HashMap<Source, VecDeque<oneshot::Sender<Turn>>>,
    /// Each source of `waiting` once; the first is the next.
    order: VecDeque<Source>,
}

/// Permission to decrypt one first message; the next in the queue gets it when this is dropped.
#[derive(Debug)]
pub(super) struct Turn(Turns);

impl Turns {
    /// A queue with `concurrent` turns at a time, at least one.
    pub(super) fn new(concurrent: usize) -> Self {
        let queue = Queue { free: concurrent.max(1), waiting: HashMap::new(), order: VecDeque::new() };
        Self(Arc::new(Mutex::new(queue)))
    }

    /// Asks for a turn. The receiver may be dropped at any time.
    pub(super) fn request(&self, source: Source) -> oneshot::Receiver<Turn> {
        let (grant, granted) = oneshot::channel();
        let mut queue = self.lock();
        let of_source = queue.waiting.entry(source).or_default();
        let is_first = of_source.is_empty();
        of_source.push_back(grant);
        if is_first {
            queue.order.push_back(source);
        }
        drop(queue);
        self.grant();
        granted
    }

    /// Gives the free turns to those that wait.
    fn grant(&self) {
        while let Some(next) = self.take_next() {
            // A peer that is gone returns its turn here, by dropping it, which must not happen under the lock.
            drop(next.send(Turn(self.clone())));
        }
    }

    fn take_next(&self) -> Option<oneshot::Sender<Turn>> {
        let mut queue = self.lock();
        let queue = &mut *queue;
        // Bounded: each iteration removes a source or a request.
        while queue.free > 0 {
            let source = queue.order.pop_front()?;
            let Some(of_source) = queue.waiting.get_mut(&source) else { continue };
            let next = of_source.pop_front();
            if of_source.is_empty() {
                queue.waiting.remove(&source);
            } else {
                queue.order.push_back(source);
            }
            if let Some(next) = next.filter(|next| !next.is_closed()) {
                queue.free -= 1;
                return Some(next);
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            self.0.lock().free += 1;
            self.0.take_next()
        };
        if let Some(next) = next {
            // If the receiver is gone meanwhile, the turn comes back and is dropped: one level for each such request, of which
            // there are few, because closed ones are skipped.
            drop(next.send(Self(self.0.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn source(last: u8) -> Source {
        IpAddr::from([192, 0, 2, last]).into()
    }

    #[test]
    fn sources_take_turns_however_much_one_of_them_asks() {
        let turns = Turns::new(1);
        let mut crowd: VecDeque<_> = (0..1_000).map(|_| turns.request(source(9))).collect();
        let mut honest = turns.request(source(1));
        let first = crowd.pop_front().unwrap().try_recv().unwrap();
        assert!(honest.try_recv().is_err(), "one at a time");
        drop(first);
        let second = crowd.pop_front().unwrap().try_recv().unwrap();
        drop(second);
        let turn = honest.try_recv().expect("after one round");
        drop(crowd); // they are gone
        drop(turn);
        let queue = turns.lock();
        assert_eq!((queue.free, queue.waiting.len(), queue.order.len()), (1, 0, 0));
    }

    #[test]
    fn a_turn_of_a_peer_that_is_gone_goes_to_the_next() {
        let turns = Turns::new(2);
        let held: Vec<_> = (0..2).map(|_| turns.request(source(9)).try_recv().unwrap()).collect();
        drop(turns.request(source(2)));
        let mut next = turns.request(source(3));
        drop(held);
        assert!(next.try_recv().is_ok());
        drop(next);
        assert_eq!(turns.lock().free, 2);
    }
}

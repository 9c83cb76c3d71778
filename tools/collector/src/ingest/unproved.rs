//! Connections whose peers have not proved a key, by source: a full table makes room instead of rejecting.
//!
//! The one that goes is the oldest of the source with the most connections, one that has not sent its first message before one
//! that has. A source that opens thousands of idle connections therefore loses its own; a sensor elsewhere, or behind the same
//! address, keeps its place for as long as a handshake takes. Nothing is counted against an address beyond the life of its
//! connections, so that 2,500 sensors behind one address may come back at once.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Network that shares one part of the table: an IPv4 address, or the /64 of an IPv6 address, which one host has for itself.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            canonical @ IpAddr::V4(_) => Self(canonical),
        }
    }
}

/// The table. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Unproved(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    capacity: usize,
    len: usize,
    sources: HashMap<Source, Connections>,
    /// Number of the next entry: rises, so that the smallest number is the oldest.
    next: u64,
}

/// Entries of one source by number. A dropped sender tells a connection to close.
#[derive(Debug, Default)]
struct Connections {
    /// First message not complete.
    silent: BTreeMap<u64, oneshot::Sender<()>>,
    /// First message complete.
    heard: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Connections {
    fn len(&self) -> usize {
        self.silent.len() + self.heard.len()
    }
}

impl Unproved {
    /// A table of `capacity` connections, at least one.
    pub(super) fn new(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            capacity: capacity.max(1),
            len: 0,
            sources: HashMap::new(),
            next: 0,
        })))
    }

    /// Adds a connection from `source`. If the table is full, another one has to close.
    ///
    /// The receiver ends with an error when this connection has to close.
    pub(super) fn add(&self, source: Source) -> (Place, oneshot::Receiver<()>) {
        let mut table = self.lock();
        if table.len >= table.capacity {
            table.evict();
        }
        let (keep, crowded_out) = oneshot::channel();
        let number = table.next;
        table.next += 1;
        table.len += 1;
        table.sources.entry(source).or_default().silent.insert(number, keep);
        drop(table);
        (Place { table: self.clone(), source, number }, crowded_out)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn evict(&mut self) {
        // Linear in the sources, at most one for each connection: 5,000 take some microseconds, and only if the table is full.
        let largest = self.sources.iter_mut().max_by_key(|(_, connections)| connections.len());
        let Some((source, connections)) = largest else { return };
        let source = *source;
        if connections.silent.pop_first().or_else(|| connections.heard.pop_first()).is_some() {
            self.len -= 1;
        }
        if connections.len() == 0 {
            self.sources.remove(&source);
        }
    }

    fn remove(&mut self, source: Source, number: u64) {
        let Some(connections) = self.sources.get_mut(&source) else { return };
        // An evicted connection is not there any more.
        if connections.silent.remove(&number).or_else(|| connections.heard.remove(&number)).is_some() {
            self.len -= 1;
        }
        if connections.len() == 0 {
            self.sources.remove(&source);
        }
    }
}

/// Keeps a connection in [`Unproved`].
#[derive(Debug)]
pub(super) struct Place {
    table: Unproved,
    source: Source,
    number: u64,
}

impl Place {
    /// Notes that the first message is complete.
    pub(super) fn heard(&self) {
        let mut table = self.table.lock();
        let Some(connections) = table.sources.get_mut(&self.source) else { return };
        if let Some(keep) = connections.silent.remove(&self.number) {
            connections.heard.insert(self.number, keep);
        }
    }

    /// Network of the peer.
    pub(super) const fn source(&self) -> Source {
        self.source
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.lock().remove(self.source, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        IpAddr::from([192, 0, 2, last]).into()
    }

    fn is_open(crowded_out: &mut oneshot::Receiver<()>) -> bool {
        matches!(crowded_out.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }

    fn open(crowd: &mut [(Place, oneshot::Receiver<()>)]) -> usize {
        crowd.iter_mut().map(|(_, crowded_out)| usize::from(is_open(crowded_out))).sum()
    }

    #[test]
    fn a_crowd_from_one_address_crowds_out_only_itself() {
        let table = Unproved::new(4);
        let (_honest, mut honest) = table.add(source(1));
        let mut crowd: Vec<_> = (0..50).map(|_| table.add(source(9))).collect();
        assert!(is_open(&mut honest));
        assert_eq!(open(&mut crowd), 3);
        let (_late, mut late) = table.add(source(2));
        assert!(is_open(&mut honest) && is_open(&mut late));
    }

    #[test]
    fn behind_one_address_those_that_have_spoken_stay_longest() {
        let table = Unproved::new(4);
        let (honest_place, mut honest) = table.add(source(9));
        honest_place.heard();
        let mut crowd: Vec<_> = (0..50).map(|_| table.add(source(9))).collect();
        assert!(is_open(&mut honest));
        assert_eq!(open(&mut crowd), 3);
    }

    #[test]
    fn a_place_is_free_again_when_it_is_dropped_or_evicted() {
        let table = Unproved::new(2);
        let (first, _open) = table.add(source(1));
        let crowded: Vec<_> = (0..9).map(|_| table.add(source(1))).collect();
        drop(crowded);
        drop(first);
        let table = table.lock();
        assert_eq!((table.len, table.sources.len()), (0, 0));
    }

    #[test]
    fn a_host_has_one_share_of_its_ipv6_network() {
        let address = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), source(1));
    }
}

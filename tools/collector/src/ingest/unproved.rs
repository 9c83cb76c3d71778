//! Connections whose peers have not proved a key, by source: a full table makes room instead of rejecting.
//!
//! The one that goes is the oldest of the source with the most connections, one that has not sent its first message before one
//! that has. A source that opens thousands of idle connections therefore loses its own; a sensor elsewhere, or behind the same
//! address, keeps its place for as long as a handshake takes. Nothing is counted against an address beyond the life of its
//! connections, so that 2,500 sensors behind one address may come back at once.

use std::cmp::Reverse;
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
    /// Sources in the order in which they lose a connection, last first.
    order: BTreeMap<Rank, Source>,
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

/// Place in the order of eviction: number of connections, whether one of them is silent, and the number of the one that would
/// go. Unique, because that number is. Among sources with one connection each the oldest silent one goes, whatever its address.
type Rank = (usize, bool, Reverse<u64>);

impl Connections {
    /// None if there is no connection.
    fn rank(&self) -> Option<Rank> {
        let oldest = self.silent.keys().next().or_else(|| self.heard.keys().next())?;
        Some((self.silent.len() + self.heard.len(), !self.silent.is_empty(), Reverse(*oldest)))
    }

    fn remove_oldest(&mut self) -> bool {
        self.silent.pop_first().or_else(|| self.heard.pop_first()).is_some()
    }

    /// False if it is not there, because it was evicted.
    fn remove(&mut self, number: u64) -> bool {
        self.silent.remove(&number).or_else(|| self.heard.remove(&number)).is_some()
    }
}

impl Unproved {
    /// A table of `capacity` connections, at least one.
    pub(super) fn new(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            capacity: capacity.max(1),
            len: 0,
            sources: HashMap::new(),
            order: BTreeMap::new(),
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
        table.change(source, |connections| connections.silent.insert(number, keep));
        drop(table);
        (Place { table: self.clone(), source, number }, crowded_out)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn evict(&mut self) {
        let Some(source) = self.order.last_key_value().map(|(_, source)| *source) else { return };
        if self.change(source, Connections::remove_oldest) {
            self.len -= 1;
        }
    }

    fn remove(&mut self, source: Source, number: u64) {
        if self.change(source, |connections| connections.remove(number)) {
            self.len -= 1;
        }
    }

    /// Changes the connections of a source, and its place in the order. Logarithmic in both.
    fn change<T>(&mut self, source: Source, change: impl FnOnce(&mut Connections) -> T) -> T {
        let connections = self.sources.entry(source).or_default();
        if let Some(rank) = connections.rank() {
            self.order.remove(&rank);
        }
        let result = change(connections);
        match connections.rank() {
            Some(rank) => drop(self.order.insert(rank, source)),
            None => drop(self.sources.remove(&source)),
        }
        result
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
        self.table.lock().change(self.source, |connections| {
            if let Some(keep) = connections.silent.remove(&self.number) {
                connections.heard.insert(self.number, keep);
            }
        });
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
    fn among_equal_sources_the_oldest_silent_connection_goes() {
        for honest in [source(0), source(255)] {
            let table = Unproved::new(4);
            let (honest_place, mut honest) = table.add(honest);
            honest_place.heard();
            let mut crowd: Vec<_> = (1..50).map(|last| table.add(source(last))).collect();
            assert!(is_open(&mut honest));
            assert_eq!((open(&mut crowd), open(&mut crowd[46..])), (3, 3), "the newest");
        }
    }

    #[test]
    fn a_place_is_free_again_when_it_is_dropped_or_evicted() {
        let table = Unproved::new(2);
        let (first, _open) = table.add(source(1));
        let crowded: Vec<_> = (0..9).map(|_| table.add(source(1))).collect();
        drop(crowded);
        drop(first);
        let table = table.lock();
        assert_eq!((table.len, table.sources.len(), table.order.len()), (0, 0, 0));
    }

    #[test]
    fn a_host_has_one_share_of_its_ipv6_network() {
        let address = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), source(1));
    }
}

//! Table of the open connections: who may open one more, and which one makes room for it.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::activity::Activity;
use super::address::network;
use super::{HttpLimit, HttpLimits};

/// Open connections, at most [`HttpLimits::connections`]. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    limits: HttpLimits,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Address for which limits hold.
    network: IpAddr,
    peer: SocketAddr,
    activity: Activity,
    close: oneshot::Sender<HttpLimit>,
}

/// A place in the table; left when it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    connections: Connections,
    number: u64,
    pub(super) activity: Activity,
    /// The limit for which the connection has to end now.
    pub(super) close: oneshot::Receiver<HttpLimit>,
}

impl Connections {
    pub(super) fn new(limits: HttpLimits) -> Self {
        Self { limits, table: Arc::default() }
    }

    /// A place for a connection of `peer`, and the client whose idle connection made room for it, if one had to.
    ///
    /// Over the limit of one address its oldest idle connection is closed. Over the limit of all it is the oldest idle
    /// one of the address with most connections, so that a client with few keeps them.
    ///
    /// # Errors
    /// The limit, if every connection that counts is being served.
    pub(super) fn admit(&self, peer: SocketAddr) -> Result<(Admitted, Option<SocketAddr>), HttpLimit> {
        let network = network(peer.ip());
        let mut table = self.lock();
        let mut replaced = None;
        if table.count(network) >= self.limits.connections_per_address {
            replaced = Some(table.replace(network).ok_or(HttpLimit::ConnectionsPerAddress)?);
        } else if table.entries.len() >= self.limits.connections {
            let heaviest = table.networks_by_weight();
            let found = heaviest.into_iter().find_map(|network| table.replace(network));
            replaced = Some(found.ok_or(HttpLimit::Connections)?);
        }
        let activity = Activity::default();
        let (close, closed) = oneshot::channel();
        let number = table.next;
        table.next += 1;
        table.entries.insert(number, Entry { network, peer, activity: activity.clone(), close });
        drop(table);
        Ok((Admitted { connections: self.clone(), number, activity, close: closed }, replaced))
    }

    /// Ends the connections whose answer did not leave in time.
    pub(super) fn close_overdue(&self, now: Instant) {
        let mut table = self.lock();
        let overdue: Vec<u64> = table
            .entries
            .iter()
            .filter(|(_, entry)| entry.activity.is_overdue(now, self.limits.request_timeout))
            .map(|(number, _)| *number)
            .collect();
        for number in overdue {
            table.close(number, HttpLimit::RequestTimeout);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn count(&self, network: IpAddr) -> usize {
        self.entries.values().filter(|entry| entry.network == network).count()
    }

    /// Closes the connection of `network` that has been idle for longest.
    fn replace(&mut self, network: IpAddr) -> Option<SocketAddr> {
        let of_network = self.entries.iter().filter(|(_, entry)| entry.network == network);
        let idle = of_network.filter_map(|(number, entry)| Some((entry.activity.idle_since()?, *number)));
        let (_, number) = idle.min()?;
        self.close(number, HttpLimit::Idle)
    }

    /// The addresses that have connections, those with most first.
    fn networks_by_weight(&self) -> Vec<IpAddr> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for entry in self.entries.values() {
            *counts.entry(entry.network).or_default() += 1;
        }
        let mut networks: Vec<(usize, IpAddr)> =
            counts.into_iter().map(|(network, count)| (count, network)).collect();
        networks.sort_unstable_by(|left, right| right.cmp(left));
        networks.into_iter().map(|(_, network)| network).collect()
    }

    /// Tells a connection to end. Its place is free at once; the socket closes when its task has run.
    fn close(&mut self, number: u64, limit: HttpLimit) -> Option<SocketAddr> {
        let entry = self.entries.remove(&number)?;
        let _ = entry.close.send(limit); // it may have ended by itself
        Some(entry.peer)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        // Absent if another connection has taken its place.
        drop(self.connections.lock().entries.remove(&self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Four connections in all, two of one address.
    fn connections() -> Connections {
        Connections::new(HttpLimits { connections_per_address: 2, ..HttpLimits::new(4) })
    }

    #[test]
    fn over_the_limit_of_an_address_its_oldest_idle_connection_makes_room() {
        let connections = connections();
        let (mut first, _) = connections.admit(peer("192.0.2.1:1")).unwrap();
        let (mut second, _) = connections.admit(peer("192.0.2.1:2")).unwrap();
        let (_other, _) = connections.admit(peer("192.0.2.2:1")).unwrap();
        let (_third, replaced) = connections.admit(peer("192.0.2.1:3")).unwrap();
        assert_eq!(replaced, Some(peer("192.0.2.1:1")), "and none of another address");
        assert_eq!(first.close.try_recv(), Ok(HttpLimit::Idle));
        assert!(second.close.try_recv().is_err());
        drop(first);
        assert_eq!(connections.lock().entries.len(), 3, "its place is that of another connection now");
    }

    #[test]
    fn a_connection_that_is_served_is_never_closed_for_another() {
        let connections = connections();
        let (first, _) = connections.admit(peer("192.0.2.1:1")).unwrap();
        let (second, _) = connections.admit(peer("192.0.2.1:2")).unwrap();
        let (_served, served) = (first.activity.begin_request(), second.activity.begin_request());
        assert_eq!(connections.admit(peer("192.0.2.1:3")).unwrap_err(), HttpLimit::ConnectionsPerAddress);
        drop(served);
        assert_eq!(connections.admit(peer("192.0.2.1:3")).unwrap().1, Some(peer("192.0.2.1:2")));
    }

    #[test]
    fn over_the_limit_of_all_the_address_with_most_connections_gives_one_up() {
        let connections = connections();
        let (mut single, _) = connections.admit(peer("192.0.2.9:1")).unwrap();
        let places: Vec<_> = ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1"]
            .map(|text| connections.admit(peer(text)).unwrap())
            .into_iter()
            .collect();
        let (_new, replaced) = connections.admit(peer("192.0.2.3:1")).unwrap();
        assert_eq!(replaced, Some(peer("192.0.2.1:1")));
        assert!(single.close.try_recv().is_err(), "the oldest of all, but of a client with one connection");
        let _served: Vec<_> = places.iter().map(|(place, _)| place.activity.begin_request()).collect();
        let _single = single.activity.begin_request();
        let _new = _new.activity.begin_request();
        assert_eq!(connections.admit(peer("192.0.2.4:1")).unwrap_err(), HttpLimit::Connections);
    }
}

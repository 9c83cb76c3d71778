//! Which hardware address holds which IPv4 address on the captured link.

use core::time::Duration;

use sentinel_units::{Address, Mac, Timestamp};

use crate::hash::HashKey;
use crate::table::{Recycle, Set, Table};

/// A binding is forgotten after this long without being claimed or leased again: a day, so that a
/// machine switched off over night does not let another take its place unseen.
pub const BINDING_LIFETIME: Duration = Duration::from_secs(86_400);

/// Storage for four bindings.
pub type NeighbourSet = Set<Address, Binding>;

/// Who holds an address.
#[derive(Clone, Copy, Debug, Default)]
pub struct Binding {
    /// The last one to claim it.
    mac: Mac,
    /// The one that a DHCP server gave it to last.
    leased_to: Option<Mac>,
}

impl Recycle for Binding {
    fn recycle(&mut self) {
        *self = Self::default();
    }
}

/// What a claim means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// Nobody was known to hold the address.
    First,
    /// The holder says so again.
    Same,
    /// Another holds it from now on, and that is in order: a DHCP server gave it to the new holder, or
    /// one of the two is a virtual router address, which moves between machines on purpose.
    Explained,
    /// Another claims it without a reason.
    Moved {
        /// Who held it before.
        before: Mac,
    },
}

/// The bindings of the captured link.
#[derive(Debug)]
pub struct Neighbours<'m> {
    table: Table<'m, Address, Binding>,
}

impl<'m> Neighbours<'m> {
    /// Over lent storage.
    #[must_use]
    pub fn new(sets: &'m mut [NeighbourSet]) -> Self {
        Self { table: Table::new(sets, BINDING_LIFETIME) }
    }

    /// The table, for its capacity and evictions.
    #[must_use]
    pub const fn table(&self) -> &Table<'m, Address, Binding> {
        &self.table
    }

    /// `mac` claims to hold `address`. The claim stands until the next one.
    pub fn claim(&mut self, key: &HashKey, address: Address, mac: Mac, now: Timestamp) -> Claim {
        let Some(entry) = self.table.entry(key.address(address), address, now) else {
            return Claim::First;
        };
        let binding = entry.value;
        if entry.is_new {
            *binding = Binding { mac, leased_to: None };
            return Claim::First;
        }
        let before = core::mem::replace(&mut binding.mac, mac);
        if before == mac {
            Claim::Same
        } else if binding.leased_to == Some(mac) || before.is_virtual_router() || mac.is_virtual_router() {
            Claim::Explained
        } else {
            Claim::Moved { before }
        }
    }

    /// A DHCP server gave `address` to `mac`: a coming claim by it is in order.
    pub fn lease(&mut self, key: &HashKey, address: Address, mac: Mac, now: Timestamp) {
        if let Some(entry) = self.table.entry(key.address(address), address, now) {
            if entry.is_new {
                entry.value.mac = mac;
            }
            entry.value.leased_to = Some(mac);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    const KEY: HashKey = HashKey::new(1);
    const GATEWAY: Address = Address::v4(0x0a14_1e01);
    const REAL: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const FALSE: Mac = Mac([2, 0, 0, 0, 0, 0x66]);
    const VIRTUAL: Mac = Mac([0, 0, 0x5e, 0, 1, 9]);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    #[test]
    fn a_change_without_reason_is_a_move_each_time() {
        let mut sets = vec![NeighbourSet::default(); 2];
        let mut neighbours = Neighbours::new(&mut sets);
        assert_eq!(neighbours.claim(&KEY, GATEWAY, REAL, at(1)), Claim::First);
        assert_eq!(neighbours.claim(&KEY, GATEWAY, REAL, at(2)), Claim::Same);
        assert_eq!(neighbours.claim(&KEY, GATEWAY, FALSE, at(3)), Claim::Moved { before: REAL });
        assert_eq!(neighbours.claim(&KEY, GATEWAY, REAL, at(4)), Claim::Moved { before: FALSE });
    }

    #[test]
    fn a_lease_explains_its_holder_and_nobody_else() {
        let mut sets = vec![NeighbourSet::default(); 2];
        let mut neighbours = Neighbours::new(&mut sets);
        neighbours.claim(&KEY, GATEWAY, REAL, at(1));
        neighbours.lease(&KEY, GATEWAY, FALSE, at(2));
        assert_eq!(neighbours.claim(&KEY, GATEWAY, FALSE, at(3)), Claim::Explained);
        assert_eq!(neighbours.claim(&KEY, GATEWAY, REAL, at(4)), Claim::Moved { before: FALSE });
    }

    #[test]
    fn virtual_routers_move_on_purpose() {
        let mut sets = vec![NeighbourSet::default(); 2];
        let mut neighbours = Neighbours::new(&mut sets);
        neighbours.claim(&KEY, GATEWAY, REAL, at(1));
        assert_eq!(neighbours.claim(&KEY, GATEWAY, VIRTUAL, at(2)), Claim::Explained);
        assert_eq!(neighbours.claim(&KEY, GATEWAY, REAL, at(3)), Claim::Explained);
    }

    #[test]
    fn a_binding_older_than_a_day_is_forgotten() {
        let mut sets = vec![NeighbourSet::default(); 2];
        let mut neighbours = Neighbours::new(&mut sets);
        neighbours.claim(&KEY, GATEWAY, REAL, at(1));
        assert_eq!(neighbours.claim(&KEY, GATEWAY, FALSE, at(86_402)), Claim::First);
    }
}

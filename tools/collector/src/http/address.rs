//! Permits that are limited in all and for each remote address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::HttpLimit;

/// The part of an address for which limits hold: an IPv6 host chooses the last 64 bits itself (RFC 4862), so they
/// distinguish nobody.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Hands out permits: at most a number in all, and at most a number to one address. Cheap to clone.
///
/// The table holds an entry for each address that has a permit, so it is bounded by the number of permits.
#[derive(Clone, Debug)]
pub struct AddressLimiter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: (usize, HttpLimit),
    per_address: (usize, HttpLimit),
    held: Mutex<HashMap<IpAddr, usize>>,
}

impl AddressLimiter {
    /// Numbers of permits in all and for one address, and the limits that are exceeded when there is none left.
    #[must_use]
    pub fn new(total: (usize, HttpLimit), per_address: (usize, HttpLimit)) -> Self {
        Self(Arc::new(Shared { total, per_address, held: Mutex::default() }))
    }

    /// A permit, returned when it is dropped. Never waits.
    ///
    /// # Errors
    /// The limit that is exceeded, with its number.
    pub fn acquire(&self, address: IpAddr) -> Result<AddressPermit, (HttpLimit, usize)> {
        let address = network(address);
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = held.get(&address).copied().unwrap_or_default();
        let (per_address, limit) = self.0.per_address;
        if of_address >= per_address {
            return Err((limit, per_address));
        }
        let (total, limit) = self.0.total;
        if held.values().sum::<usize>() >= total {
            return Err((limit, total));
        }
        held.insert(address, of_address + 1);
        Ok(AddressPermit { limiter: self.clone(), address })
    }
}

/// A permit of an [`AddressLimiter`].
#[derive(Debug)]
pub struct AddressPermit {
    limiter: AddressLimiter,
    address: IpAddr,
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut held = self.limiter.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(held.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_limited_for_each_address_and_in_all() {
        let limiter = AddressLimiter::new((3, HttpLimit::Streams), (2, HttpLimit::StreamsPerAddress));
        let [a, b, c] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|text| text.parse::<IpAddr>().unwrap());
        let (first, _second) = (limiter.acquire(a).unwrap(), limiter.acquire(a).unwrap());
        assert_eq!(limiter.acquire(a).unwrap_err(), (HttpLimit::StreamsPerAddress, 2));
        let _third = limiter.acquire(b).unwrap();
        assert_eq!(limiter.acquire(c).unwrap_err(), (HttpLimit::Streams, 3));
        drop(first);
        let fourth = limiter.acquire(c).unwrap();
        drop(fourth);
        assert_eq!(limiter.0.held.lock().unwrap().len(), 2, "an address without a permit takes no memory");
    }

    #[test]
    fn addresses_that_one_host_chooses_count_as_one() {
        let same =
            |left: &str, right: &str| network(left.parse().unwrap()) == network(right.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }
}

//! List of addresses: sorted, disjoint ranges with the classes of each.
//!
//! Packed: starts of IPv4 ranges, starts of IPv6 ranges, both with the highest byte first, classes. A range ends where the next starts; a single
//! address, which most entries of lists are, has a mark instead of a range behind it. What no list names lies in a range without a class.

use sentinel_units::Address;

/// Mark in the classes of a range that is one address.
pub const SINGLE_ADDRESS: u8 = 0x80;
/// Bytes of a start.
const V4: usize = 4;
const V6: usize = 16;

/// One bit for each class that a packed list of `v4` and `v6` ranges has for the address.
pub(crate) fn classes(list: &[u8], (v4, v6): (usize, usize), address: Address) -> u8 {
    let mut octets = [0; V6];
    for (place, word) in octets.as_chunks_mut().0.iter_mut().zip(address.words()) {
        *place = word.to_be_bytes();
    }
    let [.., a, b, c, d] = octets;
    let short = [a, b, c, d];
    let (wanted, start, count, first) =
        if address.is_v4() { (&short[..], 0, v4, 0) } else { (&octets[..], v4.saturating_mul(V4), v6, v4) };
    let at = |index: usize| {
        let start = index.checked_mul(wanted.len()).and_then(|at| at.checked_add(start))?;
        list.get(start..)?.get(..wanted.len())
    };
    // First range behind the address.
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if at(middle).is_some_and(|start| start <= wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let Some(index) = low.checked_sub(1) else { return 0 };
    let starts = v4.saturating_mul(V4).saturating_add(v6.saturating_mul(V6));
    let place = starts.saturating_add(first).saturating_add(index);
    match list.get(place).copied().unwrap_or(0) {
        single if single & SINGLE_ADDRESS == 0 => single,
        single if at(index) == Some(wanted) => single & !SINGLE_ADDRESS,
        _ => 0,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Packed ranges, given by their starts and classes in order, and the number of those of both families.
    pub(crate) fn packed(ranges: &[(&str, u8)]) -> (Vec<u8>, (usize, usize)) {
        let (mut v4, mut v6, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        for (start, class) in ranges {
            match start.parse().unwrap() {
                std::net::IpAddr::V4(start) => v4.extend(start.octets()),
                std::net::IpAddr::V6(start) => v6.extend(start.octets()),
            }
            classes.push(*class);
        }
        let counts = (v4.len() / V4, v6.len() / V6);
        ([v4, v6, classes].concat(), counts)
    }

    fn address(text: &str) -> Address {
        text.parse::<std::net::IpAddr>().unwrap().into()
    }

    #[test]
    fn a_range_ends_where_the_next_starts_and_a_single_address_by_itself() {
        let (list, counts) = packed(&[
            ("0.0.0.0", 8 | SINGLE_ADDRESS),
            ("198.51.100.0", 16),
            ("198.51.100.7", 19),
            ("198.51.100.8", 16),
            ("198.51.101.0", 0),
            ("255.255.255.255", 4),
            ("2001:db8::", 16),
            ("2001:db8::1", 17),
            ("2001:db8::2", 16),
            ("2001:db9::", 0),
            ("2001:db9::7", 2 | SINGLE_ADDRESS),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 32),
        ]);
        assert_eq!(counts, (6, 6));
        for (text, expected) in [
            ("0.0.0.0", 8),
            ("0.0.0.1", 0),
            ("198.51.99.255", 0),
            ("198.51.100.0", 16),
            ("198.51.100.6", 16),
            ("198.51.100.7", 19),
            ("198.51.100.9", 16),
            ("198.51.100.255", 16),
            ("198.51.101.0", 0),
            ("255.255.255.254", 0),
            ("255.255.255.255", 4),
            ("::", 0),
            ("2001:db7:ffff::", 0),
            ("2001:db8::", 16),
            ("2001:db8::1", 17),
            ("2001:db8:ffff::", 16),
            ("2001:db9::", 0),
            ("2001:db9::7", 2),
            ("2001:db9::8", 0),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 32),
        ] {
            assert_eq!(classes(&list, counts, address(text)), expected, "{text}");
        }
        assert_eq!(classes(&[], (0, 0), address("198.51.100.7")), 0);
    }

    /// Memory is not hostile, but nothing may panic whatever it holds.
    #[test]
    fn any_bytes_are_a_list() {
        let (list, counts) = packed(&[("198.51.100.0", 4), ("198.51.101.0", 0), ("2001:db8::", 4)]);
        for at in 0..list.len() {
            let mut wrong = list.clone();
            wrong[at] = 255;
            for bytes in [&wrong, &list[..at]] {
                for counts in [counts, (usize::MAX, 0), (0, usize::MAX), (9, 9)] {
                    let _ = classes(bytes, counts, address("198.51.100.7"));
                    let _ = classes(bytes, counts, address("2001:db8::1"));
                }
            }
        }
    }
}

//! Networks as sorted, disjoint ranges with the classes of each.

use sentinel_detect::{AddressClass, SINGLE_ADDRESS};
use sentinel_units::{Address, Prefix};

/// Four numbers, compared from the first to the last. An edge of a network has 1 for IPv6, its address in two halves, and its class.
pub(super) type Row = [u64; 4];
/// In the class of an edge: the network ends before its address.
const END: u64 = 0x100;
const CLASSES: usize = 7;

/// Start of a network of a class, and the first address behind it, if there is one.
pub(super) fn edges_of(network: Prefix, class: AddressClass) -> impl Iterator<Item = Row> {
    let (first, last) = network.range();
    let is_v6 = !(first.is_v4() && last.is_v4());
    let mask = if is_v6 { u128::MAX } else { u128::from(u32::MAX) };
    let number = |address: Address| {
        address.words().into_iter().fold(0, |number, word| number << 32 | u128::from(word)) & mask
    };
    #[expect(clippy::as_conversions, reason = "the number of a class")]
    let class = class as u64;
    let behind = number(last).checked_add(1).filter(|behind| behind & !mask == 0);
    let [start, end] = [Some((number(first), class)), behind.map(|behind| (behind, class | END))]
        .map(|edge| edge.map(|(at, class)| row(is_v6, at, class)));
    start.into_iter().chain(end)
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "the two halves of a number")]
fn row(is_v6: bool, at: u128, class: u64) -> Row {
    [u64::from(is_v6), (at >> 64) as u64, at as u64, class]
}

/// Ranges, as they are packed.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Ranges {
    pub(super) v4: Vec<u8>,
    pub(super) v6: Vec<u8>,
    pub(super) classes: Vec<u8>,
}

impl Ranges {
    /// The ranges of networks, which are given by all their edges.
    pub(super) fn of(edges: &mut [Row]) -> Self {
        heap_sort(edges);
        let mut ranges = Self::default();
        let mut open = [0_u32; CLASSES];
        let (mut family, mut last_at, mut last) = (0, 0, 0_u8);
        let mut rest = &*edges;
        while let [[is_v6, high, low, class], behind @ ..] = rest {
            let at = u128::from(*high) << 64 | u128::from(*low);
            // Networks up to the last address of the family before have no end.
            if *is_v6 != family {
                (open, family, last) = ([0; CLASSES], *is_v6, 0);
            }
            let index = usize::try_from(class & !END).unwrap_or(CLASSES);
            if let Some(count) = open.get_mut(index) {
                *count = if class & END == 0 { *count + 1 } else { count.saturating_sub(1) };
            }
            rest = behind;
            if matches!(rest, [[next_v6, next_high, next_low, _], ..] if (next_v6, next_high, next_low) == (is_v6, high, low))
            {
                continue;
            }
            let classes =
                (0..).zip(open).fold(0, |classes, (class, count)| classes | u8::from(count > 0) << class);
            if classes == last {
                continue;
            }
            if classes == 0 && at - last_at == 1 {
                if let Some(single) = ranges.classes.last_mut() {
                    *single |= SINGLE_ADDRESS;
                }
            } else {
                ranges.push(*is_v6 != 0, at, classes);
            }
            (last_at, last) = (at, classes);
        }
        ranges
    }

    fn push(&mut self, is_v6: bool, at: u128, classes: u8) {
        let [.., a, b, c, d] = at.to_be_bytes();
        if is_v6 {
            self.v6.extend(at.to_be_bytes());
        } else {
            self.v4.extend([a, b, c, d]);
        }
        self.classes.push(classes);
    }
}

/// Heapsort (Williams, 1964). That of the standard library adds several KiB to the program for each type; this runs when a file is read.
pub(super) fn heap_sort(list: &mut [Row]) {
    // The second half are leaves, heaps already.
    for root in (0..list.len() / 2).rev() {
        sift_down(list, root);
    }
    for end in (1..list.len()).rev() {
        // The largest row is at the root; it goes behind the heap.
        list.swap(0, end);
        sift_down(list.get_mut(..end).unwrap_or_default(), 0);
    }
}

/// Restores the max-heap below `parent`: sinks its row until no child is larger.
fn sift_down(heap: &mut [Row], mut parent: usize) {
    loop {
        let left = 2 * parent + 1;
        // A child past the end is larger than nothing.
        let child = if heap.get(left + 1) > heap.get(left) { left + 1 } else { left };
        if heap.get(child) <= heap.get(parent) {
            return;
        }
        heap.swap(parent, child);
        parent = child;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranges of IPv4 as text: start, classes, and `!` for a single address.
    fn v4(networks: &[(&str, AddressClass)]) -> String {
        let ranges = ranges(networks);
        let starts =
            ranges.v4.chunks(4).map(|start| start.iter().map(u8::to_string).collect::<Vec<_>>().join("."));
        let texts = starts.zip(&ranges.classes).map(|(start, classes)| {
            let mark = if classes & SINGLE_ADDRESS == 0 { "" } else { "!" };
            format!("{start}={}{mark}", classes & !SINGLE_ADDRESS)
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    fn ranges(networks: &[(&str, AddressClass)]) -> Ranges {
        let edges = networks.iter().flat_map(|(network, class)| edges_of(network.parse().unwrap(), *class));
        Ranges::of(&mut edges.collect::<Vec<_>>())
    }

    #[test]
    fn an_address_has_the_classes_of_all_networks_around_it() {
        use AddressClass::{Datacenter, Malicious, TorExitNode, TorRelay};
        for (networks, expected) in [
            (&[][..], ""),
            (&[("198.51.100.1", Malicious)], "198.51.100.1=1!"),
            (&[("198.51.100.1", Malicious), ("198.51.100.1", Malicious)], "198.51.100.1=1!"),
            (
                &[("198.51.100.4", Malicious), ("198.51.100.2", TorExitNode), ("198.51.100.1", Malicious)],
                "198.51.100.1=1 198.51.100.2=2! 198.51.100.4=1!",
            ),
            (&[("198.51.100.2/31", Malicious)], "198.51.100.2=1 198.51.100.4=0"),
            (
                &[("198.51.100.0/24", Datacenter), ("198.51.100.7", Malicious), ("198.51.100.7", TorRelay)],
                "198.51.100.0=16 198.51.100.7=21 198.51.100.8=16 198.51.101.0=0",
            ),
            (
                &[("255.255.255.255", TorRelay), ("0.0.0.0", Malicious), ("::1", Malicious)],
                "0.0.0.0=1! 255.255.255.255=4",
            ),
            (&[("0.0.0.0/0", Malicious), ("2001:db8::/32", Malicious)], "0.0.0.0=1"),
        ] {
            assert_eq!(v4(networks), expected);
        }
    }

    #[test]
    fn families_do_not_touch() {
        use AddressClass::{Malicious, ProxyVpn};
        let ranges = ranges(&[("::/0", ProxyVpn), ("0.0.0.0/0", Malicious), ("2001:db8::7", Malicious)]);
        assert_eq!((ranges.v4.len(), ranges.v6.len()), (4, 3 * 16));
        assert_eq!(ranges.classes, [1, 32, 33, 32]);
        let last = self::ranges(&[("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ProxyVpn)]);
        assert_eq!(last.classes, [32]);
    }

    #[test]
    fn rows_are_sorted() {
        let mut rows: Vec<Row> =
            (0..1_000_u64).map(|number| [number * 617 % 101, number % 7, number, 0]).collect();
        let mut expected = rows.clone();
        expected.sort_unstable();
        heap_sort(&mut rows);
        assert_eq!(rows, expected);
    }
}

//! Files against plain sets.

use std::collections::BTreeSet;
use std::time::Instant;

use sentinel_detect::indicators::{HEADER, Indicators, KeyHash, KeyKind, mixed};

use super::*;

fn geometry(file: &[u8]) -> Geometry {
    Geometry::parse(file.first_chunk().unwrap()).unwrap()
}

fn memory(file: &[u8]) -> Indicators<'_> {
    let geometry = geometry(file);
    Indicators::of(geometry, &file[HEADER + geometry.checksums()..]).unwrap()
}

/// True if the second section has the key, which passes the filter.
fn is_confirmed(file: &[u8], key: u64) -> bool {
    let geometry = geometry(file);
    let (len, _) = geometry.sections();
    let second = &file[HEADER + geometry.checksums() + len..];
    let slots = geometry.slots(key);
    let word = |place: u32| {
        let at = usize::try_from(place).unwrap() * 4;
        u32::from_le_bytes(second[at..at + 4].try_into().unwrap())
    };
    slots.places.into_iter().fold(slots.second, |bits, place| bits ^ word(place)) == 0
}

fn name(number: u32) -> Indicator {
    Indicator::Name(format!("host{number}.test"))
}

fn key(number: u32) -> u64 {
    KeyHash::default().before(format!("host{number}.test").as_bytes()).key(KeyKind::Name)
}

#[test]
fn addresses_are_exact() {
    let draw = |number: u32| u32::try_from(mixed(u64::from(number)) & 0xffff_ffff).unwrap();
    for count in [1, 2, 3, 100, 5_000, 60_000] {
        let mut set: BTreeSet<u32> = (0..count).map(draw).collect();
        set.extend([0, u32::MAX, 0x0a00_0000, 0x0a00_0001, 0x0a00_0002]);
        let entries: Vec<_> = set.iter().map(|address| Indicator::Addresses(*address, *address)).collect();
        let (file, _) = pack(&entries, false).unwrap();
        let list = memory(&file);
        assert!(set.iter().all(|address| list.has_address(*address)), "{count}");
        let others = (0..50_000).map(|number| draw(number + 1_000_000));
        let near = set.iter().flat_map(|address| [address.wrapping_add(1), address.wrapping_sub(1)]);
        for address in others.chain(near) {
            assert_eq!(list.has_address(address), set.contains(&address), "{count}: {address:#x}");
        }
    }
}

#[test]
fn filters_of_all_sizes_hold_their_keys() {
    for count in [1, 2, 3, 10, 100, 1_000, 30_000] {
        let entries: Vec<_> = (0..count).map(name).collect();
        let (file, summary) = pack(&entries, false).unwrap();
        let list = memory(&file);
        for number in 0..count {
            assert!(
                list.passes(key(number)).is_some() && is_confirmed(&file, key(number)),
                "{count}: {number}"
            );
        }
        assert_eq!(file.len(), HEADER + geometry(&file).checksums() + summary.memory + summary.second);
    }
}

/// A key that is not listed passes 16 bits once in 65,536 times, and 48 bits never in a test.
#[test]
fn the_rate_of_false_hits_is_as_stated() {
    let entries: Vec<_> = (0..20_000).map(name).collect();
    let (file, _) = pack(&entries, false).unwrap();
    let list = memory(&file);
    let tries = 4_000_000;
    let false_hits: Vec<_> =
        (1_000_000..1_000_000 + tries).filter(|number| list.passes(key(*number)).is_some()).collect();
    // 61 are expected; five standard deviations are 39.
    assert!((22..=100).contains(&false_hits.len()), "{} of {tries}", false_hits.len());
    assert!(!false_hits.iter().any(|number| is_confirmed(&file, key(*number))));
}

/// 1.2 million names and 400,000 addresses, as large lists are mixed.
#[test]
fn one_million_six_hundred_thousand_entries_take_less_than_four_megabytes() {
    let mut entries: Vec<_> = (0..1_200_000).map(name).collect();
    let draw = |number: u32| u32::try_from(mixed(u64::from(number)) & 0xffff_ffff).unwrap();
    entries.extend((0..400_000).map(|number| Indicator::Addresses(draw(number), draw(number))));
    let start = Instant::now();
    let (file, summary) = pack(&entries, false).unwrap();
    println!("{summary} ({} ms)", start.elapsed().as_millis());
    assert!(summary.memory < 4 << 20, "{summary}");
    let list = memory(&file);
    assert!((0..1_200_000).step_by(1_001).all(|number| list.passes(key(number)).is_some()));
    assert!((0..400_000).step_by(101).all(|number| list.has_address(draw(number))));
    // Sizes follow from the numbers alone.
    let bytes = |addresses: usize, keys: usize| {
        let (segment_log, segments) = fuse::sizes(keys);
        let (addresses, keys) = (u32::try_from(addresses).unwrap(), u32::try_from(keys).unwrap());
        let low_bits = low_bits(usize::try_from(addresses).unwrap());
        Geometry { addresses, keys, segment_log, segments, low_bits, ..Geometry::default() }.sections().0
    };
    assert_eq!(bytes(summary.addresses, summary.keys), summary.memory);
    assert_eq!([bytes(0, 1_600_000), bytes(1_600_000, 0)], [3_604_480, 2_694_916]);
}

/// Memory is not hostile, but nothing may panic whatever it holds.
#[test]
fn any_bytes_are_a_list() {
    let entries = [name(1), name(2), Indicator::Addresses(7, 300)];
    let (file, _) = pack(&entries, false).unwrap();
    let start = HEADER + geometry(&file).checksums();
    for at in (0..HEADER).chain(start..file.len()) {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut wrong = file.clone();
            wrong[at] = byte;
            let Some(geometry) = Geometry::parse(wrong.first_chunk().unwrap()) else { continue };
            if let Some(list) = Indicators::of(geometry, &wrong[start..]) {
                let _ = (list.has_address(7), list.has_address(u32::MAX), list.passes(key(1)));
            }
        }
    }
    for len in 0..file.len() - start {
        let geometry = geometry(&file);
        assert!(
            Indicators::of(geometry, &file[start..start + len]).is_none() || len >= geometry.sections().0
        );
    }
}

#[test]
fn what_is_allowed_is_left_out_and_the_file_replaces_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let at = |file: &str| directory.path().join(file);
    std::fs::write(
        at("list.txt"),
        "evil.test\ngoogle.com\nfine.test\nlisted.fine.test\n10.1.1.1\n198.51.100.1\n",
    )
    .unwrap();
    std::fs::write(
        at("allow.json"),
        r#"{"name":"x","type":"hostname","list":["fine.test","198.51.0.0/16"]}"#,
    )
    .unwrap();
    for allow in [&[][..], &[at("allow.json")]] {
        let summary = compile(&[at("list.txt")], allow, false, &at("list.bin")).unwrap();
        let file = std::fs::read(at("list.bin")).unwrap();
        let list = memory(&file);
        let is_listed =
            |name: &str| list.passes(KeyHash::default().before(name.as_bytes()).key(KeyKind::Name)).is_some();
        assert!(is_listed("evil.test") && is_listed("listed.fine.test") && !is_listed("google.com"));
        assert_eq!(
            (is_listed("fine.test"), summary.allowed),
            (allow.is_empty(), if allow.is_empty() { 2 } else { 4 })
        );
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 3, "no draft is left");
    std::fs::write(at("empty.txt"), "# nothing\n").unwrap();
    assert!(compile(&[at("empty.txt")], &[], false, &at("list.bin")).is_err());
}

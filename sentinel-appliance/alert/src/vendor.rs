//! Vendor of a hardware address, by its first 24 bits.
//!
//! Read first: IEEE 802-2014 clause 8. The table has all prefixes of fifty vendors of devices that are common in homes and have few of them,
//! at most 2 KiB: `tools/learn` packs it from the registry of 2022-08-27. All others are unknown, as are addresses that are made up
//! (locally administered). Who forges an address takes that of any vendor.

use sentinel_units::Mac;

/// Length and text of a name, number of prefixes, prefixes of three bytes; again and again until the end.
static TABLE: &[u8] = include_bytes!("vendors.table");

const _: () = assert!(TABLE.len() <= 2_048, "part of the device program");

/// Vendor of a hardware address, or `None` if the table does not have it.
#[must_use]
pub fn vendor(mac: Mac) -> Option<&'static str> {
    let [a, b, c, ..] = mac.0;
    let mut left = TABLE;
    loop {
        let (length, behind) = left.split_first()?;
        let (name, behind) = behind.split_at_checked((*length).into())?;
        let (count, behind) = behind.split_first()?;
        let (prefixes, behind) = behind.split_at_checked(usize::from(*count) * 3)?;
        if prefixes.chunks_exact(3).any(|prefix| prefix == [a, b, c]) {
            return core::str::from_utf8(name).ok();
        }
        left = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_name_their_vendor() {
        for (mac, expected) in [
            ([0xb8, 0x27, 0xeb, 0, 0, 1], Some("Raspberry Pi")),
            ([0x3c, 0x5a, 0xb4, 0, 0, 1], Some("Google")),
            ([0xba, 0x27, 0xeb, 0, 0, 1], None),
            ([0, 0, 0, 0, 0, 0], None),
            ([0xff; 6], None),
        ] {
            assert_eq!(vendor(Mac(mac)), expected);
        }
    }

    /// Every record is whole, every prefix that of a universal unicast address, and names are plain text.
    #[test]
    fn the_table_is_sound() {
        let (mut left, mut records) = (TABLE, 0);
        while let [length, behind @ ..] = left {
            let (name, behind) = behind.split_at(usize::from(*length));
            assert!(name.is_ascii() && !name.is_empty());
            let (prefixes, behind) = behind[1..].split_at(usize::from(behind[0]) * 3);
            for prefix in prefixes.chunks_exact(3) {
                assert_eq!(prefix[0] & 3, 0, "{prefix:02x?}");
                let found = vendor(Mac([prefix[0], prefix[1], prefix[2], 1, 2, 3])).unwrap();
                assert_eq!(found.as_bytes(), name);
            }
            (left, records) = (behind, records + 1);
        }
        assert_eq!(records, 50);
    }
}

//! Tunnel headers: GRE.
//!
//! Read first: RFC 2784, RFC 2890.

/// GRE packet that carries `packet` of this `EtherType`, with a key if one is given.
#[must_use]
pub fn gre(key: Option<u32>, ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let flags = if key.is_some() { [0x20, 0] } else { [0, 0] };
    let key = key.map(u32::to_be_bytes);
    [&flags[..], &ethertype.to_be_bytes(), key.as_ref().map_or(&[], |key| &key[..]), packet].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_follows_the_type() {
        assert_eq!(gre(None, 0x0800, &[9]), [0, 0, 8, 0, 9]);
        assert_eq!(gre(Some(0x0102_0304), 0x86dd, &[9]), [0x20, 0, 0x86, 0xdd, 1, 2, 3, 4, 9]);
    }
}

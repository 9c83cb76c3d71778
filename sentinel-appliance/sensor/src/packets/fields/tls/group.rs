//! Names of key exchange groups.
//!
//! Read first: <https://www.iana.org/assignments/tls-parameters>, "TLS Supported Groups".

use super::super::layout::word;
use super::super::members::Members;

/// Groups in use, by number.
const NAMES: &str =
    "23:secp256r1,secp384r1,secp521r1,29:x25519,x448,256:ffdhe2048,ffdhe3072,ffdhe4096,ffdhe6144,ffdhe8192";
/// Groups that resist quantum computers, with drafts that were in wide use: ML-KEM alone and in hybrids, Kyber, CECPQ2.
const POST_QUANTUM: &str = "512:MLKEM512,MLKEM768,MLKEM1024,4587:SecP256r1MLKEM768,X25519MLKEM768,SecP384r1MLKEM1024,16696:CECPQ2,\
    25497:X25519Kyber768Draft00,SecP256r1Kyber768Draft00";

/// Writes the best post-quantum group that a client offers.
pub(super) fn write_offered(groups: impl Iterator<Item = u16>, members: &mut Members<'_>) {
    let mut groups = groups;
    let name = groups.find_map(|group| word(POST_QUANTUM, group.into()));
    members.optional("post_quantum_group", name.map(str::as_bytes));
}

/// Writes the group that a server chose, in TLS 1.3; other groups by their number.
pub(super) fn write_chosen(group: Option<u16>, members: &mut Members<'_>) {
    let name = group.map(|group| {
        let number = u64::from(group);
        let name = word(POST_QUANTUM, number).or_else(|| word(NAMES, number));
        name.map_or_else(|| format!("0x{group:04x}"), str::to_owned)
    });
    members.optional("group", name.as_deref().map(str::as_bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn post_quantum_groups_have_names() {
        let mut out = String::new();
        let mut members = Members::json(&mut out);
        write_offered([0x1a1a, 0x001d, 0x11ec, 0x6399].into_iter(), &mut members);
        write_offered([0x001d].into_iter(), &mut members);
        for group in [Some(0x001d), Some(0x11eb), Some(0x6399), Some(0xfe01), None] {
            write_chosen(group, &mut members);
        }
        assert_eq!(
            out,
            r#","post_quantum_group":"X25519MLKEM768","post_quantum_group":null,"group":"x25519","group":"SecP256r1MLKEM768","group":"X25519Kyber768Draft00","group":"0xfe01","group":null"#
        );
    }
}

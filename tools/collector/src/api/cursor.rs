//! Cursors of pages: a row number, and a check that it comes from a page of the same query.

use super::Problem;
use crate::store::key::hex;

/// Text of the cursor that goes on below row number `id` of the query `filter`.
pub(super) fn encode(id: i64, filter: &str) -> String {
    format!("{id:x}-{:08x}", digest(filter))
}

/// The row number of a cursor.
///
/// # Errors
/// A text that [`encode`] did not make for the same query.
pub(super) fn decode(text: &str, filter: &str) -> Result<i64, Problem> {
    let parts = text.split_once('-').and_then(|(id, check)| {
        let check = u32::from_str_radix(check, 16).ok()?;
        Some((i64::from_str_radix(id, 16).ok().filter(|id| *id >= 0)?, check))
    });
    match parts {
        Some((id, check)) if check == digest(filter) => Ok(id),
        Some(_) => Err(Problem::parameter("cursor", "the cursor is of a query with other filters")
            .allowed(["next of the page before, with its filters"])),
        None => Err(Problem::parameter("cursor", "this is no cursor").allowed(["next of the page before"])),
    }
}

/// Text of the cursor that goes on behind the entry `name` of the query `filter`.
pub(super) fn encode_name(name: &str, filter: &str) -> String {
    format!("{}-{:08x}", hex(name.as_bytes()), digest(filter))
}

/// The name of a cursor.
///
/// # Errors
/// A text that [`encode_name`] did not make for the same query.
pub(super) fn decode_name(text: &str, filter: &str) -> Result<String, Problem> {
    let name = text.split_once('-').filter(|(_, check)| u32::from_str_radix(check, 16) == Ok(digest(filter)));
    let bytes = name.and_then(|(name, _)| {
        let pairs = name.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        pairs.map(|pair| u8::from_str_radix(pair.filter(|pair| pair.len() == 2)?, 16).ok()).collect()
    });
    let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| {
        Problem::parameter("cursor", "this is no cursor of this list").allowed(["next of the page before"])
    })
}

/// FNV-1a (draft-eastlake-fnv), 32 bits: against mistakes, not against forgery, which would show what the client may see anyway.
fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_a_name_is_read_back() {
        for name in ["", "branch-7", "wien.1_x"] {
            assert_eq!(decode_name(&encode_name(name, "a"), "a").unwrap(), name);
            assert!(decode_name(&encode_name(name, "a"), "b").is_err());
        }
        for text in ["", "-", "6", "6-811c9dc5", "zz-811c9dc5", "ff-811c9dc5", "+1-811c9dc5x", "é-811c9dc5"]
        {
            assert!(decode_name(text, "").is_err(), "{text}");
        }
    }

    #[test]
    fn a_cursor_belongs_to_its_query() {
        let cursor = encode(4_711, "state=new");
        assert_eq!(decode(&cursor, "state=new").unwrap(), 4_711);
        assert!(decode(&cursor, "state=seen").is_err());
        for text in ["", "-", "1", "x-00000000", "-1-00000000", "1-", "99999999999999999999-0", "1-811c9dc5x"]
        {
            assert!(decode(text, "").is_err(), "{text}");
        }
    }
}

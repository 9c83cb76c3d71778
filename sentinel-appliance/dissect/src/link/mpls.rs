//! MPLS label stacks.
//!
//! Read first: RFC 3032 section 2.1; RFC 4928 section 3 (guessing what follows from its first nibble).

use sentinel_units::ethertype;

use crate::read::{CapturedSlice, Malformed};

/// Most labels read. Provider networks use two to four; segment routing stacks stay under ten.
const MAX_LABELS: usize = 12;

/// Skips the labels and gives the ethertype of IPv4 or IPv6 if the first nibble behind them says so,
/// else `None`. A stack does not name what it carries, so this is what routers do as well.
///
/// # Errors
/// - [`Malformed::Truncated`] or [`Malformed::BadLength`] if the stack does not end.
/// - [`Malformed::TooManyHeaders`] after twelve labels.
pub(crate) fn parse(mut slice: CapturedSlice<'_>) -> Result<(Option<u16>, CapturedSlice<'_>), Malformed> {
    for _ in 0..MAX_LABELS {
        let [_, _, bottom, _] = *slice.header()?;
        slice = slice.after(4);
        if bottom & 1 == 1 {
            let [first] = *slice.header()?;
            let carried = match first >> 4 {
                4 => Some(ethertype::IPV4),
                6 => Some(ethertype::IPV6),
                _ => None,
            };
            return Ok((carried, slice));
        }
    }
    Err(Malformed::TooManyHeaders)
}

#[cfg(test)]
mod tests {
    use super::*;

    // label 16, not the last; label 17, the last; then IPv4
    const STACK: [u8; 9] = [0, 1, 0x00, 64, 0, 1, 0x11, 64, 0x45];

    #[test]
    fn the_bottom_of_the_stack_is_found() {
        let (ethertype, remaining) = parse(CapturedSlice::new(&STACK, 9)).unwrap();
        assert_eq!((ethertype, remaining.captured), (Some(ethertype::IPV4), &[0x45][..]));
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..9 {
            assert_eq!(
                parse(CapturedSlice::new(&STACK[..cut], 9)).err(),
                Some(Malformed::Truncated),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_stack_without_end_is_an_error() {
        assert_eq!(parse(CapturedSlice::new(&[0; 64], 64)).err(), Some(Malformed::TooManyHeaders));
    }
}

//! Head of the log: what somebody outside the device remembers of it.

use core::fmt;
use core::str::FromStr;

use sentinel_seal::Chain;

use crate::record::{ChainHead, RecordId};

/// End of main at some time: epoch of the newest segment, number after its last record, and the hash chain over everything up
/// to there. Stored outside the device, it lets [`crate::RingLog::verify`] find that the log was cut off, rolled back,
/// rewritten or wiped since. As text: `NUMBER:EPOCH:CHAIN`, the chain in 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// All records in main have lower numbers.
    pub next_id: RecordId,
    /// Epoch of the newest segment; that of the next one if there is none.
    pub epoch: u64,
    /// SHA-256 hash chain over main.
    pub chain: Chain,
}

impl Head {
    pub(crate) const fn position(&self) -> ChainHead {
        ChainHead { next_id: self.next_id, chain: self.chain }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:", self.next_id, self.epoch)?;
        self.chain.as_bytes().iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// Error of parsing a [`Head`]: the text is not `NUMBER:EPOCH:CHAIN`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseHeadError;

impl fmt::Display for ParseHeadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a head is NUMBER:EPOCH:CHAIN, the chain in 64 hexadecimal digits")
    }
}

impl core::error::Error for ParseHeadError {}

impl FromStr for Head {
    type Err = ParseHeadError;

    fn from_str(text: &str) -> Result<Self, ParseHeadError> {
        let mut parts = text.split(':');
        let (Some(number), Some(epoch), Some(chain), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ParseHeadError);
        };
        Ok(Self { next_id: RecordId(number_of(number)?), epoch: number_of(epoch)?, chain: chain_of(chain)? })
    }
}

/// `parse` alone would take a sign.
fn number_of(text: &str) -> Result<u64, ParseHeadError> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits).ok_or(ParseHeadError)
}

fn chain_of(text: &str) -> Result<Chain, ParseHeadError> {
    let mut bytes = [0; Chain::LEN];
    if text.len() != 2 * Chain::LEN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ParseHeadError);
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        let digits = text.get(2 * index..2 * index + 2).ok_or(ParseHeadError)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| ParseHeadError)?;
    }
    Ok(Chain::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_reads_back_and_nothing_else_does() {
        let head = Head { next_id: RecordId(72), epoch: u64::MAX, chain: Chain::from_bytes([0xa5; 32]) };
        let text = head.to_string();
        assert_eq!(text, format!("72:18446744073709551615:{}", "a5".repeat(32)));
        assert_eq!(text.parse(), Ok(head));
        let chain = "a5".repeat(32);
        for wrong in [
            String::new(),
            format!("72:1:{}", &chain[1..]),
            format!("72:1:{chain}0"),
            format!("+72:1:{chain}"),
            format!("72::{chain}"),
            format!("72:1:{chain}:"),
            format!("72:18446744073709551616:{chain}"),
            format!("72:1:{}é", &chain[2..]),
            format!("72:1:+{}", &chain[1..]),
        ] {
            assert_eq!(wrong.parse::<Head>(), Err(ParseHeadError), "{wrong}");
        }
    }
}

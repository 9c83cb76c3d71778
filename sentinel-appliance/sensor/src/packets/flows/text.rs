//! Text of one line, built in a fixed buffer without the formatting traits.
//!
//! A flood ends one flow for each packet, so the line of a flow is on the path of a packet; numbers, times and IPv4
//! addresses by `write!` took half of the time of such a packet.

use std::fmt::{self, Write};

use sentinel_units::{Address, Timestamp};

/// Most bytes of a line. The longest has two IPv6 addresses (39 each), four counts (20 each), two times (27 each) and less
/// than 300 bytes of names.
const CAPACITY: usize = 640;

/// Length of `2025-05-15T10:30:01.`.
const SECOND_LEN: usize = 20;

/// A line of at most [`CAPACITY`] bytes; what does not fit is left out.
#[derive(Debug)]
pub(super) struct Text {
    bytes: [u8; CAPACITY],
    length: usize,
    /// Second that was written last, and its text up to the decimal point.
    second: u64,
    second_text: [u8; SECOND_LEN],
}

impl Text {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; CAPACITY], length: 0, second: u64::MAX, second_text: [0; SECOND_LEN] }
    }

    /// Removes the line.
    pub(super) const fn clear(&mut self) {
        self.length = 0;
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
            self.length = end;
        }
    }

    /// Appends a number in decimal.
    pub(super) fn number(&mut self, number: u64) -> fmt::Result {
        // 64-bit division is a function call on 32-bit machines, and counts that need it are rare.
        let Ok(mut remaining) = u32::try_from(number) else { return write!(self, "{number}") };
        let mut digits = [b'0'; 10];
        let mut first = digits.len();
        for (place, digit) in digits.iter_mut().enumerate().rev() {
            *digit += u8::try_from(remaining % 10).unwrap_or(0);
            remaining /= 10;
            first = place;
            if remaining == 0 {
                break;
            }
        }
        self.push(digits.get(first..).unwrap_or_default());
        Ok(())
    }

    /// Appends a time as [`Timestamp::rfc3339`] has it.
    pub(super) fn time(&mut self, at: Timestamp) -> fmt::Result {
        let second = at.as_secs();
        if second != self.second {
            let start = self.length;
            write!(self, "{}", at.rfc3339())?;
            if let Some(text) = self.bytes.get(start..).and_then(<[u8]>::first_chunk) {
                (self.second, self.second_text) = (second, *text);
            }
            return Ok(());
        }
        let text = self.second_text;
        self.push(&text);
        let mut micros = *b"000000Z";
        let mut remaining = at.subsec_nanos() / 1_000;
        for digit in micros.iter_mut().take(6).rev() {
            *digit += u8::try_from(remaining % 10).unwrap_or(0);
            remaining /= 10;
        }
        self.push(&micros);
        Ok(())
    }

    /// Appends an address as its `Display` has it.
    pub(super) fn address(&mut self, address: Address) -> fmt::Result {
        if !address.is_v4() {
            return write!(self, "{address}");
        }
        let [.., v4] = address.words();
        for (place, byte) in v4.to_be_bytes().into_iter().enumerate() {
            if place > 0 {
                self.push(b".");
            }
            self.number(u64::from(byte))?;
        }
        Ok(())
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_times_and_addresses_are_those_of_their_display() {
        let mut text = Text::new();
        for number in [0, 7, 10, 99, 100, 4_294_967_295, 4_294_967_296, u64::MAX] {
            text.clear();
            text.number(number).unwrap();
            assert_eq!(text.as_bytes(), number.to_string().as_bytes());
        }
        // In an order in which the second is known, changes, and comes back.
        for nanos in
            [0, 1_999, 999_999_999, 1_700_000_000_000_000_000, 1_700_000_000_123_456_789, 5, u64::MAX]
        {
            for at in [Timestamp::from_nanos(nanos), Timestamp::from_nanos(nanos)] {
                text.clear();
                text.time(at).unwrap();
                assert_eq!(text.as_bytes(), at.rfc3339().to_string().as_bytes());
            }
        }
        for address in ["0.0.0.0", "192.0.2.100", "255.255.255.255", "::", "2001:db8::1", "::ffff:1.2.3.4"] {
            let address = Address::from(address.parse::<std::net::IpAddr>().unwrap());
            text.clear();
            text.address(address).unwrap();
            assert_eq!(text.as_bytes(), address.to_string().as_bytes());
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut text = Text::new();
        text.push(&[b'a'; CAPACITY - 1]);
        text.push(b"bc");
        text.push(b"d");
        text.push(b"e");
        assert_eq!(text.as_bytes().len(), CAPACITY);
        assert!(text.as_bytes().ends_with(b"ad"));
    }
}

//! Tables of fields that lie at fixed places of a message, and their interpreter.

use sentinel_units::Timestamp;

use super::members::Members;

/// Seconds from 1900, which NTP counts from, to 1970 (RFC 5905 section 6).
const NTP_EPOCH_S: u64 = 2_208_988_800;

/// Fields at fixed places.
pub(super) struct Layout {
    /// Names, separated by spaces, as many as `fields`. Behind a name may follow `=` and the names of its values from zero on,
    /// separated by commas; one that begins with a number and a colon has that value, and those behind it the next ones. Other
    /// values are shown as numbers.
    pub(super) names: &'static str,
    /// Place of each, and how it is read. Those that are cut are left out.
    pub(super) fields: &'static [(u16, Sort)],
}

/// Reading of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sort {
    /// Big-endian number of this many bytes.
    Number(u8),
    /// Little-endian number of this many bytes.
    Little(u8),
    /// Number with a sign, of one byte.
    Signed,
    /// Part of a byte: how far right to shift, and how many bits.
    Bits(u8, u8),
    /// Address of this many bytes: 4, 6 or 16.
    Address(u8),
    /// Bytes in hexadecimal.
    Hex(u8),
    /// Seconds and fraction of eight bytes, as NTP has them; null for zero.
    NtpTime,
}

impl Sort {
    const fn len(self) -> u8 {
        match self {
            Self::Number(len) | Self::Little(len) | Self::Address(len) | Self::Hex(len) => len,
            Self::Signed | Self::Bits(..) => 1,
            Self::NtpTime => 8,
        }
    }
}

impl Layout {
    /// Writes the fields that are there.
    pub(super) fn write(&self, message: &[u8], members: &mut Members<'_>) {
        for (name, (at, sort)) in self.names.split(' ').zip(self.fields) {
            let (at, len) = (usize::from(*at), usize::from(sort.len()));
            let Some(bytes) = message.get(at..).and_then(|rest| rest.get(..len)) else { continue };
            let (name, words) = name.split_once('=').unwrap_or((name, ""));
            let value = match *sort {
                Sort::Number(_) => big(bytes),
                Sort::Little(_) => bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)),
                Sort::Bits(shift, width) => big(bytes) >> shift & ((1 << width) - 1),
                Sort::Signed => {
                    let value = bytes.first().map_or(0, |byte| i64::from(byte.cast_signed()));
                    members.number(name, value);
                    continue;
                }
                Sort::Address(_) => {
                    members.address(name, bytes);
                    continue;
                }
                Sort::Hex(_) => {
                    members.hex(name, bytes);
                    continue;
                }
                Sort::NtpTime => {
                    ntp_time(name, big(bytes), members);
                    continue;
                }
            };
            number_or_word(name, words, value, members);
        }
    }
}

fn big(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Writes the name of a value if `words` has it, else its number.
pub(super) fn number_or_word(name: &str, words: &str, value: u64, members: &mut Members<'_>) {
    match word(words, value) {
        Some(word) => members.word(name, word),
        // Numbers of 64 bits are shown as signed ones, as counters and identifiers do not reach the sign.
        None => members.number(name, value.cast_signed()),
    }
}

/// Name of a value in a list as [`Layout::names`] has it.
pub(super) fn word(words: &str, value: u64) -> Option<&str> {
    let mut number = 0;
    for word in words.split(',') {
        let (start, word) = word.split_once(':').unwrap_or(("", word));
        number = start.parse().unwrap_or(number);
        if number == value && !word.is_empty() {
            return Some(word);
        }
        number += 1;
    }
    None
}

fn ntp_time(name: &str, value: u64, members: &mut Members<'_>) {
    let (seconds, fraction) = (value >> 32, value & 0xffff_ffff);
    let nanos = u32::try_from((fraction * 1_000_000_000) >> 32).unwrap_or(0);
    // The era that began in 2036 counts from zero again (RFC 5905 section 6); no clock shows a time before 1970.
    let era = if seconds < NTP_EPOCH_S { 1 << 32 } else { 0 };
    let time = Timestamp::from_parts(seconds + era - NTP_EPOCH_S, nanos);
    members.optional(name, (value != 0).then(|| time.rfc3339().to_string()).as_deref().map(str::as_bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_names_or_numbers() {
        let words = "none,one,,5:five,six,100:hundred";
        let named = [0, 1, 2, 4, 5, 6, 7, 100, 101].map(|value| word(words, value));
        assert_eq!(
            named,
            [Some("none"), Some("one"), None, None, Some("five"), Some("six"), None, Some("hundred"), None]
        );
        let layout = Layout {
            names: "version mode=reserved,active poll rate address tag time",
            fields: &[
                (0, Sort::Bits(3, 3)),
                (0, Sort::Bits(0, 3)),
                (1, Sort::Signed),
                (2, Sort::Little(2)),
                (4, Sort::Address(4)),
                (8, Sort::Hex(2)),
                (10, Sort::NtpTime),
            ],
        };
        let message = [0x21, 0xfa, 1, 2, 192, 0, 2, 1, 0xab, 0xcd, 0x83, 0xaa, 0x7e, 0x80, 0x80, 0, 0, 0];
        let mut out = String::new();
        layout.write(&message, &mut Members::json(&mut out));
        assert_eq!(
            out,
            ",\"version\":4,\"mode\":\"active\",\"poll\":-6,\"rate\":513,\"address\":\"192.0.2.1\",\"tag\":\"abcd\",\
            \"time\":\"1970-01-01T00:00:00.500000Z\""
        );
    }
}

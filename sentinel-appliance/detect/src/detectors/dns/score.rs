//! Score of a name: how much it looks like one that an algorithm has made, in sixteenths of a nat.
//!
//! Read first: "From Throw-Away Traffic to Bots: Detecting the Rise of DGA-Based Malware" (Antonakakis et al., USENIX Security
//! 2012); "A Comprehensive Measurement Study of Domain Generating Malware" (Plohmann et al., USENIX Security 2016).
//!
//! Logistic regression over the label before the public suffix: a weight of eight bits for each pair of neighbouring characters,
//! each pair with one character between, each triple of classes of sounds, the length, a few properties of all characters, and the top-level domain. The
//! sum is the logarithm of the odds that the name is generated, if as many are as are not. `tools/learn` trains the table.

use super::suffix::{MAX_LABELS, registered_labels};

/// Classes of characters: letters, digits, all others, and the border of the label.
const CHARACTERS: usize = 38;
const BORDER: usize = 37;
const PAIRS: usize = CHARACTERS * CHARACTERS;
/// Classes of sounds.
const SOUNDS: usize = 12;
const TRIPLES: usize = SOUNDS * SOUNDS * SOUNDS;
const LENGTHS: usize = 32;
const PROPERTIES: usize = 4 * LENGTHS;

const GAPPED: usize = PAIRS;
const TRIPLE: usize = GAPPED + PAIRS;
const LENGTH: usize = TRIPLE + TRIPLES;
const PROPERTY: usize = LENGTH + LENGTHS;
/// Top-level domains share a weight by a hash of six bits.
const TOP_LEVELS: usize = 64;
const TOP_LEVEL: usize = PROPERTY + PROPERTIES;

/// Number of weights.
pub const TABLE_LEN: usize = TOP_LEVEL + TOP_LEVELS;

/// The weights, and the threshold in two bytes, most significant first.
static TABLE: &[u8; TABLE_LEN + 2] = include_bytes!("dga.table");

/// Class of sound of each character of [`CHARACTERS`], `a` to `z`, digits, other, border.
const SOUND: &[u8; CHARACTERS] = b"\x00\x03\x04\x03\x01\x05\x03\x06\x01\x07\x04\x05\x05\x05\x02\x03\x07\x05\x06\x04\x02\x07\x07\x07\x01\x07\
    \x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x09\x0a";

fn class(byte: u8) -> usize {
    match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => usize::from(letter - b'a'),
        digit @ b'0'..=b'9' => usize::from(digit - b'0') + 26,
        _ => BORDER - 1,
    }
}

fn sound(class: usize) -> usize {
    SOUND.get(class).map_or(0, |sound| usize::from(*sound))
}

/// Shows the index of every weight that counts for a label under a top-level domain. Punycode (RFC 3492) looks random by
/// design, and has no characters to judge.
pub fn features(label: &[u8], top: &[u8], visit: &mut dyn FnMut(usize)) {
    let hash =
        top.iter().fold(0_usize, |hash, byte| (hash * 31 + usize::from(byte.to_ascii_lowercase())) & 0xffff);
    visit(TOP_LEVEL + (hash ^ hash >> 7) % TOP_LEVELS);
    if label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"xn--")) {
        return;
    }
    let (mut before, mut previous) = (BORDER, BORDER);
    let (mut digits, mut vowels, mut run, mut longest, mut seen) = (0, 0, 0, 0, 0_u64);
    for &byte in label {
        let class = class(byte);
        pair(before, previous, class, visit);
        (before, previous) = (previous, class);
        seen |= 1 << class;
        let is_vowel = class < 26 && sound(class) < 3;
        digits += usize::from(sound(class) == 8);
        vowels += usize::from(is_vowel);
        run = if is_vowel || class >= 26 { 0 } else { run + 1 };
        longest = longest.max(run);
    }
    pair(before, previous, BORDER, visit);
    let bounded = |count: usize| count.min(LENGTHS - 1);
    visit(LENGTH + bounded(label.len()));
    let of_length = |count: usize| bounded(count * 24 / label.len().max(1));
    let distinct = usize::try_from(seen.count_ones()).unwrap_or(0);
    let properties = [bounded(longest), of_length(digits), of_length(vowels), of_length(distinct)];
    for (number, value) in properties.into_iter().enumerate() {
        visit(PROPERTY + number * LENGTHS + value);
    }
}

fn pair(before: usize, previous: usize, class: usize, visit: &mut dyn FnMut(usize)) {
    visit(previous * CHARACTERS + class);
    visit(GAPPED + before * CHARACTERS + class);
    visit(TRIPLE + (sound(before) * SOUNDS + sound(previous)) * SOUNDS + sound(class));
}

/// Score of the label before a public suffix, and of the last label.
pub(crate) fn label_score(label: &[u8], top: &[u8]) -> i32 {
    let mut sum = 0;
    features(label, top, &mut |index| {
        sum += TABLE.get(index).map_or(0, |weight| i32::from(weight.cast_signed()));
    });
    sum
}

/// Label before the public suffix of a name in text form, which is what a score is about; empty for a name without labels.
#[must_use]
pub fn label(name: &str) -> &str {
    let text = |label: &&str| !label.is_empty();
    let labels: heapless::Vec<&[u8], MAX_LABELS> =
        name.split('.').filter(text).map(str::as_bytes).take(MAX_LABELS).collect();
    let registered = registered_labels(&labels).filter(|count| *count > 0).unwrap_or(labels.len());
    name.split('.').filter(text).nth(labels.len().saturating_sub(registered)).unwrap_or_default()
}

/// Last label of a name in text form.
#[must_use]
pub fn top(name: &str) -> &str {
    name.rsplit('.').find(|label| !label.is_empty()).unwrap_or_default()
}

/// Score of a name in text form.
#[must_use]
pub fn score(name: &str) -> i32 {
    label_score(label(name).as_bytes(), top(name).as_bytes())
}

/// Score from which a name is called generated: one benign name in 200 reaches it.
#[must_use]
pub fn threshold() -> i32 {
    let [.., high, low] = *TABLE;
    i16::from_be_bytes([high, low]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for name in
            ["wikipedia.org", "www.openstreetmap.org", "static.bbc.co.uk", "some-long-words-together.com"]
        {
            assert!(score(name) < threshold(), "{name}: {}", score(name));
        }
        for name in ["xkqjvhwzrtplmn.com", "qzv8x3kd91mwp0tr.net", "pqwkzjxvbnmrtgh.ddns.net"] {
            assert!(score(name) >= threshold(), "{name}: {}", score(name));
        }
    }

    #[test]
    fn any_text_has_a_score() {
        for name in ["", ".", "..", "com", "\u{fc}\u{fc}.example", &"a.".repeat(300)] {
            let _any = score(name);
        }
        assert_eq!(score("Www.EXAMPLE.com"), score("example.com"), "case and hosts do not matter");
    }

    #[test]
    fn every_feature_has_a_weight() {
        for byte in 0..=u8::MAX {
            for len in [0, 1, 2, 63] {
                features(&[byte; 63][..len], &[byte; 3], &mut |index| assert!(index < TABLE_LEN));
            }
        }
    }
}

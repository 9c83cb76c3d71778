//! Punycode labels: their characters, scripts, and what they look like in ASCII.
//!
//! Read first: RFC 3492 (bootstring); Unicode TR 39 sections 4 and 5 (confusables, mixed scripts).

/// Characters of a label at most: 63 bytes less the prefix.
pub(super) const MAX_CHARACTERS: usize = 59;

/// Characters of a label.
pub(super) type Characters = heapless::Vec<u32, MAX_CHARACTERS>;

/// Parameters of RFC 3492 section 5.
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// Characters of a label behind its prefix `xn--`; `None` if it is not valid. Every step is checked for overflow.
pub(super) fn decode(encoded: &[u8]) -> Option<Characters> {
    let mut characters = Characters::new();
    let (basic, mut extended) = match encoded.iter().rposition(|byte| *byte == b'-') {
        Some(delimiter) => (encoded.get(..delimiter)?, encoded.get(delimiter + 1..)?),
        None => (&[][..], encoded),
    };
    for byte in basic {
        characters.push(byte.to_ascii_lowercase().into()).ok().filter(|()| byte.is_ascii())?;
    }
    let (mut n, mut index, mut bias) = (INITIAL_N, 0_u32, INITIAL_BIAS);
    while !extended.is_empty() {
        let before = index;
        let (mut weight, mut k) = (1_u32, BASE);
        loop {
            let (digit, behind) = extended.split_first()?;
            extended = behind;
            let digit = match digit.to_ascii_lowercase() {
                letter @ b'a'..=b'z' => letter - b'a',
                digit @ b'0'..=b'9' => digit - b'0' + 26,
                _ => return None,
            };
            let digit = u32::from(digit);
            index = index.checked_add(digit.checked_mul(weight)?)?;
            let t = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
            if digit < t {
                break;
            }
            weight = weight.checked_mul(BASE - t)?;
            k += BASE;
        }
        let length = u32::try_from(characters.len()).ok()? + 1;
        bias = adapted(index - before, length, before == 0);
        n = n.checked_add(index / length)?;
        index %= length;
        char::from_u32(n)?;
        characters.insert(usize::try_from(index).ok()?, n).ok()?;
        index += 1;
    }
    Some(characters)
}

/// RFC 3492 section 6.1.
fn adapted(delta: u32, characters: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / DAMP } else { delta / 2 };
    delta += delta / characters;
    let mut k = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

/// Alphabets that have letters in common, as bits; zero for all other characters.
pub(super) fn script(character: u32) -> u8 {
    match character {
        0x41..=0x5a | 0x61..=0x7a | 0xc0..=0x2af | 0x1e00..=0x1eff | 0xff21..=0xff5a => 1,
        0x370..=0x3ff | 0x1f00..=0x1fff => 2,
        0x400..=0x52f => 4,
        0x530..=0x58f => 8,
        _ => 0,
    }
}

/// Letters of U+00E0 to U+017F without their marks; a dash where there is no single one.
const LATIN: &[u8; 160] =
    b"aaaaaa-ceeeeiiii-nooooo-ouuuuy-yaaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii--jjkkklllllllllln\
nnnnn-nnoooooo--rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzz-";
/// Letters of U+1E00 to U+1EFF, likewise.
const LATIN_ADDITIONAL: &[u8; 256] =
    b"aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrrrrrrssss\
ssssssttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwy------aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeeeeeeeeeee\
iiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy------";

/// Letters of other alphabets, and Latin ones of another form, that look like ASCII ones: code point and letter. From the
/// confusables of TR 39, of lower-case letters, which are all that a domain has.
const LOOKALIKES: [(u16, u8); 61] = [
    (0x0251, b'a'),
    (0x0253, b'b'),
    (0x0261, b'g'),
    (0x0269, b'i'),
    (0x026a, b'i'),
    (0x028b, b'u'),
    (0x028f, b'y'),
    (0x1d00, b'a'),
    (0x1d04, b'c'),
    (0x1d0f, b'o'),
    (0x1d1c, b'u'),
    (0x1d20, b'v'),
    (0x1d21, b'w'),
    (0x1d22, b'z'),
    (0x03b1, b'a'),
    (0x03b3, b'y'),
    (0x03b5, b'e'),
    (0x03b7, b'n'),
    (0x03b9, b'i'),
    (0x03ba, b'k'),
    (0x03bd, b'v'),
    (0x03bf, b'o'),
    (0x03c1, b'p'),
    (0x03c3, b'o'),
    (0x03c4, b't'),
    (0x03c5, b'u'),
    (0x03c7, b'x'),
    (0x03c9, b'w'),
    (0x03f2, b'c'),
    (0x03f3, b'j'),
    (0x0430, b'a'),
    (0x0432, b'b'),
    (0x0433, b'r'),
    (0x0435, b'e'),
    (0x043a, b'k'),
    (0x043c, b'm'),
    (0x043d, b'h'),
    (0x043e, b'o'),
    (0x0440, b'p'),
    (0x0441, b'c'),
    (0x0442, b't'),
    (0x0443, b'y'),
    (0x0445, b'x'),
    (0x0451, b'e'),
    (0x0455, b's'),
    (0x0456, b'i'),
    (0x0457, b'i'),
    (0x0458, b'j'),
    (0x0475, b'v'),
    (0x04bb, b'h'),
    (0x04cf, b'l'),
    (0x0501, b'd'),
    (0x051b, b'q'),
    (0x051d, b'w'),
    (0x0563, b'q'),
    (0x0570, b'h'),
    (0x0578, b'n'),
    (0x057d, b'u'),
    (0x0581, b'g'),
    (0x0585, b'o'),
    (0x0566, b'q'),
];

/// ASCII character that one looks like, and true if it is one of another alphabet or form, not only with a mark; `None` if it looks like
/// none.
pub(super) fn skeleton(character: u32) -> Option<(u8, bool)> {
    let at = |table: &[u8], start: u32| {
        let letter = usize::try_from(character - start).ok().and_then(|index| table.get(index).copied());
        letter.filter(|letter| *letter != b'-').map(|letter| (letter, false))
    };
    match character {
        0..=0x7f => u8::try_from(character).ok().map(|ascii| (ascii, false)),
        // A letter without its dot, which looks more alike than one with a mark.
        0x131 => Some((b'i', true)),
        0xe0..=0x17f => at(LATIN, 0xe0),
        0x1e00..=0x1eff => at(LATIN_ADDITIONAL, 0x1e00),
        _ => LOOKALIKES
            .iter()
            .find(|(known, _)| u32::from(*known) == character)
            .map(|(_, letter)| (*letter, true)),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn decoded(encoded: &str) -> Option<String> {
        let characters = decode(encoded.as_bytes())?;
        characters.iter().map(|character| char::from_u32(*character)).collect()
    }

    /// RFC 3492 section 7.1, and names of use.
    #[test]
    fn published_examples_are_decoded() {
        for (encoded, text) in [
            ("egbpdaj6bu4bxfgehfvwxn", "ليهمابتكلموشعربي؟"),
            ("ihqwcrb4cv8a8dqg056pqjye", "他们为什么不说中文"),
            ("Proprostnemluvesky-uyb24dma41a", "pročprostěnemluvíčesky"),
            ("b1abfaaepdrnnbgefbadotcwatmq2g4l", "почемужеонинеговорятпорусски"),
            ("PorqunopuedensimplementehablarenEspaol-fmd56a", "porquénopuedensimplementehablarenespañol"),
            ("80ak6aa92e", "аррӏе"),
            ("mnchen-3ya", "münchen"),
            ("pypal-4ve", "pаypal"),
        ] {
            // Letters are lower case here: domains have no others.
            assert_eq!(decoded(encoded).as_deref(), Some(text), "{encoded}");
        }
        assert_eq!(decoded("a- "), None);
    }

    #[test]
    fn no_input_does_more_than_fail() {
        let mut random = crate::testkit::Random(7);
        for _ in 0..20_000 {
            let len = random.below(60);
            let label: Vec<u8> =
                (0..len).map(|_| b"abcxyz0189-"[usize::try_from(random.below(11)).unwrap()]).collect();
            if let Some(characters) = decode(&label) {
                assert!(
                    characters.len() <= label.len()
                        && characters.iter().all(|character| char::from_u32(*character).is_some())
                );
                characters.iter().for_each(|character| _ = skeleton(*character));
            }
        }
        for label in ["", "-", "a-", "99999999", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "a-!", "é"] {
            let _must_not_panic = decode(label.as_bytes());
        }
    }

    #[test]
    fn tables_have_the_letter_that_each_character_looks_like() {
        for (text, expected, is_other) in [
            ("äéñøůžś", "aenouzs", false),
            ("ạḅọỹẑ", "aboyz", false),
            ("аеорсухѕіј", "aeopcyxsij", true),
            ("αορν", "aopv", true),
            ("ɑɡı", "agi", true),
        ] {
            for (character, letter) in text.chars().zip(expected.bytes()) {
                assert_eq!(skeleton(character.into()), Some((letter, is_other)), "{character}");
            }
        }
        for character in "中جßæþжשあ".chars() {
            assert_eq!(skeleton(character.into()), None, "{character}");
        }
        assert_eq!(skeleton(u32::from(b'q')), Some((b'q', false)));
    }
}

//! Names of sensors: used in shell commands, URLs and metric labels.

/// Maximum length of a sensor's name, in characters.
pub const MAX_NAME_LEN: usize = 48;

/// Returns true for 1 to [`MAX_NAME_LEN`] ASCII letters, digits, `.`, `_` and `-`, which commands cannot take for an option or
/// for the number of a sensor: the first is no `-`, and not all are digits.
#[must_use]
pub fn is_valid_name(text: &str) -> bool {
    (1..=MAX_NAME_LEN).contains(&text.len())
        && text.chars().all(is_allowed)
        && !text.starts_with('-')
        && !text.chars().all(|char| char.is_ascii_digit())
}

/// A name that a sensor requested, cut to [`MAX_NAME_LEN`] and with `-` for each character that is not allowed, but none at the
/// start. Empty if nothing is left. A number stays one, and is not valid.
#[must_use]
pub fn sanitize_name(requested: &str) -> String {
    let replace = |char| if is_allowed(char) { char } else { '-' };
    requested.trim().chars().map(replace).skip_while(|char| *char == '-').take(MAX_NAME_LEN).collect()
}

fn is_allowed(char: char) -> bool {
    char.is_ascii_alphanumeric() || "._-".contains(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sanitized_name_is_valid_or_empty() {
        for text in ["branch-7", " at home; \"x\" ", "\u{1b}[2J", "köln", &"x".repeat(80), "a/../b"] {
            assert!(is_valid_name(&sanitize_name(text)), "{text}");
        }
        assert_eq!(sanitize_name("  \t"), "");
        assert_eq!((sanitize_name("--json").as_str(), sanitize_name("-").as_str()), ("json", ""));
        // `sentinel-collector revoke 7` means the sensor of number 7.
        assert_eq!(sanitize_name("0042"), "0042");
        for number in ["7", "0042", "-1", "-x"] {
            assert!(!is_valid_name(number), "{number}");
        }
        assert!(is_valid_name("7b") && is_valid_name("1.2"));
        assert!(!is_valid_name("") && !is_valid_name(&"x".repeat(49)) && !is_valid_name("a b"));
    }
}

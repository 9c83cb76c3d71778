//! JSON documents from files and from the status socket, read with bounds.

use std::fmt;

use tinyjson::JsonValue;

/// Deepest nesting. The parser recurses, so a deeper document could exhaust the stack.
const MAX_DEPTH: usize = 8;

/// Parses a document.
///
/// # Errors
/// The document is nested too deep, or not JSON.
pub(crate) fn parse(text: &str) -> Result<JsonValue, JsonError> {
    if !is_shallow(text) {
        return Err(JsonError::Depth);
    }
    text.parse().map_err(JsonError::Syntax)
}

/// Reason why a document is not read.
#[derive(Debug)]
pub(crate) enum JsonError {
    /// Deeper than [`MAX_DEPTH`].
    Depth,
    /// Not JSON.
    Syntax(tinyjson::JsonParseError),
}

impl fmt::Display for JsonError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth => write!(out, "nested deeper than {MAX_DEPTH} levels"),
            Self::Syntax(error) => write!(out, "not JSON: {error}"),
        }
    }
}

/// Member of an object.
pub(crate) fn member<'v>(value: &'v JsonValue, name: &str) -> Option<&'v JsonValue> {
    #[expect(
        clippy::disallowed_types,
        reason = "the package's type for objects; read at start or by a command"
    )]
    type Object = std::collections::HashMap<String, JsonValue>;
    value.get::<Object>().and_then(|object| object.get(name))
}

/// Number without a fraction, at most 2^53: the package has floating point for all numbers, which is exact up to there.
pub(crate) fn whole(value: &JsonValue) -> Option<u64> {
    let number = *value.get::<f64>()?;
    #[expect(clippy::as_conversions, reason = "saturates, and is compared with what it came from")]
    let whole = number as u64;
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "exact up to 2^53")]
    let is_whole = whole <= 1 << 53 && whole as f64 == number;
    is_whole.then_some(whole)
}

fn is_shallow(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_are_not_nesting() {
        let text = format!("{{\"a\":\"{}\\\"[\"}}", "[".repeat(100));
        let document = parse(&text).unwrap();
        assert!(member(&document, "a").is_some() && member(&document, "b").is_none());
    }

    #[test]
    fn integers_are_distinguished_from_other_numbers() {
        for (text, expected) in [("0", Some(0)), ("4444.0", Some(4_444)), ("9007199254740992", Some(1 << 53))]
        {
            assert_eq!(whole(&parse(text).unwrap()), expected);
        }
        for text in ["0.5", "-1", "1e300", "9007199254740994", "\"7\""] {
            assert_eq!(whole(&parse(text).unwrap()), None, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_it_is_parsed() {
        assert!(parse(&"[".repeat(200_000)).unwrap_err().to_string().contains("nested deeper"));
        assert!(parse(&("[".repeat(8) + &"]".repeat(8))).is_ok());
    }
}

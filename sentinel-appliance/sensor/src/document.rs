//! JSON documents from files and from the status socket, read with bounds.

use tinyjson::JsonValue;

/// Deepest nesting: the parser recurses, and a deeper document must not exhaust the stack.
const MAX_DEPTH: usize = 8;

/// Parses a document.
///
/// # Errors
/// What is wrong with it, for people.
pub(crate) fn parse(text: &str) -> Result<JsonValue, String> {
    check_depth(text)?;
    text.parse().map_err(|error| format!("not JSON: {error}"))
}

/// The member of an object.
pub(crate) fn member<'v>(value: &'v JsonValue, name: &str) -> Option<&'v JsonValue> {
    #[expect(
        clippy::disallowed_types,
        reason = "the package's type for objects; read at start or by a command"
    )]
    type Object = std::collections::HashMap<String, JsonValue>;
    value.get::<Object>().and_then(|object| object.get(name))
}

fn check_depth(text: &str) -> Result<(), String> {
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
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
    }
    Ok(())
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
    fn deep_nesting_is_refused_before_it_is_parsed() {
        assert!(parse(&"[".repeat(200_000)).unwrap_err().contains("nested deeper"));
        assert!(parse(&("[".repeat(8) + &"]".repeat(8))).is_ok());
    }
}

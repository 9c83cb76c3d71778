//! Access to JSON values by pointer (RFC 6901), with errors that show the complete value.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Unsigned integer at `pointer`.
///
/// # Errors
/// If there is none.
pub fn number(value: &Value, pointer: &str) -> Result<u64> {
    let found = value.pointer(pointer).and_then(Value::as_u64);
    found.with_context(|| format!("no number at {pointer} of {value}"))
}

/// Text at `pointer`.
///
/// # Errors
/// If there is none.
pub fn text<'v>(value: &'v Value, pointer: &str) -> Result<&'v str> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.with_context(|| format!("no text at {pointer} of {value}"))
}

/// Elements of the list at `pointer`.
///
/// # Errors
/// If there is none.
pub fn list<'v>(value: &'v Value, pointer: &str) -> Result<&'v [Value]> {
    let found = value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice);
    found.with_context(|| format!("no list at {pointer} of {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_missing_value_is_an_error_that_shows_the_complete_value() {
        let answer = json!({"a": {"b": 7}, "c": ["x"]});
        assert_eq!(number(&answer, "/a/b").unwrap(), 7);
        assert_eq!(text(&answer, "/c/0").unwrap(), "x");
        assert_eq!(list(&answer, "/c").unwrap().len(), 1);
        let error = number(&answer, "/a/c").unwrap_err().to_string();
        assert!(error.contains("/a/c") && error.contains("\"b\":7"), "{error}");
    }
}

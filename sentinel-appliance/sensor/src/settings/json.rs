//! JSON documents from files and from the status socket, read with bounds.

use std::fmt;

use tinyjson::JsonValue;

/// Deepest nesting. The parser recurses, so a deeper document could exhaust the stack.
const MAX_DEPTH: usize = 8;

/// Members of an object.
#[expect(clippy::disallowed_types, reason = "the package's type for objects; read at start or by a command")]
pub(crate) type Object = std::collections::HashMap<String, JsonValue>;

/// Parses a document (RFC 8259) to the values of tinyjson. A number that is not whole, or is above 2^53, becomes NaN: no caller
/// takes one.
///
/// Not with the parser of the package, which reads floating point: the powers of five for that are 10 KiB that no compression makes
/// smaller.
///
/// # Errors
/// The document is nested too deep, or not JSON.
pub(crate) fn parse(text: &str) -> Result<JsonValue, JsonError> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.wants("the end")),
    }
}

/// Reason why a document is not read.
#[derive(Debug)]
pub(crate) enum JsonError {
    /// Deeper than [`MAX_DEPTH`].
    Depth,
    /// Not JSON, from this line and character on, both counted from 1.
    Syntax { line: usize, column: usize, wants: &'static str },
}

impl fmt::Display for JsonError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth => write!(out, "nested deeper than {MAX_DEPTH} levels"),
            Self::Syntax { line, column, wants } => {
                write!(out, "not JSON: line {line}, character {column}: want {wants}")
            }
        }
    }
}

/// Member of an object.
pub(crate) fn member<'v>(value: &'v JsonValue, name: &str) -> Option<&'v JsonValue> {
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

struct Parser<'t> {
    text: &'t str,
    /// Bytes read.
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn wants(&self, wants: &'static str) -> JsonError {
        let read = self.text.get(..self.at).unwrap_or_default();
        let line = read.rsplit('\n').next().unwrap_or_default();
        JsonError::Syntax { line: read.split('\n').count(), column: line.chars().count() + 1, wants }
    }

    /// Next byte, if it is one of `wanted`.
    fn take(&mut self, wanted: &[u8]) -> Option<u8> {
        let byte = self.rest().bytes().next().filter(|byte| wanted.contains(byte))?;
        self.at += 1;
        Some(byte)
    }

    /// Next byte that is not white space; it stays.
    fn peek(&mut self) -> Option<u8> {
        while self.take(b" \t\r\n").is_some() {}
        self.rest().bytes().next()
    }

    fn value(&mut self, depth: usize) -> Result<JsonValue, JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::Depth);
        }
        match self.peek() {
            Some(b'{') => {
                let mut members = Object::new();
                self.items(b'}', "',' or '}'", &mut |parser| {
                    let name = parser.string()?;
                    match parser.peek() {
                        Some(b':') => parser.at += 1,
                        _ => return Err(parser.wants("':'")),
                    }
                    members.insert(name, parser.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(JsonValue::Object(members))
            }
            Some(b'[') => {
                let mut values = Vec::new();
                self.items(b']', "',' or ']'", &mut |parser| {
                    values.push(parser.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(JsonValue::Array(values))
            }
            Some(b'"') => self.string().map(JsonValue::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(JsonValue::Number),
            _ => self.word(),
        }
    }

    /// Members or values up to `end`, of which the first byte is read already.
    fn items(
        &mut self,
        end: u8,
        wants: &'static str,
        item: &mut dyn FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.at += 1;
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            let next = self.peek();
            if next != Some(end) && next != Some(b',') {
                return Err(self.wants(wants));
            }
            self.at += 1;
            if next == Some(end) {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> Result<JsonValue, JsonError> {
        let words = [
            ("null", JsonValue::Null),
            ("true", JsonValue::Boolean(true)),
            ("false", JsonValue::Boolean(false)),
        ];
        let found = words.into_iter().find(|(word, _)| self.rest().starts_with(word));
        let (word, value) = found.ok_or_else(|| self.wants("a value"))?;
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> Result<String, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.wants("a text"));
        }
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(next) = self.rest().chars().next() else { return Err(self.wants("'\"'")) };
            if next < ' ' {
                return Err(self.wants("no control character in a text"));
            }
            self.at += next.len_utf8();
            match next {
                '"' => return Ok(text),
                '\\' => text.push(self.escaped()?),
                _ => text.push(next),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, JsonError> {
        const ESCAPES: &[(u8, char)] = &[
            (b'"', '"'),
            (b'\\', '\\'),
            (b'/', '/'),
            (b'b', '\u{8}'),
            (b'f', '\u{c}'),
            (b'n', '\n'),
            (b'r', '\r'),
            (b't', '\t'),
        ];
        if self.take(b"u").is_some() {
            return self.utf16();
        }
        let found = ESCAPES.iter().find(|(letter, _)| self.take(&[*letter]).is_some());
        found.map(|(_, char)| *char).ok_or_else(|| self.wants("an escape of JSON"))
    }

    /// Code point of one or two escapes `\u`, of which the first two characters are read already.
    fn utf16(&mut self) -> Result<char, JsonError> {
        let first = self.unit()?;
        let mut units = [first, 0];
        let mut len = 1;
        if (0xd800..0xdc00).contains(&first) && self.rest().starts_with("\\u") {
            self.at += 2;
            units[1] = self.unit()?;
            len = 2;
        }
        match char::decode_utf16(units.into_iter().take(len)).next() {
            Some(Ok(char)) => Ok(char),
            _ => Err(self.wants("a character of UTF-16")),
        }
    }

    fn unit(&mut self) -> Result<u16, JsonError> {
        let digits =
            self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.wants("four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<f64, JsonError> {
        let is_negative = self.take(b"-").is_some();
        let mut digits = Some(0);
        if self.take(b"0").is_none() {
            self.digits(&mut digits)?;
        }
        let mut exponent = 0;
        if self.take(b".").is_some() {
            exponent = -self.digits(&mut digits)?;
        }
        if self.take(b"eE").is_some() {
            let sign = self.take(b"+-");
            let mut given = Some(0);
            self.digits(&mut given)?;
            let given = given.and_then(|given| i32::try_from(given).ok()).unwrap_or(i32::MAX);
            exponent = exponent.saturating_add(if sign == Some(b'-') { -given } else { given });
        }
        let whole =
            digits.and_then(|digits| scale(digits, exponent)).filter(|whole| *whole == 0 || !is_negative);
        #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "exact up to 2^53")]
        let number = whole.filter(|whole| *whole <= 1 << 53).map(|whole| whole as f64);
        Ok(number.unwrap_or(f64::NAN))
    }

    /// Appends at least one digit to `number`, which is `None` if it is too large; gives how many there were.
    fn digits(&mut self, number: &mut Option<u64>) -> Result<i32, JsonError> {
        let mut count = 0_i32;
        while let Some(digit) = self.take(b"0123456789") {
            *number = number.and_then(|number| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
            count = count.saturating_add(1);
        }
        if count == 0 { Err(self.wants("a digit")) } else { Ok(count) }
    }
}

/// `digits` times ten to the power of `exponent`, if that is whole and fits.
fn scale(mut digits: u64, exponent: i32) -> Option<u64> {
    if digits == 0 {
        return Some(0);
    }
    // At most twenty times: no number of 64 bits has more digits.
    for _ in 0..exponent.unsigned_abs() {
        match exponent > 0 {
            true => digits = digits.checked_mul(10)?,
            false if digits.is_multiple_of(10) => digits /= 10,
            false => return None,
        }
    }
    Some(digits)
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
    fn a_document_is_read_as_rfc_8259_has_it() {
        let text = " {\"a\" : [1, 2.50e1,\n-0, true, false, null, {}, []], \"b\\u00e9\\ud83d\\ude00\\n\":\"\\\"\\/\" } ";
        let document = parse(text).unwrap();
        let list: &Vec<JsonValue> = member(&document, "a").and_then(JsonValue::get).unwrap();
        let whole: Vec<_> = list.iter().map(whole).collect();
        assert_eq!(whole, [Some(1), Some(25), Some(0), None, None, None, None, None]);
        assert!(
            list[3] == JsonValue::Boolean(true) && list[4] == JsonValue::Boolean(false) && list[5].is_null()
        );
        assert_eq!(
            member(&document, "b\u{e9}\u{1f600}\n").and_then(JsonValue::get::<String>).unwrap(),
            "\"/"
        );
    }

    #[test]
    fn what_is_not_json_is_refused_at_its_place() {
        for (text, place) in [
            ("", "line 1, character 1: want a value"),
            ("{\"a\":1,}", "line 1, character 8: want a text"),
            ("[1\n 2]", "line 2, character 2: want ',' or ']'"),
            ("{\"a\" 1}", "line 1, character 6: want ':'"),
            ("[01]", "line 1, character 3: want ',' or ']'"),
            ("[1.]", "line 1, character 4: want a digit"),
            ("[-]", "line 1, character 3: want a digit"),
            ("[1e+]", "line 1, character 5: want a digit"),
            ("[nul]", "line 1, character 2: want a value"),
            ("\"a", "line 1, character 3: want '\"'"),
            ("\"a\tb\"", "line 1, character 3: want no control character in a text"),
            ("\"\\x\"", "line 1, character 3: want an escape of JSON"),
            ("\"\\u12\u{e9}\"", "line 1, character 4: want four hexadecimal digits"),
            ("\"\\udc00\"", "line 1, character 8: want a character of UTF-16"),
            ("\"\\ud800\\u0041\"", "line 1, character 14: want a character of UTF-16"),
            ("[] []", "line 1, character 4: want the end"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), format!("not JSON: {place}"), "{text}");
        }
    }

    /// The parser of the package, as a second opinion.
    #[test]
    fn the_package_reads_the_same_values() {
        let texts = [
            "[]",
            "{\"a\":{\"b\":[1,2,3]},\"c\":\"\\t\\u0041\"}",
            "[120, 7e2, 1.50e3, 0.0, 0e9]",
            "\"\u{1f600}\"",
        ];
        for text in texts {
            assert_eq!(parse(text).unwrap(), text.parse::<JsonValue>().unwrap(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_it_is_parsed() {
        assert!(parse(&"[".repeat(200_000)).unwrap_err().to_string().contains("nested deeper"));
        assert!(parse(&("[".repeat(8) + &"]".repeat(8))).is_ok());
    }
}

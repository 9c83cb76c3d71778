//! Parser of the UCI syntax of `OpenWrt`: bytes to statements.
//!
//! Read first: <https://openwrt.org/docs/guide-user/base-system/uci>, "File syntax".
//!
//! Differences from libuci, each on purpose: a quoted value ends on its own line (no setting may hold a
//! line break, and a missing quote would otherwise take in the rest of the file); an `option` without
//! a value is an error; control characters are errors; after an error the next line is read.
//!
//! This file uses only the standard library, so that a fuzz target can include it by path.

use std::fmt;

/// Longest line, and longest word, in bytes.
pub(crate) const MAX_LINE: usize = 4096;

/// Position in the file; both count from one, columns in characters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct At {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A word with its quotes and escapes removed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) at: At,
}

/// One line of the file, or the part of it up to a semicolon.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Statement {
    /// `package NAME`
    Package(Word),
    /// `config TYPE [NAME]`
    Section { kind: Word, name: Option<Word> },
    /// `option NAME VALUE` or `list NAME VALUE`
    Value { list: bool, name: Word, value: Word },
}

/// Syntax error with its position.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SyntaxError {
    pub(crate) at: At,
    pub(crate) mistake: Mistake,
}

/// Kinds of syntax errors.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Mistake {
    /// More than [`MAX_LINE`] bytes.
    TooLong,
    /// This quote is not closed on its line.
    OpenQuote(char),
    /// A byte below 0x20 that is not white space, or 0x7f.
    Control(u8),
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// The first word is none of the four keywords.
    Keyword(String),
    /// `package` without a name.
    PackageName,
    /// `config` without a type.
    SectionType,
    /// `option` or `list` without a name or without a value.
    NameAndValue(&'static str),
    /// Words after the end of the statement.
    Surplus(String),
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(out, "line is longer than {MAX_LINE} bytes"),
            Self::OpenQuote(quote) => write!(
                out,
                "this {quote} is not closed on its line; a value stands between two {quote} and holds no line break"
            ),
            Self::Control(byte) => write!(out, "control character 0x{byte:02x}; values are printable text"),
            Self::NotUtf8 => out.write_str("bytes that are not UTF-8 text"),
            Self::Keyword(word) => write!(
                out,
                "unknown keyword '{}'; a line starts with config, option, list, package or #",
                word.escape_default()
            ),
            Self::PackageName => out.write_str("package needs a name: package NAME"),
            Self::SectionType => out.write_str("config needs a type: config TYPE 'NAME'"),
            Self::NameAndValue(keyword) => {
                write!(out, "{keyword} needs a name and a value: {keyword} NAME 'VALUE'")
            }
            Self::Surplus(word) => write!(
                out,
                "'{}' is one word too many; a value with spaces stands in quotes",
                word.escape_default()
            ),
        }
    }
}

/// Parses `bytes` statement by statement. Ends for every input: each step consumes at least one byte.
pub(crate) const fn parse(bytes: &[u8]) -> Statements<'_> {
    Statements { remaining: bytes, at: At { line: 1, column: 1 } }
}

/// Iterator over the statements of a file; continues after an error.
pub(crate) struct Statements<'b> {
    remaining: &'b [u8],
    at: At,
}

impl Iterator for Statements<'_> {
    type Item = Result<Statement, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Bounded by the remaining bytes: a statement without words has consumed its line end.
        while !self.remaining.is_empty() {
            let start = self.at;
            if start.column == 1
                && self.remaining.iter().take_while(|byte| **byte != b'\n').count() > MAX_LINE
            {
                self.skip_line();
                return Some(Err(SyntaxError { at: start, mistake: Mistake::TooLong }));
            }
            match self.words() {
                Ok(words) if words.is_empty() => {}
                Ok(words) => return Some(statement(words)),
                Err(error) => {
                    self.skip_line();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Statements<'_> {
    /// Words of the statement, whose end is consumed; of surplus words only the first is kept.
    fn words(&mut self) -> Result<Vec<Word>, SyntaxError> {
        let mut words = Vec::new();
        while let Some(word) = self.word()? {
            if words.len() < MAX_WORDS {
                words.push(word);
            }
        }
        Ok(words)
    }

    /// Next word, or `None` at the end of the statement, which is consumed.
    fn word(&mut self) -> Result<Option<Word>, SyntaxError> {
        loop {
            if self.continues() {
                self.skip_line();
            } else if self.remaining.first().is_some_and(|byte| is_blank(*byte)) {
                self.bump();
            } else {
                break;
            }
        }
        let at = self.at;
        let mut text = Vec::new();
        loop {
            let here = self.at;
            match self.remaining.first() {
                Some(b'#') if here == at => {
                    self.skip_line();
                    return Ok(None);
                }
                None | Some(b'\n' | b';') if here == at => {
                    self.bump();
                    return Ok(None);
                }
                None | Some(b'\n' | b';' | b'#') => break,
                Some(byte) if is_blank(*byte) => break,
                Some(b'\'') => self.quoted(b'\'', &mut text)?,
                Some(b'"') => self.quoted(b'"', &mut text)?,
                Some(b'\\') => self.escaped(&mut text)?,
                Some(_) => self.take(&mut text)?,
            }
            if text.len() > MAX_LINE {
                return Err(SyntaxError { at, mistake: Mistake::TooLong });
            }
        }
        let text = String::from_utf8(text).map_err(|_| SyntaxError { at, mistake: Mistake::NotUtf8 })?;
        Ok(Some(Word { text, at }))
    }

    /// Reads up to the closing quote. A backslash escapes within double quotes only.
    fn quoted(&mut self, quote: u8, text: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let open = self.at;
        self.bump();
        loop {
            match self.remaining.first() {
                None | Some(b'\n') => {
                    return Err(SyntaxError { at: open, mistake: Mistake::OpenQuote(char::from(quote)) });
                }
                Some(byte) if *byte == quote => {
                    self.bump();
                    return Ok(());
                }
                Some(b'\\') if quote == b'"' => self.escaped(text)?,
                Some(_) => self.take(text)?,
            }
        }
    }

    /// Reads a backslash: it joins two lines, or escapes the next byte.
    fn escaped(&mut self, text: &mut Vec<u8>) -> Result<(), SyntaxError> {
        if self.continues() {
            self.skip_line();
            return Ok(());
        }
        self.bump();
        self.take(text)
    }

    /// Returns true at a backslash that joins this line with the next one.
    fn continues(&self) -> bool {
        self.remaining.starts_with(b"\\\n") || self.remaining.starts_with(b"\\\r\n")
    }

    fn take(&mut self, text: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let at = self.at;
        match self.bump() {
            Some(byte) if byte.is_ascii_control() && byte != b'\t' => {
                Err(SyntaxError { at, mistake: Mistake::Control(byte) })
            }
            Some(byte) => {
                text.push(byte);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn skip_line(&mut self) {
        while self.bump().is_some_and(|byte| byte != b'\n') {}
    }

    /// Consumes one byte and advances the position.
    fn bump(&mut self) -> Option<u8> {
        let (first, remaining) = self.remaining.split_first()?;
        self.remaining = remaining;
        if *first == b'\n' {
            self.at = At { line: self.at.line.saturating_add(1), column: 1 };
        } else if *first & 0xc0 != 0x80 {
            self.at.column = self.at.column.saturating_add(1); // not inside a UTF-8 character
        }
        Some(*first)
    }
}

/// Applies the grammar: words to a statement.
fn statement(words: Vec<Word>) -> Result<Statement, SyntaxError> {
    let mut words = words.into_iter();
    let keyword = words.next().unwrap_or_else(|| Word { text: String::new(), at: At { line: 0, column: 0 } });
    let wrong = |mistake| Err(SyntaxError { at: keyword.at, mistake });
    let (statement, surplus) = match keyword.text.as_str() {
        "config" | "c" => match words.next() {
            Some(kind) => (Statement::Section { kind, name: words.next() }, words.next()),
            None => return wrong(Mistake::SectionType),
        },
        "option" | "o" | "list" | "l" => {
            let list = keyword.text.starts_with('l');
            match (words.next(), words.next()) {
                (Some(name), Some(value)) => (Statement::Value { list, name, value }, words.next()),
                _ => return wrong(Mistake::NameAndValue(if list { "list" } else { "option" })),
            }
        }
        "package" | "p" => match words.next() {
            Some(name) => (Statement::Package(name), words.next()),
            None => return wrong(Mistake::PackageName),
        },
        _ => return wrong(Mistake::Keyword(keyword.text.clone())),
    };
    match surplus {
        Some(word) => Err(SyntaxError { at: word.at, mistake: Mistake::Surplus(word.text) }),
        None => Ok(statement),
    }
}

/// Words of the longest statement, and one surplus word for the message.
const MAX_WORDS: usize = 4;

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Statements in one line each, errors with their place: easy to compare.
    fn read(text: &[u8]) -> Vec<String> {
        let line = |item: Result<Statement, SyntaxError>| match item {
            Ok(Statement::Package(name)) => format!("package [{}]", name.text),
            Ok(Statement::Section { kind, name: None }) => format!("config [{}]", kind.text),
            Ok(Statement::Section { kind, name: Some(name) }) => {
                format!("config [{}] [{}]", kind.text, name.text)
            }
            Ok(Statement::Value { list, name, value }) => {
                format!("{} [{}] [{}]", if list { "list" } else { "option" }, name.text, value.text)
            }
            Err(SyntaxError { at, mistake }) => format!("{}:{} {mistake}", at.line, at.column),
        };
        parse(text).map(line).collect()
    }

    #[test]
    fn the_syntax_is_that_of_uci() {
        for (text, expected) in [
            ("", &[][..]),
            ("\n\n  \t\r\n", &[]),
            ("# config a\n   # option b c", &[]),
            ("package sentinel-appliance", &["package [sentinel-appliance]"]),
            ("config sentinel", &["config [sentinel]"]),
            ("config 'sentinel' \"main\"", &["config [sentinel] [main]"]),
            ("\tconfig\tsentinel\tmain\t", &["config [sentinel] [main]"]),
            ("option a b\r\nlist c d\r\n", &["option [a] [b]", "list [c] [d]"]),
            ("option a 'b c'", &["option [a] [b c]"]),
            ("option a \"b 'c'\"", &["option [a] [b 'c']"]),
            ("option a 'b \"c\"'", &["option [a] [b \"c\"]"]),
            ("option a ''", &["option [a] []"]),
            ("option a 'b\tc'", &["option [a] [b\tc]"]),
            // Pieces without a space between them are one word; this is how a single quote is written.
            ("option a 'it'\\''s'", &["option [a] [it's]"]),
            ("option a b'c'\"d\"e", &["option [a] [bcde]"]),
            // The backslash: any byte outside quotes and in double quotes, itself in single quotes.
            ("option a b\\ c\\#\\\\", &["option [a] [b c#\\]"]),
            ("option a \"b\\\"c\\\\\"", &["option [a] [b\"c\\]"]),
            ("option a 'b\\c\\'", &["option [a] [b\\c\\]"]),
            ("option a b \\\n", &["option [a] [b]"]),
            ("option a \\\n  b", &["option [a] [b]"]),
            ("option a b\\\r\nc", &["option [a] [bc]"]),
            ("option a \"b\\\nc\"", &["option [a] [bc]"]),
            // A comment starts at any # outside quotes, even inside a word.
            ("option a b#c", &["option [a] [b]"]),
            ("option a b # c ' d", &["option [a] [b]"]),
            ("option a 'b#c'", &["option [a] [b#c]"]),
            // Statements may share a line; keywords may be one letter.
            ("config a b; option c d;list e f", &["config [a] [b]", "option [c] [d]", "list [e] [f]"]),
            ("option a 'b;c'", &["option [a] [b;c]"]),
            (
                "p a\nc a b\no c d\nl e f",
                &["package [a]", "config [a] [b]", "option [c] [d]", "list [e] [f]"],
            ),
            ("option a '\u{e9}\u{1f41b}'", &["option [a] [\u{e9}\u{1f41b}]"]),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn every_error_has_its_line_column_and_text() {
        let quote = |quote| {
            format!(
                "1:10 this {quote} is not closed on its line; a value stands between two {quote} and holds no line break"
            )
        };
        for (text, expected) in [
            (&b"option a 'b\noption c d"[..], quote('\'')),
            (b"option a \"b'\noption c d", quote('"')),
            (b"option a \"b\\\"\noption c d", quote('"')),
            (b"option a b\x00\noption c d", "1:11 control character 0x00; values are printable text".into()),
            (
                b"option a '\x1b[m'\noption c d",
                "1:11 control character 0x1b; values are printable text".into(),
            ),
            (b"option a \xc3\xa9 \xff\noption c d", "1:12 bytes that are not UTF-8 text".into()),
            (b"option a \xff\noption c d", "1:10 bytes that are not UTF-8 text".into()),
            (
                b"Config a\noption c d",
                "1:1 unknown keyword 'Config'; a line starts with config, option, list, package or #".into(),
            ),
            (
                b"  ''\noption c d",
                "1:3 unknown keyword ''; a line starts with config, option, list, package or #".into(),
            ),
            (b"package\noption c d", "1:1 package needs a name: package NAME".into()),
            (b"config # x\noption c d", "1:1 config needs a type: config TYPE 'NAME'".into()),
            (b"option a;\noption c d", "1:1 option needs a name and a value: option NAME 'VALUE'".into()),
            (b"list\noption c d", "1:1 list needs a name and a value: list NAME 'VALUE'".into()),
            (
                b"option a b c d e f\noption c d",
                "1:12 'c' is one word too many; a value with spaces stands in quotes".into(),
            ),
            (
                b"config a b c\noption c d",
                "1:12 'c' is one word too many; a value with spaces stands in quotes".into(),
            ),
            (
                b"package a b\noption c d",
                "1:11 'b' is one word too many; a value with spaces stands in quotes".into(),
            ),
        ] {
            let shown = String::from_utf8_lossy(text);
            assert_eq!(read(text), [expected, "option [c] [d]".into()], "{shown:?}");
        }
    }

    #[test]
    fn lines_have_a_maximum_length() {
        let line = |value: usize| format!("option a {}\noption c d", "x".repeat(value));
        assert_eq!(read(line(MAX_LINE - 9).as_bytes()).len(), 2);
        assert_eq!(
            read(line(MAX_LINE - 8).as_bytes()),
            ["1:1 line is longer than 4096 bytes", "option [c] [d]"]
        );
        // Lines joined by backslashes count as one word.
        let joined = format!("option a {}\noption c d", format!("{}\\\n", "x".repeat(1000)).repeat(5));
        assert_eq!(read(joined.as_bytes()), ["1:10 line is longer than 4096 bytes", "option [c] [d]"]);
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(
            read("option '\u{e9}\u{e9}' b c".as_bytes()),
            ["1:15 'c' is one word too many; a value with spaces stands in quotes"]
        );
    }

    /// Fuzz body: whatever the bytes, reading ends, goes forwards, and stays inside the file.
    pub(crate) fn fuzz(bytes: &[u8]) {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
        let mut statements = parse(bytes);
        let mut left = bytes.len();
        while let Some(item) = statements.next() {
            assert!(statements.remaining.len() < left, "a statement uses up at least one byte");
            left = statements.remaining.len();
            let at = match item {
                Ok(Statement::Package(word) | Statement::Section { kind: word, .. }) => word.at,
                Ok(Statement::Value { name, value, .. }) => {
                    assert!(value.text.len() <= MAX_LINE && name.at < value.at);
                    name.at
                }
                Err(error) => error.at,
            };
            assert!((1..=lines).contains(&usize::try_from(at.line).unwrap()), "line {} of {lines}", at.line);
            assert!(at.column >= 1);
        }
        assert!(statements.remaining.is_empty(), "the whole file is read");
    }

    /// Changes `bytes` a little, the same way for the same `random`.
    pub(crate) fn mutate(bytes: &mut Vec<u8>, random: &mut u64) {
        const ODD: &[u8] = b"'\"\\#;\n\r\t \x00\x0b\x7f\x80\xc3\xff, coplist0123456789";
        let mut next = |below: usize| {
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            usize::try_from(*random % u64::try_from(below.max(1)).unwrap()).unwrap()
        };
        for _ in 0..=next(6) {
            let at = next(bytes.len());
            let byte = ODD[next(ODD.len())];
            match next(4) {
                0 if !bytes.is_empty() => bytes[at] = byte,
                1 if !bytes.is_empty() => drop(bytes.drain(at..(at + next(8)).min(bytes.len()))),
                2 => {
                    let piece = bytes[at..(at + next(40)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => bytes.insert(at, byte),
            }
        }
    }

    #[test]
    fn reading_ends_for_every_cut_and_every_pair_of_bytes() {
        let sample = b"config a 'b'\n\toption \"c\\\" d\" e\\ f;list g 'h' # i\r\n\\\n";
        for cut in 0..=sample.len() {
            fuzz(&sample[..cut]);
        }
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                fuzz(&[first, second]);
                fuzz(&[b'o', b' ', b'a', b' ', first, second, b'\n']);
            }
        }
    }
}

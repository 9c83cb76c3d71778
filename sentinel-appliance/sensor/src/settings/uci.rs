//! The text form of the settings: the UCI of `OpenWrt`, read into statements.
//!
//! Read first: <https://openwrt.org/docs/guide-user/base-system/uci>, "File syntax".
//!
//! Differences from libuci, each on purpose: a quoted value ends on its own line (no setting may hold a
//! line break, and a forgotten quote would otherwise swallow the rest of the file); an `option` without
//! a value is an error; control characters are errors; after an error the next line is read.
//!
//! This file uses only the standard library, so that a fuzz target can include it by path.

use std::fmt;

/// Longest line, and longest word, in bytes.
pub(crate) const MAX_LINE: usize = 4096;

/// A position in the file; both count from one, columns in characters.
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

/// What is wrong with a line, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SyntaxError {
    pub(crate) at: At,
    pub(crate) mistake: Mistake,
}

/// Ways to get the syntax wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Mistake {
    /// More than [`MAX_LINE`] bytes.
    TooLong,
    /// This quote has no partner on its line.
    OpenQuote(char),
    /// A byte below 0x20 that is not white space, or 0x7f.
    Control(u8),
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// The first word is none of the four.
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
                word.escape_debug()
            ),
            Self::PackageName => out.write_str("package needs a name: package NAME"),
            Self::SectionType => out.write_str("config needs a type: config TYPE 'NAME'"),
            Self::NameAndValue(keyword) => {
                write!(out, "{keyword} needs a name and a value: {keyword} NAME 'VALUE'")
            }
            Self::Surplus(word) => write!(
                out,
                "'{}' is one word too many; a value with spaces stands in quotes",
                word.escape_debug()
            ),
        }
    }
}

/// Reads `bytes` statement by statement. Ends for every input: each step uses up at least one byte.
pub(crate) const fn parse(bytes: &[u8]) -> Statements<'_> {
    Statements { rest: bytes, at: At { line: 1, column: 1 } }
}

/// Iterator over the statements of a file; goes on behind an error.
pub(crate) struct Statements<'b> {
    rest: &'b [u8],
    at: At,
}

impl Iterator for Statements<'_> {
    type Item = Result<Statement, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Bounded by the bytes left: a statement without words has used up its line end.
        while !self.rest.is_empty() {
            let start = self.at;
            if start.column == 1 && self.rest.iter().take_while(|byte| **byte != b'\n').count() > MAX_LINE {
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
    /// The words up to and including the end of the statement; of surplus words only the first is kept.
    fn words(&mut self) -> Result<Vec<Word>, SyntaxError> {
        let mut words = Vec::new();
        while let Some(word) = self.word()? {
            if words.len() < MOST_WORDS {
                words.push(word);
            }
        }
        Ok(words)
    }

    /// The next word, or nothing at the end of the statement, which is then used up.
    fn word(&mut self) -> Result<Option<Word>, SyntaxError> {
        loop {
            if self.continues() {
                self.skip_line();
            } else if self.rest.first().is_some_and(|byte| is_blank(*byte)) {
                self.bump();
            } else {
                break;
            }
        }
        let at = self.at;
        let mut text = Vec::new();
        loop {
            let here = self.at;
            match self.rest.first() {
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

    /// From one quote to its partner. Only double quotes know the backslash.
    fn quoted(&mut self, quote: u8, text: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let open = self.at;
        self.bump();
        loop {
            match self.rest.first() {
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

    /// A backslash: joins two lines, or makes the next byte plain.
    fn escaped(&mut self, text: &mut Vec<u8>) -> Result<(), SyntaxError> {
        if self.continues() {
            self.skip_line();
            return Ok(());
        }
        self.bump();
        self.take(text)
    }

    /// Whether a backslash stands here that joins this line with the next one.
    fn continues(&self) -> bool {
        self.rest.starts_with(b"\\\n") || self.rest.starts_with(b"\\\r\n")
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

    /// Uses up one byte and moves the position.
    fn bump(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        if *first == b'\n' {
            self.at = At { line: self.at.line.saturating_add(1), column: 1 };
        } else if *first & 0xc0 != 0x80 {
            self.at.column = self.at.column.saturating_add(1); // not inside a UTF-8 character
        }
        Some(*first)
    }
}

/// The grammar: words to a statement.
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

/// Words that the longest statement has, and one more to complain about.
const MOST_WORDS: usize = 4;

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

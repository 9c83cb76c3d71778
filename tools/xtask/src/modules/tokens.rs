//! Source text to identifiers and punctuation.
//!
//! Read first: the Rust reference, chapters "Comments" and "Tokens".

use std::iter::Peekable;
use std::str::Chars;

/// An identifier or keyword, `::`, or any other single character.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Token {
    Word(String),
    /// `::`
    Path,
    Sign(char),
}

impl Token {
    pub(crate) fn is(&self, sign: char) -> bool {
        *self == Self::Sign(sign)
    }

    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            Self::Path | Self::Sign(_) => None,
        }
    }
}

/// Tokens of `text` without comments, literals, lifetimes, and items under `#[cfg(test)]`.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    without_tests(&all_tokens(text))
}

fn all_tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = text.chars().peekable();
    while let Some(character) = at.next() {
        match character {
            '/' if at.peek() == Some(&'/') => skip_line(&mut at),
            '/' if at.peek() == Some(&'*') => skip_block(&mut at),
            '"' => skip_string(&mut at),
            '\'' => skip_character_or_lifetime(&mut at),
            ':' if at.next_if_eq(&':').is_some() => found.push(Token::Path),
            _ if character.is_alphabetic() || character == '_' => {
                let mut word = String::from(character);
                while let Some(next) = at.next_if(|next| next.is_alphanumeric() || *next == '_') {
                    word.push(next);
                }
                word_or_literal(word, &mut at, &mut found);
            }
            _ if character.is_whitespace() => {}
            _ => found.push(Token::Sign(character)),
        }
    }
    found
}

/// A word may be the prefix of a literal: `r"…"`, `br#"…"#`, `b'…'`.
fn word_or_literal(word: String, at: &mut Peekable<Chars<'_>>, found: &mut Vec<Token>) {
    let is_raw = matches!(word.as_str(), "r" | "br" | "cr");
    match at.peek() {
        Some('"') if is_raw => {
            at.next();
            skip_raw(0, at);
        }
        Some('#') if is_raw => {
            let mut hashes = 0_usize;
            while at.next_if_eq(&'#').is_some() {
                hashes = hashes.saturating_add(1);
            }
            if at.next_if_eq(&'"').is_some() {
                skip_raw(hashes, at);
            }
            // Otherwise a raw identifier, `r#type`: its word follows.
        }
        Some('"') if matches!(word.as_str(), "b" | "c") => {
            at.next();
            skip_string(at);
        }
        Some('\'') if word == "b" => {
            at.next();
            skip_character_or_lifetime(at);
        }
        _ => found.push(Token::Word(word)),
    }
}

fn skip_line(at: &mut Peekable<Chars<'_>>) {
    while at.next_if(|next| *next != '\n').is_some() {}
}

/// Block comments nest.
fn skip_block(at: &mut Peekable<Chars<'_>>) {
    let mut depth = 0_usize;
    let mut before = '/';
    for next in at.by_ref() {
        match (before, next) {
            ('/', '*') => depth = depth.saturating_add(1),
            ('*', '/') => depth = depth.saturating_sub(1),
            _ => {
                before = next;
                continue;
            }
        }
        if depth == 0 {
            return;
        }
        before = ' ';
    }
}

fn skip_string(at: &mut Peekable<Chars<'_>>) {
    while let Some(next) = at.next() {
        match next {
            '\\' => {
                at.next();
            }
            '"' => return,
            _ => {}
        }
    }
}

fn skip_raw(hashes: usize, at: &mut Peekable<Chars<'_>>) {
    let mut seen = None;
    for next in at.by_ref() {
        seen = match (next, seen) {
            ('"', _) => Some(0),
            ('#', Some(count)) => Some(count + 1),
            _ => None,
        };
        if seen == Some(hashes) {
            return;
        }
    }
}

/// `'a'`, `'\n'`, `'\u{1f600}'`, or the lifetime `'a`.
fn skip_character_or_lifetime(at: &mut Peekable<Chars<'_>>) {
    match at.next() {
        Some('\\') => {
            at.next();
            while at.next().is_some_and(|next| next != '\'') {}
        }
        // A lifetime has no closing quote; a character has it right behind.
        Some(_) => {
            let is_character = at.peek() == Some(&'\'');
            if is_character {
                at.next();
            }
        }
        None => {}
    }
}

fn without_tests(all: &[Token]) -> Vec<Token> {
    let mut kept = Vec::with_capacity(all.len());
    let mut position = 0;
    while let Some(token) = all.get(position) {
        if let Some(behind) = test_attribute(all, position) {
            position = end_of_item(all, behind);
        } else {
            kept.push(token.clone());
            position += 1;
        }
    }
    kept
}

/// Position behind `#[cfg(test)]`, or behind `#[cfg(all(test, …))]`, if it stands at `position`.
fn test_attribute(all: &[Token], position: usize) -> Option<usize> {
    let word = |offset: usize| all.get(position + offset).and_then(Token::word);
    let sign = |offset: usize, sign: char| all.get(position + offset).is_some_and(|token| token.is(sign));
    if !(sign(0, '#') && sign(1, '[') && word(2) == Some("cfg") && sign(3, '(')) {
        return None;
    }
    let is_test = word(4) == Some("test") || (word(4) == Some("all") && word(6) == Some("test"));
    is_test.then(|| end_of_group(all, position + 1))
}

/// Position behind the bracket that closes the one at `open`.
fn end_of_group(all: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (position, token) in all.iter().enumerate().skip(open) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return position + 1;
                }
            }
            _ => {}
        }
    }
    all.len()
}

/// Position behind the item that starts at `start`: behind its first `;` or `,`, or its first block in braces.
fn end_of_item(all: &[Token], start: usize) -> usize {
    let mut position = start;
    while let Some(token) = all.get(position) {
        match token {
            Token::Sign('{') => return end_of_group(all, position),
            Token::Sign('(' | '[') => position = end_of_group(all, position),
            Token::Sign(';' | ',') => return position + 1,
            _ => position += 1,
        }
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text).iter().filter_map(|token| token.word().map(str::to_owned)).collect()
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        let text = r###"a // b
            /* c /* d */ e */ f "g \" h" 'i' '\'' j<'k> r"l" br#"m " n"# b'o' r#type b"p""###;
        assert_eq!(words(text), ["a", "f", "j", "type"]);
    }

    #[test]
    fn items_under_cfg_test_are_left_out() {
        assert_eq!(words("#[cfg(test)] mod tests { use a::b; fn c() {} } d"), ["d"]);
        assert_eq!(words("#[cfg(test)] use a::b; d"), ["d"]);
        assert_eq!(words("#[cfg(all(test, unix))] #[allow(x)] fn a() -> [u8; 2] { b } d"), ["d"]);
        assert_eq!(words("#[cfg(unix)] fn a() {}"), ["cfg", "unix", "fn", "a"]);
    }

    #[test]
    fn paths_are_one_token() {
        assert_eq!(
            tokens("a::b:c"),
            [
                Token::Word("a".to_owned()),
                Token::Path,
                Token::Word("b".to_owned()),
                Token::Sign(':'),
                Token::Word("c".to_owned())
            ]
        );
    }
}

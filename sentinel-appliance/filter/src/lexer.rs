//! Scanner: text to tokens, by longest match as in libpcap's `scanner.l`.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use crate::error::{ExpressionError, ExpressionErrorReason, ParseError};
use crate::names::{Keyword, keyword};

/// A token of an expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token<'t> {
    Keyword(&'static str, Keyword),
    /// A word that is no keyword, or one escaped with a backslash.
    Name(&'t str),
    Number(u32),
    /// An IPv4 address, or a network number of its first `bits` bits (`192.168`).
    V4 {
        address: u32,
        bits: u32,
    },
    V6([u32; 4]),
    Mac([u8; 6]),
    Symbol(&'static str),
    End,
}

/// A token and the byte offset at which it starts.
pub(crate) type PositionedToken<'t> = (Token<'t>, usize);

/// Symbols, longest first, so that the first that fits is the longest match.
const SYMBOLS: [&str; 23] = [
    "&&", "||", "==", "!=", ">=", "<=", "<<", ">>", "(", ")", "[", "]", ":", "=", "!", "<", ">", "+", "-",
    "*", "/", "&", "|",
];
const MORE_SYMBOLS: [&str; 2] = ["%", "^"];

/// Longest text of an IPv6 address, with an IPv4 address at its end.
const MAX_IPV6_TEXT_LEN: usize = 45;

/// All tokens of `text`, with [`Token::End`] as the last.
pub(crate) fn tokens(text: &str) -> Result<Vec<PositionedToken<'_>>, ExpressionError> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let remaining = text.get(at..).unwrap_or("");
        let Some(first) = remaining.chars().next() else {
            found.push((Token::End, at));
            return Ok(found);
        };
        if matches!(first, ' ' | '\t' | '\n' | '\r') {
            at += 1;
            continue;
        }
        let (token, length) = token(remaining).map_err(|error| error.at(at).to_expression_error(text))?;
        found.push((token, at));
        at += length;
    }
}

fn token(remaining: &str) -> Result<(Token<'_>, usize), ParseError> {
    if let Some((token, length)) = mac_or_ipv6(remaining)? {
        return Ok((token, length));
    }
    if let Some(escaped) = remaining.strip_prefix('\\') {
        let end = escaped.find([' ', '!', '(', ')', '\t', '\n']).unwrap_or(escaped.len());
        let name = escaped
            .get(..end)
            .filter(|name| !name.is_empty())
            .ok_or(ExpressionErrorReason::UnknownCharacter)?;
        return Ok((Token::Name(name), end + 1));
    }
    if remaining.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let end = remaining.bytes().take_while(is_part).count();
        let word = remaining.get(..end).unwrap_or("").trim_end_matches(['-', '_']);
        return Ok((self::word(word)?, word.len()));
    }
    let sign = SYMBOLS.iter().chain(&MORE_SYMBOLS).find(|sign| remaining.starts_with(**sign));
    let sign = *sign.ok_or(ExpressionErrorReason::UnknownCharacter)?;
    let token = match sign {
        "&&" => Token::Keyword("&&", Keyword::And),
        "||" => Token::Keyword("||", Keyword::Or),
        "!" => Token::Keyword("!", Keyword::Not),
        "==" => Token::Symbol("="),
        _ => Token::Symbol(sign),
    };
    Ok((token, sign.len()))
}

/// An Ethernet or IPv6 address: the longest prefix of a word with two colons or more that is one.
fn mac_or_ipv6(remaining: &str) -> Result<Option<(Token<'_>, usize)>, ParseError> {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let end = remaining.bytes().take_while(is_part).count();
    let word = remaining.get(..end).unwrap_or("");
    if word.bytes().filter(|byte| *byte == b':').count() < 2 {
        return Ok(None);
    }
    // Longest first; the text of an address bounds the number of attempts.
    for length in (2..=end.min(MAX_IPV6_TEXT_LEN)).rev() {
        let Some(text) = word.get(..length) else { continue };
        if let Some(mac) = mac(text, ':') {
            return Ok(Some((Token::Mac(mac), length)));
        }
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            let [a, b, c, d, e, f, g, h] = address.segments().map(u32::from);
            return Ok(Some((Token::V6([a << 16 | b, c << 16 | d, e << 16 | f, g << 16 | h]), length)));
        }
    }
    Err(ExpressionErrorReason::Address.into())
}

/// An Ethernet address of six groups of one or two hexadecimal digits.
fn mac(text: &str, separator: char) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let mut groups = text.split(separator);
    for byte in &mut address {
        let group = groups.next().filter(|group| matches!(group.len(), 1 | 2))?;
        *byte = u8::from_str_radix(group, 16).ok()?;
    }
    groups.next().is_none().then_some(address)
}

/// An Ethernet address of twelve hexadecimal digits, without separators or in groups of four.
fn bare_mac(word: &str) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let is_grouped = word.len() == 14;
    let mut digits = word.bytes().enumerate().filter(|(at, _)| !is_grouped || !matches!(at, 4 | 9));
    if is_grouped && !word.bytes().enumerate().all(|(at, byte)| matches!(at, 4 | 9) == (byte == b'.')) {
        return None;
    }
    for byte in &mut address {
        let (high, low) = (digits.next()?.1, digits.next()?.1);
        let value = char::from(high).to_digit(16)? << 4 | char::from(low).to_digit(16)?;
        *byte = u8::try_from(value).ok()?;
    }
    digits.next().is_none().then_some(address)
}

/// A keyword, an address, a number or a name.
fn word(word: &str) -> Result<Token<'_>, ParseError> {
    if let Some((name, keyword)) = keyword(word) {
        return Ok(match keyword {
            Keyword::Constant(number) => Token::Number(number),
            _ => Token::Keyword(name, keyword),
        });
    }
    if let Some(mac) = mac(word, '-').or_else(|| mac(word, '.')).or_else(|| bare_mac(word)) {
        return Ok(Token::Mac(mac));
    }
    let hexadecimal = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    if let Some(digits) = hexadecimal
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return number(digits, 16);
    }
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_octal = word.len() > 1 && word.starts_with('0');
        return number(word, if is_octal { 8 } else { 10 });
    }
    let is_dotted =
        word.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if is_dotted && word.split('.').count() <= 4 {
        let (mut address, mut bits) = (0_u32, 0);
        for part in word.split('.') {
            let part: u8 = part.parse().map_err(|_| ExpressionErrorReason::Address)?;
            address = address << 8 | u32::from(part);
            bits += 8;
        }
        return Ok(Token::V4 { address: address << (32 - bits), bits });
    }
    Ok(Token::Name(word))
}

fn number<'t>(digits: &str, radix: u32) -> Result<Token<'t>, ParseError> {
    u32::from_str_radix(digits, radix).map(Token::Number).map_err(|_| ExpressionErrorReason::Number.into())
}

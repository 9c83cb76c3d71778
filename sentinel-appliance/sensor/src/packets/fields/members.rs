//! Fields of a message, one by one: as words of a line, or as members of a JSON object.
//!
//! One writer for all protocols whose fields are plain values. A name that begins with a dot is a detail, which lines leave out.

use std::fmt::{Display, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use sentinel_alert::json;
use sentinel_dissect::application::{Ports, ber};
use sentinel_units::Mac;

use super::text;

/// Most items of a list in a line.
const MAX_LINE_ITEMS: usize = 8;
/// Most bytes shown in hexadecimal.
const MAX_HEX_LEN: usize = 64;

/// Carrier of a message: for fields that depend on direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    /// Source and destination port; zero for protocols without ports.
    pub(super) ports: Ports,
    /// True for a segment of TCP.
    pub(super) is_stream: bool,
}

/// Writes the fields of the first message in some bytes, as far as they are there. Returns the bytes behind it, none if there are
/// none or if the message is cut.
pub(super) type WriteMessage = for<'p> fn(&'p [u8], Context, &mut Members<'_>) -> &'p [u8];

/// Form of the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    /// Words for people.
    Line,
    /// Members of a JSON object, each behind a comma.
    Json,
}

/// Writer of fields.
pub(super) struct Members<'o> {
    out: &'o mut String,
    form: Form,
    /// Nothing was written yet.
    is_first: bool,
    /// False for messages that have a line but no record: data of a tunnel, keep-alives.
    pub(super) has_record: bool,
}

impl<'o> Members<'o> {
    /// For a line.
    pub(super) const fn line(out: &'o mut String) -> Self {
        Self { out, form: Form::Line, is_first: true, has_record: true }
    }

    /// For JSON.
    pub(super) const fn json(out: &'o mut String) -> Self {
        Self { out, form: Form::Json, is_first: true, has_record: true }
    }

    /// Begins a field. Returns false if this form leaves it out.
    fn begin(&mut self, name: &str, is_named: bool) -> bool {
        let detail = name.strip_prefix('.');
        if self.form == Form::Json {
            self.out.extend([",\"", detail.unwrap_or(name), "\":"]);
            return true;
        }
        if detail.is_some() {
            return false;
        }
        if !std::mem::take(&mut self.is_first) {
            self.out.push(' ');
        }
        if is_named {
            self.out.extend([name, " "]);
        }
        true
    }

    /// Adds text as it is; as a string in JSON.
    fn string(&mut self, value: &[u8]) {
        // A `String` takes everything: the results of writing to it are `Ok`.
        let _written = match self.form {
            Form::Line => {
                text::printable(value, self.out);
                Ok(())
            }
            Form::Json => json::string(&String::from_utf8_lossy(value), self.out),
        };
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str, value: i64) {
        if self.begin(name, true) {
            let _written = write!(self.out, "{value}");
        }
    }

    /// A truth value; in lines the name alone if it is true.
    pub(super) fn flag(&mut self, name: &str, value: bool) {
        if self.form == Form::Json {
            if self.begin(name, true) {
                self.out.push_str(if value { "true" } else { "false" });
            }
        } else if value && self.begin(name, false) {
            self.out.push_str(name);
        }
    }

    /// A name out of a list of ours; without the field's name in lines.
    pub(super) fn word(&mut self, name: &str, value: &str) {
        if self.begin(name, false) {
            self.string(value.as_bytes());
        }
    }

    /// Text from the network; without the field's name in lines.
    pub(super) fn bare_text(&mut self, name: &str, value: &[u8]) {
        if self.begin(name, false) {
            self.string(value);
        }
    }

    /// Text from the network.
    pub(super) fn text(&mut self, name: &str, value: &[u8]) {
        if self.begin(name, true) {
            self.string(value);
        }
    }

    /// Text from the network, if there is any.
    pub(super) fn optional(&mut self, name: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => self.text(name, value),
            None if self.form == Form::Json && self.begin(name, true) => self.out.push_str("null"),
            None => {}
        }
    }

    /// A value that has a text.
    pub(super) fn display(&mut self, name: &str, value: &dyn Display) {
        self.text(name, value.to_string().as_bytes());
    }

    /// Bytes in hexadecimal, at most 64 of them.
    pub(super) fn hex(&mut self, name: &str, bytes: &[u8]) {
        let mut digits = String::new();
        for byte in bytes.iter().take(MAX_HEX_LEN) {
            let _written = write!(digits, "{byte:02x}");
        }
        self.text(name, digits.as_bytes());
    }

    /// An address of four, six or sixteen bytes; nothing for another length.
    pub(super) fn address(&mut self, name: &str, bytes: &[u8]) {
        if let Some(address) = address(bytes) {
            self.text(name, address.as_bytes());
        }
    }

    /// A value of BER by its tag: identifiers and addresses as such, texts, else numbers.
    pub(super) fn element(&mut self, name: &str, tag: u8, value: &[u8]) {
        // An address of four bytes in management protocols (RFC 1155 section 3.2.3.2).
        const ADDRESS: u8 = 0x40;
        match tag {
            ber::OBJECT_IDENTIFIER => self.display(name, &ber::Oid(value)),
            ber::OCTET_STRING => self.text(name, value),
            ber::BOOLEAN => self.flag(name, value != [0]),
            ADDRESS => self.address(name, value),
            _ => {
                if let Some(number) = ber::integer(value) {
                    self.number(name, number);
                }
            }
        }
    }

    /// Several values; in lines at most eight, and nothing if there are none.
    pub(super) fn list(&mut self, name: &str, items: &mut dyn Iterator<Item = String>) {
        let mut items = items.peekable();
        if self.form == Form::Line && items.peek().is_none() || !self.begin(name, true) {
            return;
        }
        let is_line = self.form == Form::Line;
        self.out.push_str(if is_line { "" } else { "[" });
        for (index, item) in items.enumerate() {
            if is_line && index == MAX_LINE_ITEMS {
                self.out.push_str(" ...");
                return;
            }
            self.out.push_str(if index == 0 { "" } else { "," });
            self.string(item.as_bytes());
        }
        self.out.push_str(if is_line { "" } else { "]" });
    }
}

/// Text of an address of four, six or sixteen bytes.
pub(super) fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).to_string());
    }
    if let Ok(octets) = <[u8; 6]>::try_from(bytes) {
        return Some(Mac(octets).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).to_string())
}

/// Bytes of a packet as text, in which those that are no UTF-8 are replaced.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Text of little-endian UTF-16, in which what is none is replaced.
pub(super) fn utf_16(bytes: &[u8]) -> String {
    let (units, _) = bytes.as_chunks();
    char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit)))
        .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(write: impl Fn(&mut Members<'_>)) -> (String, String) {
        let (mut line, mut json) = (String::new(), String::new());
        write(&mut Members::line(&mut line));
        write(&mut Members::json(&mut json));
        (line, json)
    }

    #[test]
    fn lines_leave_out_details_and_json_has_them() {
        let (line, json) = both(|members| {
            members.word("type", "query");
            members.number(".id", -7);
            members.text("name", b"a\"\x1b");
            members.flag("more", true);
            members.flag("last", false);
            members.optional("user", None);
        });
        assert_eq!(line, "query name a\"\\x1b more");
        assert_eq!(
            json,
            r#","type":"query","id":-7,"name":"a\"\u001b","more":true,"last":false,"user":null"#
        );
    }

    #[test]
    fn lists_end_in_lines_after_eight() {
        let items = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        let (line, json) = both(|members| {
            members.list("none", &mut items(0).into_iter());
            members.list("all", &mut items(9).into_iter());
        });
        assert_eq!(line, "all 0,1,2,3,4,5,6,7 ...");
        assert_eq!(json, r#","none":[],"all":["0","1","2","3","4","5","6","7","8"]"#);
    }

    #[test]
    fn addresses_are_known_by_their_length() {
        assert_eq!(address(&[192, 0, 2, 1]).as_deref(), Some("192.0.2.1"));
        assert_eq!(address(&[0; 16]).as_deref(), Some("::"));
        assert_eq!(address(&[2, 0, 0, 0, 0, 9]).as_deref(), Some("02:00:00:00:00:09"));
        assert_eq!((address(&[1; 5]), utf_16(b"a\0\x3d\xd8\x00\xdc\0")), (None, "a\u{1f400}".to_owned()));
    }
}

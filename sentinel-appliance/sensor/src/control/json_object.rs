//! JSON objects and lists (RFC 8259), written member by member into a string.
//!
//! A call for each member takes a third of the code of a `write!` for two of them; `sentinel status` has a hundred.

use std::fmt::Write;

use sentinel_alert::json;

/// An object that is being written. [`Object::end`] closes it; one that is dropped before stays open.
pub(crate) struct Object<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl<'o> Object<'o> {
    /// Opens an object at the end of `out`.
    pub(crate) fn begin(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    /// Closes the object.
    pub(crate) fn end(self) {
        self.out.push('}');
    }

    /// Writes the name of a member, whose value the caller writes. The name is one of ours: nothing in it is escaped.
    #[inline(never)]
    pub(crate) fn member(&mut self, name: &str) -> &mut String {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        self.out
    }

    /// A number below 2^53, which every reader holds exactly.
    #[inline(never)]
    pub(crate) fn number(&mut self, name: &str, value: u64) {
        let _never_fails = write!(self.member(name), "{value}");
    }

    /// A number of things in memory.
    pub(crate) fn count(&mut self, name: &str, value: usize) {
        self.number(name, u64::try_from(value).unwrap_or(u64::MAX));
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.member(name).push_str(if value { "true" } else { "false" });
    }

    /// A string.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.optional(name, Some(text));
    }

    /// A string, or `null`.
    #[inline(never)]
    pub(crate) fn optional(&mut self, name: &str, text: Option<&str>) {
        let out = self.member(name);
        match text {
            // Writing into a string never fails.
            Some(text) => json::string(text, out).unwrap_or_default(),
            None => out.push_str("null"),
        }
    }

    /// Opens an object as a member.
    pub(crate) fn object(&mut self, name: &str) -> Object<'_> {
        Object::begin(self.member(name))
    }

    /// Opens a list as a member.
    pub(crate) fn list(&mut self, name: &str) -> List<'_> {
        let out = self.member(name);
        out.push('[');
        List { out, is_empty: true }
    }
}

/// A list of objects that is being written, as [`Object`].
pub(crate) struct List<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl List<'_> {
    /// Opens the next object.
    pub(crate) fn object(&mut self) -> Object<'_> {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(',');
        }
        Object::begin(self.out)
    }

    /// Closes the list.
    pub(crate) fn end(self) {
        self.out.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_separated_nested_and_escaped() {
        let mut out = String::new();
        let mut object = Object::begin(&mut out);
        object.number("a", u64::MAX);
        object.flag("b", true);
        object.text("c", "\"\n");
        object.optional("d", None);
        object.object("e").end();
        let mut list = object.list("f");
        list.object().end();
        let mut second = list.object();
        second.count("g", 1);
        second.end();
        list.end();
        object.list("h").end();
        object.end();
        let expected =
            r#"{"a":18446744073709551615,"b":true,"c":"\"\n","d":null,"e":{},"f":[{},{"g":1}],"h":[]}"#;
        assert_eq!(out, expected);
    }
}

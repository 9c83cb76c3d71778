//! Control data of opkg and dpkg: `Name: value` lines, a continuation begins with a space.
//!
//! Read first: deb-control(5).

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

/// Fields in their order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Control(Vec<(String, String)>);

impl Control {
    /// Adds a field; an empty one is left out.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.push((name.to_owned(), value));
        }
    }

    /// Value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Value of a field that must be there.
    ///
    /// # Errors
    /// If it is not.
    pub fn want(&self, name: &str) -> Result<&str> {
        self.get(name).with_context(|| format!("control data without {name}"))
    }

    /// Fields before and after `name`, which begins the second half.
    #[must_use]
    pub fn split_at(&self, name: &str) -> (Self, Self) {
        let at = self.0.iter().position(|(known, _)| known == name).unwrap_or(self.0.len());
        let (before, after) = self.0.split_at_checked(at).unwrap_or((&self.0, &[]));
        (Self(before.to_vec()), Self(after.to_vec()))
    }

    /// Adds all fields of another.
    pub fn append(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Text, a line each; lines within a value begin with a space.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0 {
            let _written = writeln!(text, "{name}: {}", value.replace('\n', "\n "));
        }
        text
    }

    /// Reads one stanza.
    ///
    /// # Errors
    /// If a line is neither field nor continuation, a field is there twice, or the last line is cut.
    pub fn parse(text: &str) -> Result<Self> {
        ensure!(text.ends_with('\n'), "control data whose last line is cut");
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            if let Some(more) = line.strip_prefix(' ') {
                let (_, value) = fields.last_mut().context("a continuation without a field")?;
                value.push('\n');
                value.push_str(more);
                continue;
            }
            let (name, value) =
                line.split_once(": ").with_context(|| format!("{line:?}: want `Name: value`"))?;
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            ensure!(!name.is_empty() && name.bytes().all(is_name), "{name:?} is no name of a field");
            ensure!(!fields.iter().any(|(known, _)| known == name), "{name} is there twice");
            ensure!(!value.trim().is_empty(), "{name} has no value");
            fields.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_continuations() -> Result<()> {
        let text = "Package: a\nDescription: one\n two\n .\n three\nTag: x\n";
        let control = Control::parse(text)?;
        assert_eq!(control.get("Description"), Some("one\ntwo\n.\nthree"));
        assert_eq!(control.to_text(), text);
        Ok(())
    }

    #[test]
    fn lines_that_are_no_fields_are_errors() {
        for text in ["Package: a", "Package a\n", " more\n", "A: 1\nA: 2\n", "A: \n", "A_b: 1\n", "\n"] {
            assert!(Control::parse(text).is_err(), "{text:?}");
        }
    }
}

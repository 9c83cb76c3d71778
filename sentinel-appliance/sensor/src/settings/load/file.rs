//! Layer of the settings file.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::super::problem::Origin;
use super::super::registry::{Section, Setting};
use super::super::renamed;
use super::super::uci::{self, At, Statement, SyntaxError, Word};
use super::{Loader, show, unknown};

/// Largest file that is read, in bytes.
pub(super) const MAX_FILE: usize = 64 * 1024;

/// Name of the UCI package, which is the name of its file.
const PACKAGE: &str = "sentinel-appliance";

/// Reason why a settings file is not read.
enum FileError {
    /// The file cannot be opened or read.
    Io(std::io::Error),
    /// The file has more than [`MAX_FILE`] bytes.
    TooLarge,
}

impl fmt::Display for FileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(out, "cannot be read: {error}"),
            Self::TooLarge => write!(out, "is larger than {MAX_FILE} bytes"),
        }
    }
}

/// Reads the whole file.
fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_FILE + 1).unwrap_or(u64::MAX);
    let outcome = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    outcome.map_err(FileError::Io)?;
    if bytes.len() > MAX_FILE {
        return Err(FileError::TooLarge);
    }
    Ok(bytes)
}

/// Section that the lines after a `config` line belong to.
#[derive(Clone, Copy)]
enum Current {
    /// No `config` line yet.
    Nothing,
    /// A section with a problem of its own: its lines are ignored.
    Unknown,
    Known(Section),
}

impl Loader {
    /// Reads the file that was named.
    pub(super) fn named_file(&mut self) {
        match read(&self.file) {
            Ok(bytes) => self.file_layer(&bytes),
            Err(error) => self.wrong_file(&error),
        }
    }

    /// Reads the default file, if it exists.
    pub(super) fn default_file(&mut self) {
        match read(&self.file) {
            Ok(bytes) => self.file_layer(&bytes),
            Err(FileError::Io(error)) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.wrong_file(&error),
        }
    }

    fn wrong_file(&mut self, error: &FileError) {
        let source = self.file.display().to_string();
        self.note(Origin::Default, &source, error.to_string());
    }

    /// Applies the statements of a file.
    pub(super) fn file_layer(&mut self, bytes: &[u8]) {
        let mut current = Current::Nothing;
        for statement in uci::parse(bytes) {
            match statement {
                Ok(Statement::Package(name)) if name.text == PACKAGE => {}
                Ok(Statement::Package(name)) => {
                    self.wrong_word(name.at, "package", &name.text, &[PACKAGE]);
                }
                Ok(Statement::Section { kind, name }) => {
                    current = self.section(&kind, name.as_ref()).map_or(Current::Unknown, Current::Known);
                }
                Ok(Statement::Value { list, name, value }) => match current {
                    Current::Known(section) => self.value(section, list, &name, value),
                    Current::Unknown => {}
                    Current::Nothing => {
                        let what = "stands before the first section; begin with config sentinel 'main'";
                        self.wrong_line(name.at, format!("'{}' {what}", show(&name.text)));
                        current = Current::Unknown;
                    }
                },
                Err(SyntaxError { at, mistake }) => self.wrong_line(at, mistake.to_string()),
            }
        }
        let source = self.file.display().to_string();
        for (index, words) in std::mem::take(&mut self.given).into_iter().enumerate() {
            let pieces: Vec<_> =
                words.iter().map(|word| (Origin::from(word.at), word.text.as_str())).collect();
            self.assign(index, &source, &pieces);
        }
    }

    /// Returns the section that a `config` line opens.
    fn section(&mut self, kind: &Word, name: Option<&Word>) -> Option<Section> {
        let mut sections: Vec<Section> = self.registry.iter().map(|setting| setting.section).collect();
        sections.dedup();
        sections.retain(|section| section.kind() == kind.text);
        if sections.is_empty() {
            self.wrong_word(kind.at, "section type", &kind.text, &[Section::SENTINEL, Section::DETECTOR]);
            return None;
        }
        // There is one section of the type sentinel, so its name may be omitted.
        let section_name = name.map_or(Section::Main.name(), |name| name.text.as_str());
        let found = sections.iter().find(|section| section.name() == section_name);
        if found.is_none() {
            let names: Vec<&str> = sections.iter().map(|section| section.name()).collect();
            match name {
                Some(name) => {
                    self.wrong_word(name.at, &format!("{} section", kind.text), &name.text, &names);
                }
                None => {
                    let what = format!("this {} has no name; allowed: {}", kind.text, names.join(", "));
                    self.wrong_line(kind.at, what);
                }
            }
        }
        found.copied()
    }

    /// Records the value of one line; as in libuci, `option` replaces and `list` adds.
    fn value(&mut self, section: Section, list: bool, name: &Word, value: Word) {
        let key = section.key(&name.text);
        let new_key = renamed::new_key(&key);
        let is_named = |setting: &Setting| match new_key {
            Some(new_key) => setting.key() == new_key,
            None => setting.section == section && setting.name == name.text,
        };
        if let Some(new_key) = new_key {
            let source = self.file.display().to_string();
            self.warn_renamed(name.at.into(), &source, &key, new_key);
        }
        let Some(index) = self.registry.iter().position(is_named) else {
            let here = self.registry.iter().filter(|setting| setting.section == section);
            let names: Vec<&str> = here.map(|setting| setting.name).collect();
            return self.wrong_word(name.at, "option", &name.text, &names);
        };
        let takes_list =
            self.registry.get(index).is_some_and(|setting| setting.field(&mut self.settings).is_list());
        if list && !takes_list {
            let what = format!("{} takes one value; write option instead of list", name.text);
            return self.wrong_line(name.at, what);
        }
        if let Some(words) = self.given.get_mut(index) {
            if !list {
                words.clear();
            }
            words.push(value);
        }
    }

    fn wrong_word(&mut self, at: At, kind: &str, word: &str, names: &[&str]) {
        let source = self.file.display().to_string();
        self.note_unknown(at.into(), &source, unknown(kind, word, names));
    }

    fn wrong_line(&mut self, at: At, what: String) {
        let source = self.file.display().to_string();
        self.note(at.into(), &source, what);
    }
}

impl From<At> for Origin {
    fn from(At { line, column }: At) -> Self {
        Self::File { line, column }
    }
}

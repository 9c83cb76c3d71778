//! The layers: default < file < environment < flag.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::problem::{Origin, Problem, nearest};
use super::registry::{self, Section, Setting, Settings};
use super::relation::RELATIONS;
use super::uci::{self, At, Statement, SyntaxError, Word};

/// Read if it exists and no other file is named.
pub(crate) const DEFAULT_FILE: &str = "/etc/config/sentinel-appliance";

/// Largest file that is read, in bytes.
const MAX_FILE: usize = 64 * 1024;

/// Problems after which reading goes on but no more are noted.
const MAX_PROBLEMS: usize = 100;

/// Name of the UCI package, which is the name of its file.
const PACKAGE: &str = "sentinel-appliance";

/// Variables with this prefix are the collector's.
const NOT_OURS: &str = "SENTINEL_COLLECTOR_";

/// Settings in force and where each comes from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The values.
    pub(crate) settings: Settings,
    /// In the order of the registry.
    pub(super) origins: Vec<Origin>,
    /// The file that was read, or would have been.
    pub(super) file: PathBuf,
}

impl Settings {
    /// Reads all layers: `path` or else [`DEFAULT_FILE`] if it exists, the variables `SENTINEL_*` of
    /// `environment`, and `flags` as pairs of `[section.]name` and value.
    ///
    /// # Errors
    /// Every problem found, in the order file, environment, flags.
    pub(crate) fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Loaded, Vec<Problem>> {
        let mut loader = Loader::new(path.unwrap_or(Path::new(DEFAULT_FILE)));
        match read(&loader.file) {
            Ok(bytes) => loader.file_layer(&bytes),
            Err((ErrorKind::NotFound, _)) if path.is_none() => {}
            Err((_, what)) => {
                let source = loader.file.display().to_string();
                loader.problems.push(Problem { origin: Origin::Default, source, what });
            }
        }
        loader.environment_layer(environment);
        loader.flag_layer(flags);
        loader.finish()
    }
}

/// Splits the `section.name=value` of `--set`; nothing without an equals sign.
pub(crate) fn split_assignment(text: &str) -> Option<(String, String)> {
    text.split_once('=').map(|(key, value)| (key.trim().into(), value.into()))
}

/// The whole file, or the kind of failure and a text for it.
fn read(path: &Path) -> Result<Vec<u8>, (ErrorKind, String)> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_FILE + 1).unwrap_or(u64::MAX);
    let outcome = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    outcome.map_err(|error| (error.kind(), format!("cannot be read: {error}")))?;
    if bytes.len() > MAX_FILE {
        return Err((ErrorKind::FileTooLarge, format!("is larger than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

struct Loader {
    registry: Vec<Setting>,
    /// Beside each setting, what the file says about it.
    given: Vec<Vec<Word>>,
    origins: Vec<Origin>,
    /// Beside each setting, whether a problem with it is already known.
    faulty: Vec<bool>,
    settings: Settings,
    problems: Vec<Problem>,
    file: PathBuf,
}

/// What the lines after a `config` line belong to.
#[derive(Clone, Copy)]
enum Current {
    /// No `config` line yet.
    Nothing,
    /// A section with a problem of its own: its lines are passed over.
    Unknown,
    Known(Section),
}

impl Loader {
    fn new(file: &Path) -> Self {
        let registry = registry::all();
        Self {
            given: vec![Vec::new(); registry.len()],
            origins: vec![Origin::Default; registry.len()],
            faulty: vec![false; registry.len()],
            settings: Settings::default(),
            problems: Vec::new(),
            file: file.into(),
            registry,
        }
    }

    fn file_layer(&mut self, bytes: &[u8]) {
        let mut current = Current::Nothing;
        for statement in uci::parse(bytes) {
            match statement {
                Ok(Statement::Package(name)) if name.text == PACKAGE => {}
                Ok(Statement::Package(name)) => {
                    self.wrong_word(name.at, "package", &name.text, [PACKAGE].into_iter());
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

    /// The section that a `config` line opens.
    fn section(&mut self, kind: &Word, name: Option<&Word>) -> Option<Section> {
        let sections: Vec<Section> = self.sections();
        let name_or_main = name.map_or(Section::Main.name(), |name| name.text.as_str());
        let of_kind = |section: &&Section| section.kind() == kind.text;
        if !sections.iter().any(|section| of_kind(&section)) {
            let kinds = [Section::SENTINEL, Section::DETECTOR];
            self.wrong_word(kind.at, "section type", &kind.text, kinds.into_iter());
            return None;
        }
        let found = sections.iter().filter(of_kind).find(|section| section.name() == name_or_main);
        if found.is_none() {
            let names = sections.iter().filter(of_kind).map(|section| section.name());
            match name {
                Some(name) => self.wrong_word(name.at, &kind.text, &name.text, names),
                None => {
                    let names: Vec<_> = names.collect();
                    let what = format!("this detector has no name; allowed: {}", names.join(", "));
                    self.wrong_line(kind.at, what);
                }
            }
        }
        found.copied()
    }

    /// Notes what one line says; as in libuci, `option` replaces and `list` adds.
    fn value(&mut self, section: Section, list: bool, name: &Word, value: Word) {
        let position = |setting: &Setting| setting.section == section && setting.name == name.text;
        let Some(index) = self.registry.iter().position(position) else {
            let names: Vec<_> = self.registry.iter().filter(|setting| setting.section == section).collect();
            let names: Vec<_> = names.iter().map(|setting| setting.name).collect();
            return self.wrong_word(name.at, "option", &name.text, names.into_iter());
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

    fn environment_layer(&mut self, environment: impl Iterator<Item = (String, String)>) {
        let known: Vec<String> = self.registry.iter().map(Setting::variable).collect();
        for (variable, value) in environment {
            if !variable.starts_with("SENTINEL_") || variable.starts_with(NOT_OURS) {
                continue;
            }
            match known.iter().position(|name| *name == variable) {
                Some(index) => self.assign(index, &variable, &[(Origin::Environment, &value)]),
                None => {
                    let what = unknown("setting", &variable, known.iter().map(String::as_str));
                    self.note(Origin::Environment, &variable, what);
                }
            }
        }
    }

    fn flag_layer(&mut self, flags: &[(String, String)]) {
        let known: Vec<String> = self.registry.iter().map(Setting::key).collect();
        for (key, value) in flags {
            let short = key.strip_prefix("main.").unwrap_or(key);
            match known.iter().position(|name| name == short) {
                Some(index) => self.assign(index, key, &[(Origin::Flag, value)]),
                None => {
                    let what = unknown("setting", short, known.iter().map(String::as_str));
                    self.note(Origin::Flag, key, what);
                }
            }
        }
    }

    /// Gives a setting the values of one layer; none at all is no change.
    fn assign(&mut self, index: usize, source: &str, values: &[(Origin, &str)]) {
        let (Some(setting), Some((origin, _))) = (self.registry.get(index).copied(), values.first()) else {
            return;
        };
        let mut field = setting.field(&mut self.settings);
        let separators: &[char] = if field.is_list() { &[' ', '\t', ','] } else { &[] };
        let words: Vec<(Origin, &str)> = values
            .iter()
            .flat_map(|(origin, value)| value.split(separators).map(|word| (*origin, word)))
            .filter(|(_, word)| !(word.is_empty() && field.is_list()))
            .collect();
        let texts: Vec<&str> = words.iter().map(|(_, word)| *word).collect();
        let outcome = field.set(&texts);
        let allowed = field.allowed();
        if let Some(known) = self.origins.get_mut(index) {
            *known = *origin;
        }
        let Err(faults) = outcome else { return };
        if let Some(known) = self.faulty.get_mut(index) {
            *known = true;
        }
        let (name, unit) = (setting.name, setting.unit);
        let space = if unit.is_empty() { "" } else { " " };
        for fault in faults {
            let (origin, word) = words.get(fault.index).copied().unwrap_or((*origin, ""));
            let what = format!("{name} '{}' {}; allowed: {allowed}{space}{unit}", show(word), fault.why);
            self.note(origin, source, what);
        }
    }

    /// Judges the rules of which every setting has a value that was accepted.
    fn check_relations(&mut self) {
        for relation in RELATIONS {
            if (relation.holds)(&self.settings) {
                continue;
            }
            let mut values = Vec::new();
            let mut blamed = (Origin::Default, String::new());
            let mut faulty = false;
            let beside = self.origins.iter().zip(&self.faulty);
            for (setting, (origin, known)) in self.registry.iter().zip(beside) {
                if setting.section != Section::Main || !relation.names.contains(&setting.name) {
                    continue;
                }
                faulty |= *known;
                let texts = setting.field(&mut self.settings).texts().join(" ");
                values.push(format!("{} is {texts}", setting.name));
                if *origin >= blamed.0 {
                    blamed = (*origin, self.source_of(setting, *origin));
                }
            }
            if !faulty {
                let what =
                    format!("{}, because {}; now {}", relation.rule, relation.because, values.join(", "));
                self.note(blamed.0, &blamed.1, what);
            }
        }
    }

    /// Name of the thing that set `setting`, as [`Problem::source`] has it.
    fn source_of(&self, setting: &Setting, origin: Origin) -> String {
        match origin {
            Origin::Default | Origin::File { .. } => self.file.display().to_string(),
            Origin::Environment => setting.variable(),
            Origin::Flag => setting.key(),
        }
    }

    fn sections(&self) -> Vec<Section> {
        let mut sections: Vec<Section> = self.registry.iter().map(|setting| setting.section).collect();
        sections.dedup();
        sections
    }

    fn wrong_word<'n>(
        &mut self,
        at: At,
        kind: &str,
        word: &str,
        names: impl Iterator<Item = &'n str> + Clone,
    ) {
        self.wrong_line(at, unknown(kind, word, names));
    }

    fn wrong_line(&mut self, at: At, what: String) {
        let source = self.file.display().to_string();
        self.note(at.into(), &source, what);
    }

    fn note(&mut self, origin: Origin, source: &str, what: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { origin, source: source.into(), what });
        }
    }

    fn finish(mut self) -> Result<Loaded, Vec<Problem>> {
        self.check_relations();
        if self.problems.is_empty() {
            return Ok(Loaded { settings: self.settings, origins: self.origins, file: self.file });
        }
        self.problems.sort_by_key(|problem| problem.origin);
        Err(self.problems)
    }
}

impl From<At> for Origin {
    fn from(At { line, column }: At) -> Self {
        Self::File { line, column }
    }
}

/// `unknown option 'prots'; did you mean 'ports'?`, or all names if none is near.
fn unknown<'n>(kind: &str, word: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    let start = format!("unknown {kind} '{}'", show(word));
    match nearest(word, names.clone()) {
        Some(name) => format!("{start}; did you mean '{name}'?"),
        None => format!("{start}; allowed: {}", names.collect::<Vec<_>>().join(", ")),
    }
}

/// Text of a stranger, made fit to print: cut, and without control characters.
fn show(text: &str) -> String {
    const MOST: usize = 60;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}

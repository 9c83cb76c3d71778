//! Layers of the settings: default < file < environment < flag.

use std::ffi::{OsString, c_ulong};
use std::path::{Path, PathBuf};

use super::lists::Lists;
use super::problem::{Origin, Problem, nearest};
use super::registry::{self, Section, Setting, Settings};
use super::relation::RELATIONS;
use super::renamed;
use super::uci::Word;
use crate::system::process::total_memory_kib;
use crate::terminal::count::count;

mod file;
mod mend;

/// File that is read if it exists and no other is named.
pub(crate) const DEFAULT_FILE: &str = "/etc/config/sentinel-appliance";

/// Problems that are kept; further ones are counted.
const MAX_PROBLEMS: usize = 100;

/// Prefixes of variables that belong to the collector, or to building and testing.
const OTHER_PROGRAMS: [&str; 7] = [
    "SENTINEL_COLLECTOR_",
    "SENTINEL_DB_KEY",
    "SENTINEL_CACHE",
    "SENTINEL_CORPUS",
    "SENTINEL_FUZZ_",
    "SENTINEL_LAB_",
    "SENTINEL_RUNS",
];

/// Settings in force and where each comes from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The values.
    pub(crate) settings: Settings,
    /// In the order of the registry.
    pub(super) origins: Vec<Origin>,
    /// Names that are accepted for one more version.
    pub(crate) warnings: Vec<Problem>,
    /// Problems in spite of which the settings were read: a name that is unknown is passed over, and a value that is refused
    /// gives way to the default.
    pub(crate) set_aside: Vec<Problem>,
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
        Loader::with_file(path).finish(environment, flags, |_| false)
    }

    /// Reads all layers as [`Settings::load`] does, but keeps the default in place of each value that is refused: for `run`, which
    /// watches with what it can read, and for commands that look for the directories of a running sensor, and must find the
    /// same ones.
    ///
    /// # Errors
    /// Every problem, if one is with `flags`: whoever gives a flag is there to correct it.
    pub(crate) fn load_readable(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Loaded, Vec<Problem>> {
        Loader::with_file(path).finish(environment, flags, |problem| problem.origin != Origin::Flag)
    }

    /// Reads all layers as [`Settings::load`] does, but passes over names that this version does not know: for a reload.
    ///
    /// # Errors
    /// Every problem, if one is about something else.
    pub(crate) fn load_known(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Loaded, Vec<Problem>> {
        Loader::with_file(path).finish(environment, flags, |problem| problem.is_unknown)
    }
}

impl Loaded {
    /// True if no layer sets the setting `key`.
    pub(crate) fn is_default(&self, key: &str) -> bool {
        let all = registry::all();
        all.iter()
            .zip(&self.origins)
            .any(|(setting, origin)| setting.key() == key && *origin == Origin::Default)
    }

    /// Problems with the files that the settings name, which `run` would read: none of them is open yet.
    pub(crate) fn file_problems(&self) -> Vec<Problem> {
        Lists::problems(&self.settings).map(|(key, error)| self.problem_with(key, &error)).collect()
    }

    /// Problem with the value of the setting `key`, at the place that the value comes from.
    pub(crate) fn problem_with(&self, key: &str, what: &dyn std::fmt::Display) -> Problem {
        let all = registry::all();
        let found = all.iter().zip(&self.origins).find(|(setting, _)| setting.key() == key);
        let (origin, source) = match found {
            Some((setting, origin)) => (*origin, source_of(setting, *origin, &self.file)),
            None => (Origin::Default, self.file.display().to_string()),
        };
        Problem { origin, source, what: format!("{key}: {what}"), is_unknown: false }
    }
}

/// Splits the `section.name=value` of `--set`; `None` without an equals sign.
pub(crate) fn split_assignment(text: &str) -> Option<(String, String)> {
    text.split_once('=').map(|(key, value)| (key.trim().into(), value.into()))
}

/// Variables of this process for [`Settings::load`]. Bytes that are not UTF-8 become U+FFFD, which no
/// setting accepts; `std::env::vars` would panic on them.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

struct Loader {
    registry: Vec<Setting>,
    /// Words of the file for each setting.
    given: Vec<Vec<Word>>,
    origins: Vec<Origin>,
    /// For each setting, true if a problem with it is known.
    faulty: Vec<bool>,
    settings: Settings,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Problems beyond [`MAX_PROBLEMS`].
    omitted: u32,
    file: PathBuf,
    /// Memory of this machine.
    machine_kib: c_ulong,
}

impl Loader {
    /// Reads `path`, or the default file if there is one.
    fn with_file(path: Option<&Path>) -> Self {
        let mut loader = Self::new(path.unwrap_or(Path::new(DEFAULT_FILE)));
        match path {
            Some(_) => loader.named_file(),
            None => loader.default_file(),
        }
        loader
    }

    fn new(file: &Path) -> Self {
        let registry = registry::all();
        Self {
            given: vec![Vec::new(); registry.len()],
            origins: vec![Origin::Default; registry.len()],
            faulty: vec![false; registry.len()],
            settings: Settings::default(),
            problems: Vec::new(),
            warnings: Vec::new(),
            omitted: 0,
            file: file.into(),
            machine_kib: total_memory_kib(),
            registry,
        }
    }

    fn environment_layer(&mut self, environment: impl Iterator<Item = (String, String)>) {
        let known: Vec<String> = self.registry.iter().map(Setting::variable).collect();
        let is_ours = |variable: &str| {
            variable.starts_with("SENTINEL_")
                && !OTHER_PROGRAMS.iter().any(|prefix| variable.starts_with(prefix))
        };
        let ours: Vec<(String, String)> = environment.filter(|(variable, _)| is_ours(variable)).collect();
        // The environment has no order: the new name wins over the old one, so it comes last.
        for (variable, value) in &ours {
            if let Some(new) = renamed::new_variable(variable) {
                self.warn_renamed(Origin::Environment, variable, variable, &new);
                self.named(Origin::Environment, variable, &known, &new, value);
            }
        }
        for (variable, value) in ours.iter().filter(|(name, _)| renamed::new_variable(name).is_none()) {
            self.named(Origin::Environment, variable, &known, variable, value);
        }
    }

    fn flag_layer(&mut self, flags: &[(String, String)]) {
        let known: Vec<String> = self.registry.iter().map(Setting::key).collect();
        for (key, value) in flags {
            let name = key.strip_prefix("main.").unwrap_or(key);
            let new = renamed::new_key(name);
            if let Some(new) = new {
                self.warn_renamed(Origin::Flag, key, name, new);
            }
            self.named(Origin::Flag, key, &known, new.unwrap_or(name), value);
        }
    }

    /// Sets the setting whose name in this layer, among `known`, is `name`.
    fn named(&mut self, origin: Origin, source: &str, known: &[String], name: &str, value: &str) {
        if let Some(index) = known.iter().position(|known| known == name) {
            return self.assign(index, source, &[(origin, value)]);
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        self.note_unknown(origin, source, unknown("setting", name, &known));
    }

    /// Sets a setting to the values of one layer; without values, it does not change.
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

    /// Sets defaults that depend on the machine and on other settings.
    fn dependent_defaults(&mut self) {
        if self.is_default("memory_kib") {
            self.settings.default_memory(self.machine_kib);
        }
        if self.is_default("ring_kib") {
            self.settings.default_ring_size();
        }
    }

    fn is_default(&self, key: &str) -> bool {
        let mut beside = self.registry.iter().zip(&self.origins);
        beside.any(|(setting, origin)| setting.key() == key && *origin == Origin::Default)
    }

    /// Checks the rules between settings. A rule with a setting whose value was refused is skipped.
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
                    blamed = (*origin, source_of(setting, *origin, &self.file));
                }
            }
            if !faulty {
                let what =
                    format!("{}, because {}; now {}", relation.rule, relation.because, values.join(", "));
                self.note(blamed.0, &blamed.1, what);
            }
        }
    }

    fn warn_renamed(&mut self, origin: Origin, source: &str, old: &str, new: &str) {
        let what = format!("'{old}' is now called '{new}'; the old name is accepted for one version");
        self.warnings.push(Problem { origin, source: source.into(), what, is_unknown: false });
    }

    fn note(&mut self, origin: Origin, source: &str, what: String) {
        self.push(Problem { origin, source: source.into(), what, is_unknown: false });
    }

    /// Notes a name that this version does not know.
    fn note_unknown(&mut self, origin: Origin, source: &str, what: String) {
        self.push(Problem { origin, source: source.into(), what, is_unknown: true });
    }

    fn push(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            // Values are checked after the whole file is read: this restores the order of the lines.
            let at = self.problems.partition_point(|known| known.origin <= problem.origin);
            self.problems.insert(at, problem);
        } else {
            self.omitted += 1;
        }
    }

    /// Applies the layers above the file, then checks the rules between settings. If each problem `may_stay`, all are set
    /// aside.
    fn finish(
        mut self,
        environment: impl Iterator<Item = (String, String)>,
        flags: &[(String, String)],
        may_stay: fn(&Problem) -> bool,
    ) -> Result<Loaded, Vec<Problem>> {
        self.layers_above_file(environment, flags);
        if self.problems.is_empty() {
            return Ok(self.loaded());
        }
        let all_stay = self.problems.iter().all(may_stay);
        if self.omitted > 0 {
            let source = self.file.display().to_string();
            let what = format!("and {}", count(u64::from(self.omitted), "more problem"));
            self.problems.push(Problem { origin: Origin::Default, source, what, is_unknown: false });
        }
        if !all_stay {
            return Err(self.problems);
        }
        for (origin, _) in self.origins.iter_mut().zip(&self.faulty).filter(|(_, is_faulty)| **is_faulty) {
            *origin = Origin::Default;
        }
        self.dependent_defaults();
        self.keep_relations();
        Ok(self.loaded())
    }

    fn layers_above_file(
        &mut self,
        environment: impl Iterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) {
        self.environment_layer(environment);
        self.flag_layer(flags);
        self.dependent_defaults();
        self.check_relations();
    }

    fn loaded(self) -> Loaded {
        let Self { settings, origins, warnings, problems, file, .. } = self;
        Loaded { settings, origins, warnings, set_aside: problems, file }
    }
}

/// Origin of the value of `setting`, as [`Problem::source`] has it.
fn source_of(setting: &Setting, origin: Origin, file: &Path) -> String {
    match origin {
        Origin::Default | Origin::File { .. } => file.display().to_string(),
        Origin::Environment => setting.variable(),
        Origin::Flag => setting.key(),
    }
}

/// `unknown option 'prots'; did you mean 'ports'?`, or all names if none is near.
fn unknown(kind: &str, word: &str, names: &[&str]) -> String {
    let start = format!("unknown {kind} '{}'", show(word));
    match nearest(word, names) {
        Some(name) => format!("{start}; did you mean '{name}'?"),
        None => format!("{start}; allowed: {}", names.join(", ")),
    }
}

/// Escapes text of unknown origin for any terminal: at most 60 characters, ASCII only.
fn show(text: &str) -> String {
    const MAX: usize = 60;
    let mut shown: String = text.chars().take(MAX).flat_map(char::escape_default).collect();
    if text.chars().nth(MAX).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::field::Field;
    use super::super::report;
    use super::super::uci::tests::{fuzz, mutate};
    use super::file::MAX_FILE;
    use super::*;

    type Pairs<'p> = &'p [(&'p str, &'p str)];

    fn owned(pairs: Pairs<'_>) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    /// [`Settings::load`] with a file of these bytes.
    pub(in super::super) fn load(
        file: &[u8],
        environment: Pairs<'_>,
        flags: Pairs<'_>,
    ) -> Result<Loaded, Vec<String>> {
        let mut loader = Loader::new(Path::new("F"));
        loader.file_layer(file);
        loader
            .finish(owned(environment).into_iter(), &owned(flags), |_| false)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    /// [`Settings::load_readable`] without a file, with these flags.
    pub(crate) fn load_flags(flags: Pairs<'_>) -> Loaded {
        Settings::load_readable(Some(Path::new("/dev/null")), std::iter::empty(), &owned(flags)).unwrap()
    }

    fn problems(file: &str, environment: Pairs<'_>, flags: Pairs<'_>) -> Vec<String> {
        load(file.as_bytes(), environment, flags).map(|_| ()).unwrap_err()
    }

    #[test]
    fn all_problems_of_a_file_are_reported_with_place_and_what_is_allowed() {
        let file = "\
package sentinel
option early 1
config sentinel main
\toption memory_kib abc
\toption ring_kib '99999999'
\tlist snap_bytes 5
\toptoin x
\toption interface \"br-lan
\tlist home_net '10.0.0.0/33'
\tlist home_net '10.0.0.0/8 foo'
\toption state_dir var
config detector 'port_scn'
\toption passed_over 1
config detector 'port_scan'
\toption prots 15
config detector
config sentinel other
config wifi x
config 'detector' brute_force
    list ports '22, 22 70000'
    option severity urgent
    option enabled maybe
    option zzzzzzzz 1
    option ports ''
";
        let networks = "allowed: 1 to 16 networks such as 192.168.0.0/16 or fd00::/8";
        let expected = [
            "F:1:9: unknown package 'sentinel'; allowed: sentinel-appliance",
            "F:2:8: 'early' stands before the first section; begin with config sentinel 'main'",
            "F:4:20: memory_kib 'abc' is not a whole number; allowed: tiny (384), default (2048), full (8192), or 256 to 262144 KiB",
            "F:5:18: ring_kib '99999999' is out of range; allowed: 64 to 65536 KiB",
            "F:6:7: snap_bytes takes one value; write option instead of list",
            "F:7:2: unknown keyword 'optoin'; a line starts with config, option, list, package or #",
            "F:8:19: this \" is not closed on its line; a value stands between two \" and holds no line break",
            &format!("F:9:16: home_net '10.0.0.0/33' has a length over 32; {networks}"),
            &format!("F:10:16: home_net 'foo' is not a network; {networks}"),
            "F:11:19: state_dir 'var' is not an absolute path; allowed: an absolute path of at most 255 bytes",
            "F:12:17: unknown detector section 'port_scn'; did you mean 'port_scan'?",
            "F:15:9: unknown option 'prots'; did you mean 'ports'?",
            &format!(
                "F:16:8: this detector has no name; allowed: {}",
                sentinel_detect::DETECTORS.map(|detector| detector.kind.name()).join(", ")
            ),
            "F:17:17: unknown sentinel section 'other'; allowed: main",
            "F:18:8: unknown section type 'wifi'; allowed: sentinel, detector",
            "F:21:21: severity 'urgent' is none of them; allowed: info, low, medium, high, critical",
            "F:22:20: enabled 'maybe' is neither on nor off; allowed: on, off",
            "F:23:12: unknown option 'zzzzzzzz'; allowed: enabled, severity, attempts, window_s, failures, hosts, ports",
            "F:24:18: ports '' is an empty list; allowed: 1 to 32 ports, each 1 to 65535",
        ];
        assert_eq!(problems(file, &[], &[]), expected);
    }

    #[test]
    fn every_bad_element_of_a_list_is_reported_where_it_stands() {
        let file = "config detector brute_force\nlist ports '22, 22 70000'\nlist ports '\u{1f41b}x'";
        let allowed = "allowed: 1 to 32 ports, each 1 to 65535";
        let expected = [
            format!("F:2:12: ports '22' is twice in the list; {allowed}"),
            format!("F:2:12: ports '70000' is out of range; {allowed}"),
            format!("F:3:12: ports '\\u{{1f41b}}x' is not a whole number; {allowed}"),
        ];
        assert_eq!(problems(file, &[], &[]), expected);
    }

    #[test]
    fn environment_and_flags_are_checked_like_the_file() {
        let environment = [
            ("SENTINEL_RINGKIB", "4"),
            ("SENTINEL_LOG_LEVEL", "trace"),
            ("SENTINEL_COLLECTOR_URL", "x"),
            ("PATH", "/bin"),
        ];
        let flags = [("port_scan.portz", "3"), ("main.memory_kib", "0"), ("zz.yy", "1\n2")];
        let found = problems("", &environment, &flags);
        assert_eq!(
            &found[..4],
            [
                "environment variable SENTINEL_RINGKIB: unknown setting 'SENTINEL_RINGKIB'; \
                 did you mean 'SENTINEL_RING_KIB'?",
                "environment variable SENTINEL_LOG_LEVEL: log_level 'trace' is none of them; \
                 allowed: error, warn, info, debug",
                "--set port_scan.portz: unknown setting 'port_scan.portz'; did you mean 'port_scan.ports'?",
                "--set main.memory_kib: memory_kib '0' is out of range; allowed: tiny (384), default (2048), full (8192), or 256 to 262144 KiB",
            ]
        );
        assert!(found[4].starts_with("--set zz.yy: unknown setting 'zz.yy'; allowed: interface, home_net,"));
        assert_eq!(found.len(), 5);
    }

    #[test]
    fn a_later_layer_wins_and_is_the_origin() {
        let file = b"config sentinel 'main'\n\toption ring_kib '128'\n";
        let index = registry::all().iter().position(|setting| setting.name == "ring_kib").unwrap();
        let of = |file: &[u8], environment: Pairs<'_>, flags: Pairs<'_>| {
            let loaded = load(file, environment, flags).unwrap();
            (loaded.settings.ring_kib, loaded.origins[index])
        };
        let (environment, flags) = ([("SENTINEL_RING_KIB", "256")], [("ring_kib", "512")]);
        assert_eq!(of(b"", &[], &[]), (1_024, Origin::Default));
        assert_eq!(of(file, &[], &[]), (128, Origin::File { line: 2, column: 18 }));
        assert_eq!(of(file, &environment, &[]), (256, Origin::Environment));
        assert_eq!(of(file, &environment, &flags), (512, Origin::Flag));
        assert_eq!(of(file, &[], &[("ring_kib", "64"), ("main.ring_kib", "65536")]), (65_536, Origin::Flag));
    }

    #[test]
    fn a_bad_value_is_reported_even_if_a_later_layer_replaces_it() {
        let found = problems("config sentinel\noption ring_kib x", &[], &[("ring_kib", "512")]);
        assert_eq!(found, ["F:2:17: ring_kib 'x' is not a whole number; allowed: 64 to 65536 KiB"]);
    }

    /// The result does not depend on a [`DEFAULT_FILE`] of the machine.
    #[test]
    fn dev_null_as_settings_file_leaves_the_defaults() {
        let loaded = Settings::load(Some(Path::new("/dev/null")), std::iter::empty(), &[]).unwrap();
        assert_eq!(loaded.settings, Settings::default());
        assert!(loaded.origins.iter().all(|origin| *origin == Origin::Default));
    }

    #[test]
    fn rings_follow_the_memory_unless_they_are_set() {
        let ring_kib = |flags: &[(&str, &str)]| load(b"", &[], flags).unwrap().settings.ring_kib;
        assert_eq!(ring_kib(&[]), 1_024);
        assert_eq!(ring_kib(&[("memory_kib", "tiny")]), 128);
        assert_eq!(ring_kib(&[("memory_kib", "1000")]), 256);
        assert_eq!(ring_kib(&[("memory_kib", "full")]), 1_024);
        assert_eq!(ring_kib(&[("memory_kib", "256")]), 128);
        assert_eq!(ring_kib(&[("memory_kib", "tiny"), ("ring_kib", "1024")]), 1_024);
    }

    #[test]
    fn a_device_of_64_mib_takes_the_tiny_profile_unless_told_otherwise() {
        let sizes = |machine_kib: c_ulong, flags: &[(&str, &str)]| {
            let loader = Loader { machine_kib, ..Loader::new(Path::new("F")) };
            let loaded = loader.finish(std::iter::empty(), &owned(flags), |_| false).unwrap();
            (loaded.settings.memory_kib, loaded.settings.ring_kib, loaded.is_default("memory_kib"))
        };
        assert_eq!(sizes(58_276, &[]), (384, 128, true));
        assert_eq!(sizes(65_536, &[]), (384, 128, true));
        assert_eq!(sizes(65_537, &[]), (2_048, 1_024, true));
        assert_eq!(sizes(58_276, &[("memory_kib", "default")]), (2_048, 1_024, false));
        assert_eq!(sizes(58_276, &[("ring_kib", "512")]), (384, 512, true));
    }

    #[test]
    fn option_replaces_and_list_adds() {
        let interfaces = |lines: &str| {
            let file = format!("config sentinel main\n{lines}");
            load(file.as_bytes(), &[], &[]).unwrap().settings.interface
        };
        assert_eq!(interfaces("list interface eth1"), ["eth1"]);
        assert_eq!(interfaces("list interface eth1\nlist interface eth2"), ["eth1", "eth2"]);
        assert_eq!(interfaces("option interface 'eth1 eth2'"), ["eth1", "eth2"]);
        assert_eq!(interfaces("option interface eth1,eth2\nlist interface eth3"), ["eth1", "eth2", "eth3"]);
        assert_eq!(interfaces("list interface eth1\noption interface eth2"), ["eth2"]);
        assert_eq!(
            interfaces("list interface a\nconfig detector arp_spoof\nconfig sentinel\nlist interface b"),
            ["a", "b"]
        );
        let twice = load(b"config sentinel\noption ring_kib 64\noption ring_kib 128", &[], &[]).unwrap();
        assert_eq!(twice.settings.ring_kib, 128);
    }

    /// Another text for the value that keeps the rules between settings, found by trying.
    fn other_value(setting: &Setting) -> String {
        let mut settings = Settings::default();
        let field = setting.field(&mut settings);
        let candidates = match &field {
            Field::Switch(value) => vec![if **value { "no" } else { "yes" }.into()],
            Field::Number(_, range) | Field::Seconds(_, range) | Field::Millis(_, range) => {
                vec![range.start().to_string(), range.end().to_string()]
            }
            // The largest first: little memory makes the rings small, too.
            Field::Memory(_, range) => vec![range.end().to_string()],
            Field::Expression(..) => vec!["tcp or host 192.0.2.1".into()],
            Field::User(..) => vec!["64123:64124".into()],
            Field::Choice(choice) => choice.choices().into_iter().map(String::from).collect(),
            Field::EvidenceKey(_) => vec!["none".into()],
            Field::Path(..) | Field::OptionalPath(..) => vec!["/mnt/it's".into()],
            Field::Interfaces(..) => vec!["eth1 wlan0".into()],
            Field::Addresses(..) => vec!["c.example [2001:db8::1]:7700".into()],
            Field::Networks(..) => vec!["192.0.2.0/24 2001:db8::/32".into()],
            Field::AllowRules(..) => vec!["kind=port_scan+source=192.0.2.1/32 port=22".into()],
            Field::Ports(_) => vec!["2222,2323".into()],
        };
        let default = field.texts();
        let key = setting.key();
        let changes = |value: &&String| {
            load(b"", &[], &[(&key, value)])
                .is_ok_and(|mut loaded| setting.field(&mut loaded.settings).texts() != default)
        };
        candidates.iter().find(changes).unwrap_or_else(|| panic!("no other value for {key}")).clone()
    }

    #[test]
    fn every_setting_can_be_set_in_all_three_ways_and_shown() {
        for (index, setting) in registry::all().iter().enumerate() {
            let (key, variable, value) = (setting.key(), setting.variable(), other_value(setting));
            let (kind, section) = (setting.section.kind(), setting.section.name());
            let file = format!(
                "config {kind} {section}\noption {} '{}'",
                setting.name,
                value.replace('\'', "'\\''")
            );
            let long = format!("{section}.{}", setting.name);
            let ways = [
                load(file.as_bytes(), &[], &[]).unwrap(),
                load(b"", &[(&variable, &value)], &[]).unwrap(),
                load(b"", &[], &[(&key, &value)]).unwrap(),
                load(b"", &[], &[(&long, &value)]).unwrap(),
            ];
            for way in &ways {
                assert_eq!(way.settings, ways[0].settings, "{key}");
                let (mut old, mut new) = (Settings::default(), way.settings.clone());
                for (other, (any, origin)) in registry::all().iter().zip(&way.origins).enumerate() {
                    let same = any.field(&mut old).texts() == any.field(&mut new).texts();
                    assert_eq!(same, other != index, "{key} changes {}", any.key());
                    assert_eq!(*origin == Origin::Default, other != index, "{key}");
                }
                let mut shown = Vec::new();
                report::show(way, true, &mut shown).unwrap();
                let again = load(&shown, &[], &[]).unwrap();
                assert_eq!(again.settings, way.settings, "what is shown reads back: {key}");
            }
        }
    }

    #[test]
    fn a_missing_file_matters_only_if_it_was_named() {
        let missing = std::env::temp_dir().join(format!("sentinel-settings-{}-missing", std::process::id()));
        let found = Settings::load(Some(&missing), std::iter::empty(), &[]).unwrap_err();
        let text = format!("{}: cannot be read: No such file or directory", missing.display());
        assert!(found[0].to_string().starts_with(&text), "{}", found[0]);
        assert_eq!(found.len(), 1);
        let mut loader = Loader::new(&missing);
        loader.default_file();
        assert_eq!(loader.finish(std::iter::empty(), &[], |_| false).unwrap().settings, Settings::default());
    }

    #[test]
    fn files_are_read_up_to_their_largest_size() {
        let path = std::env::temp_dir().join(format!("sentinel-settings-{}-large", std::process::id()));
        let mut text = "config sentinel\noption ring_kib 64\n".to_owned();
        text.push_str(&"\n".repeat(MAX_FILE - text.len()));
        let mut outcome = Vec::new();
        for more in ["", "\n"] {
            text.push_str(more);
            std::fs::write(&path, &text).unwrap();
            outcome.push(Settings::load(Some(&path), std::iter::empty(), &[]));
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(outcome[0].as_ref().unwrap().settings.ring_kib, 64);
        let found = outcome[1].as_ref().unwrap_err();
        assert_eq!(found[0].to_string(), format!("{}: is larger than 65536 bytes", path.display()));
    }

    #[test]
    fn a_directory_is_not_a_file() {
        let found = Settings::load(Some(Path::new("/")), std::iter::empty(), &[]).unwrap_err();
        assert!(found[0].to_string().starts_with("/: cannot be read: "), "{}", found[0]);
    }

    #[test]
    fn the_largest_files_are_read_in_one_pass() {
        for piece in ["'", "\\\n", "\\", ";", "#", "o a b;", "l ports 1\n", "config a\n", "'\\''", "\"\\\""] {
            let file = "c detector brute_force\n".to_owned() + &piece.repeat(MAX_FILE / piece.len());
            fuzz(file.as_bytes());
            assert!(
                load(file.as_bytes(), &[], &[]).map_or_else(|found| found.len(), |_| 1) <= MAX_PROBLEMS + 1
            );
        }
    }

    #[test]
    fn problems_without_end_are_cut() {
        let found = problems(&"x\n".repeat(5_000), &[], &[]);
        assert_eq!(found.len(), MAX_PROBLEMS + 1);
        assert!(found[0].starts_with("F:1:1: "));
        assert_eq!(found[MAX_PROBLEMS], "F: and 4900 more problems");
    }

    #[test]
    fn untrusted_names_are_printed_escaped() {
        assert_eq!(show("a\u{1b}[31m'\n"), "a\\u{1b}[31m\\'\\n");
        assert_eq!(show(&"x".repeat(61)), format!("{}...", "x".repeat(60)));
        assert_eq!(show(&"x".repeat(60)), "x".repeat(60));
    }

    #[test]
    fn assignments_are_split_at_the_first_equals_sign() {
        assert_eq!(split_assignment("a.b=c=d"), Some(("a.b".into(), "c=d".into())));
        assert_eq!(split_assignment("a="), Some(("a".into(), String::new())));
        assert_eq!(split_assignment("a"), None);
    }

    /// The public uci crate loops forever on some odd bytes; this one must end on all of these.
    #[test]
    fn mutated_files_are_read_or_refused() {
        let mut shown = Vec::new();
        report::show(&load(b"", &[], &[]).unwrap(), false, &mut shown).unwrap();
        let samples = [
            &shown[..],
            b"package sentinel-appliance\nconfig sentinel 'main'\n\tlist interface \"br\\\n-lan\" # x\r\n",
            b"config detector brute_force;option ports '22,23'\n\toption severity 'hi\\gh'\n",
        ];
        let mut random = 0x5eed_0000_0000_0001;
        let (mut read, mut refused) = (0, 0);
        for round in 0..3_000 {
            let mut bytes = samples[round % samples.len()].to_vec();
            mutate(&mut bytes, &mut random);
            fuzz(&bytes);
            match load(&bytes, &[], &[]) {
                Ok(loaded) => {
                    let mut shown = Vec::new();
                    report::show(&loaded, false, &mut shown).unwrap();
                    assert_eq!(load(&shown, &[], &[]).unwrap().settings, loaded.settings);
                    read += 1;
                }
                Err(problems) => {
                    assert!(!problems.is_empty());
                    refused += 1;
                }
            }
        }
        assert!(read > 100 && refused > 100, "both ways are tried: {read} {refused}");
    }
}

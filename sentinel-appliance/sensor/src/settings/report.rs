//! Output of `sentinel config check|show|docs`.

use std::io::{self, Write};

use sentinel_detect::DETECTORS;

use super::load::Loaded;
use super::problem::{Origin, Problem};
use super::registry::{self, Change, Section, Setting, Settings};
use super::relation::RELATIONS;

/// Writes the outcome of [`Settings::load`]; returns true if there was no problem.
///
/// # Errors
/// Only those of `out`.
pub(crate) fn check(outcome: &Result<Loaded, Vec<Problem>>, out: &mut dyn Write) -> io::Result<bool> {
    match outcome {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                writeln!(out, "warning: {warning}")?;
            }
            writeln!(out, "{} settings, no problems", loaded.origins.len())?;
        }
        Err(problems) => {
            for problem in problems {
                writeln!(out, "{problem}")?;
            }
        }
    }
    Ok(outcome.is_ok())
}

/// Writes the settings in force as a settings file, each with its unit and origin in a comment.
///
/// # Errors
/// Only those of `out`.
pub(crate) fn show(loaded: &Loaded, changed_only: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut settings = loaded.settings.clone();
    let mut section = None;
    for (setting, origin) in registry::all().iter().zip(&loaded.origins) {
        if changed_only && *origin == Origin::Default {
            continue;
        }
        if section != Some(setting.section) {
            let gap = if section.is_some() { "\n" } else { "" };
            writeln!(out, "{gap}config {} '{}'", setting.section.kind(), setting.section.name())?;
            section = Some(setting.section);
        }
        let field = setting.field(&mut settings);
        let keyword = if field.is_list() { "list" } else { "option" };
        let space = if setting.unit.is_empty() { "" } else { ", " };
        for text in field.texts() {
            let text = text.replace('\'', "'\\''");
            let line = format!("{keyword} {} '{text}'", setting.name);
            write!(out, "\t{line:<44} # {}{space}", setting.unit)?;
            match origin {
                Origin::Default => writeln!(out, "default")?,
                Origin::File { line, .. } => writeln!(out, "{}:{line}", loaded.file.display())?,
                Origin::Environment => writeln!(out, "environment {}", setting.variable())?,
                Origin::Flag => writeln!(out, "--set {}", setting.key())?,
            }
        }
    }
    if section.is_none() {
        writeln!(out, "# every setting has its default")?;
    }
    Ok(())
}

/// Writes the values of one detector, a line each, with their defaults.
pub(crate) fn of_detector(settings: &Settings, detector: &str, out: &mut String) -> std::fmt::Result {
    use std::fmt::Write;
    let (mut settings, mut defaults) = (settings.clone(), Settings::default());
    for setting in registry::all().iter().filter(|setting| setting.section.name() == detector) {
        let [value, default] =
            [&mut settings, &mut defaults].map(|settings| setting.field(settings).texts().join(" "));
        writeln!(out, "  {} {value} {} (default {default}): {}", setting.key(), setting.unit, setting.help)?;
    }
    Ok(())
}

/// Writes the reference page SETTINGS.md.
///
/// # Errors
/// Only those of `out`.
pub(crate) fn docs(out: &mut dyn Write) -> io::Result<()> {
    let mut settings = Settings::default();
    let mut section = None;
    write!(out, "{INTRODUCTION}")?;
    for setting in registry::all() {
        if section != Some(setting.section) {
            heading(setting.section, out)?;
            section = Some(setting.section);
        }
        row(&setting, &mut settings, out)?;
    }
    writeln!(out, "\n## Rules between settings\n")?;
    for relation in RELATIONS {
        writeln!(out, "- {}, because {}.", relation.rule, relation.because)?;
    }
    Ok(())
}

fn heading(section: Section, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n## `config {} '{}'`\n", section.kind(), section.name())?;
    for detector in DETECTORS.iter().filter(|detector| detector.kind.name() == section.name()) {
        writeln!(out, "Fires when {}.", detector.about)?;
        writeln!(out, "Technique {}. Defaults: {}.\n", detector.kind.technique(), detector.source)?;
    }
    writeln!(out, "| name | type | unit | default | allowed | environment | meaning |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")
}

fn row(setting: &Setting, settings: &mut Settings, out: &mut dyn Write) -> io::Result<()> {
    let Setting { name, unit, help, .. } = setting;
    let field = setting.field(settings);
    let default = match field.texts().join(" ") {
        empty if empty.is_empty() => "(empty)".into(),
        text => format!("`{text}`"),
    };
    let (kind, allowed, variable) = (field.kind(), field.allowed(), setting.variable());
    write!(out, "| `{name}` | {kind} | {unit} | {default} | {allowed} | `{variable}` | {help}")?;
    for relation in RELATIONS {
        if setting.section == Section::Main && relation.names.contains(name) {
            write!(out, "; {}", relation.rule)?;
        }
    }
    if setting.change == Change::Restart {
        write!(out, "; **restart**")?;
    }
    writeln!(out, " |")
}

const INTRODUCTION: &str = "\
# Settings of `sentinel`

This page is the output of `sentinel config docs`; a test keeps the two equal.

A value comes from the last of these that sets it:

1. the default;
2. the file `/etc/config/sentinel-appliance`, which may be missing, or the file named on the command line instead;
   with `--config /dev/null` no file is read;
3. an environment variable, such as `SENTINEL_RING_KIB=2048` or `SENTINEL_PORT_SCAN_PORTS=20`;
4. a flag, such as `--set ring_kib=2048` or `--set port_scan.ports=20`.

A switch is `on` or `off`; 1, yes, true, enabled and 0, no, false, disabled mean the same.
In the environment and in flags, spaces or commas separate the elements of a list. A list replaces that of the
layer before. Unknown names and values out of range are errors in every layer: of `sentinel config check`, and of every command
but `run`. `run` must watch: it warns, takes the default for such a value, and `sentinel status` shows what is not in force. Only
a flag that is wrong ends it. A setting that was renamed is accepted
under its old name for one version, with a warning. Variables that start with `SENTINEL_COLLECTOR_` belong to the
collector and are ignored.

`sentinel config check [FILE]` prints every problem with file, line and column. `sentinel config show` prints the values
in force with their unit and origin, as a file that can be read back; `--changed` omits the defaults.

SIGHUP reads all layers again. With any problem the old settings stay in force, but for unknown names, which are passed over. A setting marked **restart**
takes effect at the next start.

The file has the UCI syntax of OpenWrt, at most 65536 bytes, with lines of at most 4096 bytes:

```
config sentinel 'main'
\tlist interface 'br-lan'
\tlist interface 'eth1'
\toption ring_kib '2048'

config detector 'port_scan'
\toption ports '20' # a comment

config detector 'brute_force'
\toption enabled '0'
```

`option` replaces what an earlier line of the file said about the same name, `list` adds to it.
";

#[cfg(test)]
mod tests {
    use super::super::load::tests::load;
    use super::*;

    fn text(write: impl Fn(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// After a change: `cargo run -p sentinel-appliance -- config docs > sentinel-appliance/sensor/SETTINGS.md`.
    #[test]
    fn the_reference_page_is_up_to_date() {
        assert_eq!(text(docs), include_str!("../../SETTINGS.md"));
    }

    #[test]
    fn the_reference_page_is_well_formed() {
        let page = text(docs);
        for setting in registry::all() {
            assert!(page.contains(&format!("`{}`", setting.variable())), "{}", setting.key());
            assert!(!setting.help.is_empty());
        }
        for line in page.lines().filter(|line| line.starts_with('|')) {
            assert_eq!(line.matches('|').count(), 8, "{line}");
        }
        let sample = page.split("```\n").nth(1).unwrap();
        assert_eq!(load(sample.as_bytes(), &[], &[]).map(|_| ()), Ok(()));
    }

    #[test]
    fn the_sample_file_names_every_setting_with_its_default() {
        let loaded = load(include_bytes!("../../../../config/sentinel.conf.sample"), &[], &[]).unwrap();
        assert_eq!(loaded.settings, Settings::default());
        for (setting, origin) in registry::all().iter().zip(&loaded.origins) {
            assert_ne!(*origin, Origin::Default, "{} is missing", setting.key());
        }
    }

    #[test]
    fn the_file_of_the_package_is_good() {
        let file = include_bytes!("../../../../rootfs/etc/config/sentinel-appliance");
        assert_eq!(load(file, &[], &[]).map(|_| ()), Ok(()));
    }

    #[test]
    fn show_gives_value_unit_and_origin() {
        let file = b"config detector port_scan\noption ports 20\nconfig sentinel\nlist interface a\nlist interface b";
        let environment = [("SENTINEL_RING_KIB", "64")];
        let flags = [("state_dir", "/it's"), ("suspicious_ports_file", "")];
        let loaded = load(file, &environment, &flags).unwrap();
        let expected = "\
config sentinel 'main'
\tlist interface 'a'                           # F:4
\tlist interface 'b'                           # F:4
\toption ring_kib '64'                         # KiB, environment SENTINEL_RING_KIB
\toption state_dir '/it'\\''s'                  # --set state_dir
\toption suspicious_ports_file ''              # --set suspicious_ports_file

config detector 'port_scan'
\toption ports '20'                            # ports, F:2
";
        assert_eq!(text(|out| show(&loaded, true, out)), expected);
        let all = text(|out| show(&loaded, false, out));
        assert!(all.contains("\toption memory_kib '2048'                     # KiB, default\n"));
        assert_eq!(load(all.as_bytes(), &[], &[]).unwrap().settings, loaded.settings);
        let nothing = load(b"", &[], &[]).unwrap();
        assert_eq!(text(|out| show(&nothing, true, out)), "# every setting has its default\n");
    }

    #[test]
    fn check_counts_settings_or_lists_problems() {
        let count = registry::all().len();
        let good = Ok(load(b"", &[], &[]).unwrap());
        assert_eq!(
            text(|out| check(&good, out).map(|good| assert!(good))),
            format!("{count} settings, no problems\n")
        );
        let problem = |line| Problem {
            origin: Origin::File { line, column: 3 },
            source: "F".into(),
            what: "w".into(),
            is_unknown: false,
        };
        let bad = Err(vec![problem(1), problem(2)]);
        assert_eq!(text(|out| check(&bad, out).map(|good| assert!(!good))), "F:1:3: w\nF:2:3: w\n");
    }
}

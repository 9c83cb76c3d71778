//! `sentinel config check|show|docs`.

use std::io::{self, Write};

use sentinel_detect::registry::DETECTORS;

use super::load::Loaded;
use super::problem::{Origin, Problem};
use super::registry::{self, Change, Section, Setting, Settings};
use super::relation::RELATIONS;

/// Writes the outcome of [`Settings::load`], and whether it was good: exit 0 or 1.
///
/// # Errors
/// Only those of `out`.
pub(crate) fn check(outcome: &Result<Loaded, Vec<Problem>>, out: &mut dyn Write) -> io::Result<bool> {
    match outcome {
        Ok(loaded) => writeln!(out, "{} settings, no problems", loaded.origins.len())?,
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
            write!(out, "\t{keyword} {} '{text}'\t# {}{space}", setting.name, setting.unit)?;
            match origin {
                Origin::Default => writeln!(out, "default")?,
                Origin::File { line, .. } => writeln!(out, "{}:{line}", loaded.file.display())?,
                Origin::Environment => writeln!(out, "environment {}", setting.variable())?,
                Origin::Flag => writeln!(out, "--set {}", setting.key())?,
            }
        }
    }
    Ok(())
}

/// Writes the reference page, SETTINGS.md.
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
";

//! Settings of the program under test, from its own `config show`, so that one bench measures older and newer builds.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::child;

/// Output of `sentinel config show`.
#[derive(Clone, Debug)]
pub(crate) struct Settings(String);

impl Settings {
    /// Reads the default settings.
    pub(crate) fn of(sentinel: &Path) -> Result<Self> {
        Self::with(sentinel, &[])
    }

    /// Reads the settings in force with these assignments; fails if one is rejected.
    pub(crate) fn with(sentinel: &Path, assignments: &[(&str, String)]) -> Result<Self> {
        let mut command = child::sentinel(sentinel);
        for (name, value) in assignments {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        let output = command.args(["config", "show"]).output()?;
        ensure!(
            output.status.success(),
            "sentinel config show: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(Self(String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// Names of the detectors.
    pub(crate) fn detectors(&self) -> Vec<&str> {
        self.0.lines().filter_map(|line| line.strip_prefix("config detector '")?.strip_suffix('\'')).collect()
    }

    /// Returns true if there is a setting of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Numeric value of a setting.
    pub(crate) fn number(&self, name: &str) -> Result<u32> {
        let value = self.value(name).with_context(|| format!("no setting '{name}'"))?;
        value.parse().with_context(|| format!("{name} is '{value}'"))
    }

    /// Value of a setting, from its line `option NAME 'VALUE'`.
    fn value(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| {
            let value = line.trim_start().strip_prefix("option ")?.strip_prefix(name)?;
            value.strip_prefix(" '")?.split('\'').next()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_detectors_are_read_from_config_show() {
        let text = "config sentinel 'main'\n\toption ring_kib '64' # KiB\n\nconfig detector 'port_scan'\n";
        let settings = Settings(text.into());
        assert_eq!(settings.detectors(), ["port_scan"]);
        assert!(settings.has("ring_kib") && !settings.has("ring") && !settings.has("port_scan"));
        assert_eq!(settings.number("ring_kib").unwrap(), 64);
        assert!(settings.number("ring").is_err());
    }
}

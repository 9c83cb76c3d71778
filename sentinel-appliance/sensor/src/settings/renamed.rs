//! Settings that were renamed. The old name is accepted for one version, with a warning that names the new one.

/// Old and new key of a setting, as `--set` takes them.
pub(super) struct Renamed {
    pub(super) old: &'static str,
    pub(super) new: &'static str,
}

/// Renamed since 0.1.0. To be removed with the version after the next.
const RENAMED: &[Renamed] = &[
    Renamed { old: "incident_quiet_s", new: "incident_idle_s" },
    Renamed { old: "incident_openings", new: "incident_burst" },
];

/// New key of a setting that had the key `old`.
pub(super) fn new_key(old: &str) -> Option<&'static str> {
    RENAMED.iter().find(|renamed| renamed.old == old).map(|renamed| renamed.new)
}

/// Variable of the new key of a setting that had the variable `old`.
pub(super) fn new_variable(old: &str) -> Option<String> {
    RENAMED.iter().find(|renamed| variable(renamed.old) == old).map(|renamed| variable(renamed.new))
}

/// `SENTINEL_MEMORY_KIB`, `SENTINEL_PORT_SCAN_PORTS`: variable of a key such as `memory_kib`, `port_scan.ports`.
pub(super) fn variable(key: &str) -> String {
    format!("SENTINEL_{}", key.replace('.', "_").to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::load;
    use super::super::registry;
    use super::*;

    #[test]
    fn old_names_are_free_and_new_ones_exist() {
        let keys: Vec<String> = registry::all().iter().map(registry::Setting::key).collect();
        for Renamed { old, new } in RENAMED {
            assert!(keys.iter().any(|key| key == new), "{new}");
            assert!(!keys.iter().any(|key| key == old), "{old}");
        }
    }

    /// File, environment and flag.
    #[test]
    fn an_old_name_works_in_every_layer_with_a_warning_that_names_the_new_one() {
        let file = b"config sentinel\noption incident_quiet_s 90\noption incident_openings 7\n";
        for (bytes, environment, flags, expected) in [
            (
                file.as_slice(),
                &[][..],
                &[][..],
                [
                    "F:2:8: 'incident_quiet_s' is now called 'incident_idle_s'; the old name is accepted for one version",
                    "F:3:8: 'incident_openings' is now called 'incident_burst'; the old name is accepted for one version",
                ],
            ),
            (
                b"",
                &[("SENTINEL_INCIDENT_QUIET_S", "90"), ("SENTINEL_INCIDENT_OPENINGS", "7")],
                &[],
                [
                    "environment variable SENTINEL_INCIDENT_QUIET_S: 'SENTINEL_INCIDENT_QUIET_S' is now called \
                     'SENTINEL_INCIDENT_IDLE_S'; the old name is accepted for one version",
                    "environment variable SENTINEL_INCIDENT_OPENINGS: 'SENTINEL_INCIDENT_OPENINGS' is now called \
                     'SENTINEL_INCIDENT_BURST'; the old name is accepted for one version",
                ],
            ),
            (
                b"",
                &[],
                &[("incident_quiet_s", "90"), ("main.incident_openings", "7")],
                [
                    "--set incident_quiet_s: 'incident_quiet_s' is now called 'incident_idle_s'; the old name is \
                     accepted for one version",
                    "--set main.incident_openings: 'incident_openings' is now called 'incident_burst'; the old name \
                     is accepted for one version",
                ],
            ),
        ] {
            let loaded = load(bytes, environment, flags).unwrap();
            assert_eq!(loaded.settings.incident_idle.as_secs(), 90);
            assert_eq!(loaded.settings.incident_burst, 7);
            let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
            assert_eq!(warnings, expected);
        }
    }

    #[test]
    fn the_new_name_wins_over_the_old_one_in_the_environment() {
        let old = ("SENTINEL_INCIDENT_QUIET_S", "90");
        let new = ("SENTINEL_INCIDENT_IDLE_S", "40");
        for environment in [[old, new], [new, old]] {
            let loaded = load(b"", &environment, &[]).unwrap();
            assert_eq!((loaded.settings.incident_idle.as_secs(), loaded.warnings.len()), (40, 1));
        }
    }

    #[test]
    fn a_wrong_value_under_an_old_name_is_a_problem() {
        let problems = load(b"config sentinel\noption incident_quiet_s 0\n", &[], &[]).map(drop).unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].contains("incident_idle_s '0' is out of range"),
            "{problems:?}"
        );
    }
}

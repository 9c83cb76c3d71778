//! Rules between settings, read by the check and the reference page.

use super::registry::Settings;

/// Rule between settings of the section `main`.
pub(super) struct Relation {
    /// Settings that the rule is about.
    pub(super) names: &'static [&'static str],
    /// Text of the rule.
    pub(super) rule: &'static str,
    /// Reason for the rule.
    pub(super) because: &'static str,
    /// Returns true if the settings keep the rule.
    pub(super) holds: fn(&Settings) -> bool,
}

/// All rules.
pub(super) const RELATIONS: &[Relation] = &[
    Relation {
        names: &["ring_kib"],
        rule: "ring_kib must be a power of two",
        because: "the kernel divides the ring into equal blocks",
        holds: |settings| settings.ring_kib.is_power_of_two(),
    },
    Relation {
        names: &["ring_kib", "snap_bytes"],
        rule: "ring_kib must have room for 8 frames of snap_bytes",
        because: "the kernel cuts a frame that does not fit a block of the ring",
        holds: |settings| kib(settings.ring_kib) >= 8 * u64::from(settings.snap_bytes),
    },
    Relation {
        names: &["memory_kib", "ring_kib", "interface", "workers"],
        rule: "memory_kib plus ring_kib for each interface and worker must be at most 524288 KiB",
        because: "a 32-bit device cannot map more",
        holds: |settings| {
            let rings = settings.interface.iter().map(|_| kib(settings.ring_kib)).sum::<u64>();
            kib(settings.memory_kib) + rings * u64::from(settings.workers) <= kib(524_288)
        },
    },
    Relation {
        names: &["incident_update_s", "incident_idle_s"],
        rule: "incident_update_s must be at most incident_idle_s",
        because: "an incident would be closed before its first update",
        holds: |settings| settings.incident_update <= settings.incident_idle,
    },
    Relation {
        names: &["log_segment_kib"],
        rule: "log_segment_kib must be a multiple of 4",
        because: "flash is written in whole pages of 4 KiB",
        holds: |settings| settings.log_segment_kib.is_multiple_of(4),
    },
    Relation {
        names: &["log_segment_kib", "log_segments"],
        rule: "log_segment_kib times log_segments must be at most 262144 KiB",
        because: "the log takes its space from the flash of the device",
        holds: |settings| kib(settings.log_segment_kib) * u64::from(settings.log_segments) <= kib(262_144),
    },
    Relation {
        names: &["log_daily_kib", "log_segment_kib"],
        rule: "log_daily_kib must be 0 or at least four times log_segment_kib",
        because: "a segment is written as a whole and would not fit into the part of the limit that is for all alerts",
        holds: |settings| {
            settings.log_daily_kib == 0 || settings.log_daily_kib >= 4 * settings.log_segment_kib
        },
    },
    Relation {
        names: &["run_dir", "state_dir"],
        rule: "run_dir must not be state_dir",
        because: "what is meant for RAM would wear out the flash",
        holds: |settings| settings.run_dir != settings.state_dir,
    },
];

fn kib(count: u32) -> u64 {
    u64::from(count) * 1024
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::load;
    use super::super::problem::Origin;
    use super::*;

    type Flags<'f> = &'f [(&'f str, &'f str)];

    #[test]
    fn each_rule_holds_at_its_limit_and_not_beyond() {
        let dir = "/tmp/x";
        let cases: [(&str, Flags<'_>, Flags<'_>); 8] = [
            ("a power of two", &[("ring_kib", "2048")], &[("ring_kib", "2047")]),
            (
                "room for 8 frames",
                &[("ring_kib", "64"), ("snap_bytes", "8192")],
                &[("ring_kib", "64"), ("snap_bytes", "8193")],
            ),
            (
                "at most 524288 KiB",
                &[("memory_kib", "262144"), ("ring_kib", "65536"), ("interface", "a b c d")],
                &[("memory_kib", "262144"), ("ring_kib", "65536"), ("interface", "a b"), ("workers", "3")],
            ),
            (
                "at most incident_idle_s",
                &[("incident_update_s", "9"), ("incident_idle_s", "9")],
                &[("incident_update_s", "10"), ("incident_idle_s", "9")],
            ),
            ("a multiple of 4", &[("log_segment_kib", "20")], &[("log_segment_kib", "18")]),
            (
                "at most 262144 KiB",
                &[("log_segment_kib", "256"), ("log_segments", "1024"), ("log_daily_kib", "0")],
                &[("log_segment_kib", "260"), ("log_segments", "1024"), ("log_daily_kib", "0")],
            ),
            ("0 or at least four times", &[("log_daily_kib", "256")], &[("log_daily_kib", "255")]),
            (
                "must not be state_dir",
                &[("state_dir", dir), ("run_dir", "/tmp/x/run")],
                &[("state_dir", dir), ("run_dir", "/tmp/x/")],
            ),
        ];
        assert_eq!(cases.len(), RELATIONS.len());
        for (rule, good, bad) in cases {
            assert_eq!(load(b"", &[], good).map(|_| ()), Ok(()), "{rule}");
            let problems = load(b"", &[], bad).map(|_| ()).unwrap_err();
            assert!(problems.len() == 1 && problems[0].contains(rule), "{rule}: {problems:?}");
        }
        assert!(load(b"", &[], &[("log_daily_kib", "0")]).is_ok());
    }

    #[test]
    fn a_broken_rule_names_the_values_and_the_latest_of_their_origins() {
        let file = b"config sentinel\noption incident_idle_s 20\n";
        let text = "incident_update_s must be at most incident_idle_s, because an incident would be closed \
                    before its first update; now incident_idle_s is 20, incident_update_s is";
        let problems = |environment: &[(&str, &str)]| load(file, environment, &[]).map(|_| ()).unwrap_err();
        assert_eq!(problems(&[]), [format!("F:2:24: {text} 30")]);
        assert_eq!(
            problems(&[("SENTINEL_INCIDENT_UPDATE_S", "40")]),
            [format!("environment variable SENTINEL_INCIDENT_UPDATE_S: {text} 40")]
        );
    }

    #[test]
    fn a_refused_value_does_not_break_rules_too() {
        let problems = load(b"", &[], &[("incident_idle_s", "0"), ("incident_update_s", "90")]);
        let problems = problems.map(|_| ()).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains("out of range"), "{problems:?}");
    }

    #[test]
    fn rules_name_settings_that_exist() {
        let all = super::super::registry::all();
        for name in RELATIONS.iter().flat_map(|relation| relation.names) {
            assert!(all.iter().any(|setting| setting.key() == *name), "{name}");
        }
        let defaults = load(b"", &[], &[]).unwrap();
        assert!(defaults.origins.iter().all(|origin| *origin == Origin::Default));
    }
}

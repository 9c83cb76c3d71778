//! Settings in spite of problems: what cannot be in force gives way to its default, and all rules between settings hold.

use super::super::problem::{Origin, Problem};
use super::super::registry;
use super::super::relation::RELATIONS;
use super::{Loaded, Loader};

impl Loaded {
    /// Notes that the setting `key` is not in force as it was given.
    ///
    /// # Errors
    /// The problem, if a flag has given it: whoever gives a flag is there to correct it.
    pub(crate) fn note(&mut self, key: &str, what: &dyn std::fmt::Display) -> Result<(), Problem> {
        let problem = self.problem_with(key, what);
        if problem.origin == Origin::Flag {
            return Err(problem);
        }
        self.set_aside.push(problem);
        Ok(())
    }

    /// Sets the setting `key` back to its default, because of what is wrong with its value.
    ///
    /// # Errors
    /// The problem, if a flag has given it; the value stays.
    pub(crate) fn set_aside(&mut self, key: &str, what: &dyn std::fmt::Display) -> Result<(), Problem> {
        self.note(key, what)?;
        let all = registry::all();
        if let Some(index) = all.iter().position(|setting| setting.key() == key) {
            all.iter().skip(index).take(1).for_each(|setting| setting.reset(&mut self.settings));
            self.origins.iter_mut().skip(index).take(1).for_each(|origin| *origin = Origin::Default);
        }
        Ok(())
    }
}

impl Loader {
    /// Sets settings back to their defaults until every rule between them holds. A rule names those first that are of less
    /// consequence; the defaults keep all rules.
    pub(super) fn keep_relations(&mut self) {
        // A default may break a rule that held before: at most as many rounds as there are rules.
        for _ in RELATIONS {
            let broken = RELATIONS.iter().filter(|relation| !(relation.holds)(&self.settings));
            let names: Vec<&str> = broken.flat_map(|relation| relation.names).copied().collect();
            if names.is_empty() {
                return;
            }
            for name in names {
                if RELATIONS.iter().all(|relation| (relation.holds)(&self.settings)) {
                    return;
                }
                let beside = self.registry.iter().zip(&mut self.origins);
                for (setting, origin) in beside.filter(|(setting, _)| setting.key() == name) {
                    setting.reset(&mut self.settings);
                    *origin = Origin::Default;
                }
                self.dependent_defaults();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::registry::Settings;
    use super::*;

    /// [`Settings::load_readable`] with a file of these bytes.
    fn readable(file: &[u8]) -> Loaded {
        let mut loader = Loader::new(Path::new("F"));
        loader.file_layer(file);
        loader.finish(std::iter::empty(), &[], |problem| problem.origin != Origin::Flag).unwrap()
    }

    /// Any of these ended the sensor at its start.
    #[test]
    fn what_cannot_be_read_gives_way_to_the_default_and_the_rest_holds() {
        let file = "\
config sentinel 'main'
\toption memory_kib 'tiny'
\toption ring_kib 'much'
\toption of_a_later_version '1'
\toption incident_idle_s '20'
\toption run_dir '/var/x'
\toption state_dir '/var/x'
\tlist home_net '10.0.0.0/8'
\tlist home_net 'ten'
config detector 'of_a_later_version'
\toption enabled '1'
config detector 'port_scan'
\toption ports '0'
\toption severity 'high'
\toptoin x
";
        let loaded = readable(file.as_bytes());
        let (settings, defaults) = (&loaded.settings, Settings::default());
        assert_eq!((settings.memory_kib, settings.ring_kib), (384, 128), "the default for this memory");
        assert_eq!(
            (settings.incident_idle.as_secs(), settings.incident_update.as_secs()),
            (60, 30),
            "both, by their rule"
        );
        assert_eq!(settings.state_dir, Path::new("/var/x"));
        assert_eq!((&settings.run_dir, &settings.home_net), (&defaults.run_dir, &defaults.home_net));
        assert_eq!(settings.detectors[0].thresholds, defaults.detectors[0].thresholds);
        assert_ne!(settings.detectors[0].severity, defaults.detectors[0].severity, "a good value beside");
        assert!(RELATIONS.iter().all(|relation| (relation.holds)(settings)));
        let lines: Vec<&str> = loaded.set_aside.iter().map(|problem| problem.what.as_str()).collect();
        assert_eq!(lines.len(), 8, "{lines:#?}");
        let unknown = loaded.set_aside.iter().filter(|problem| problem.is_unknown).count();
        assert_eq!(unknown, 2, "{lines:#?}");
    }

    /// Whatever rule a file breaks, the settings that remain keep all of them.
    #[test]
    fn settings_that_break_a_rule_are_replaced_until_all_rules_hold() {
        for lines in [
            "option ring_kib 2047",
            "option memory_kib tiny\noption snap_bytes 65535",
            "option ring_kib 64\noption snap_bytes 65535",
            "option memory_kib 262144\noption ring_kib 65536\noption workers 8",
            "option incident_update_s 3600\noption incident_idle_s 1",
            "option log_segment_kib 1023\noption log_segments 1024\noption log_daily_kib 17",
            "option log_segment_kib 1024\noption log_segments 1024\noption log_daily_kib 1",
            "option run_dir /var/lib/sentinel-appliance",
            "option state_dir /run/sentinel-appliance",
        ] {
            let loaded = readable(format!("config sentinel\n{lines}\n").as_bytes());
            let broken = RELATIONS.iter().filter(|relation| !(relation.holds)(&loaded.settings));
            let broken: Vec<&str> = broken.map(|relation| relation.rule).collect();
            assert!(broken.is_empty() && !loaded.set_aside.is_empty(), "{lines}: {broken:?}");
            assert_eq!(loaded.settings.interface, Settings::default().interface);
        }
    }

    #[test]
    fn what_a_flag_says_is_refused_although_the_file_may_be_wrong() {
        let mut loader = Loader::new(Path::new("F"));
        loader.file_layer(b"config sentinel\noption nothing 1\n");
        let flags = [("ring_kib".to_owned(), "lots".to_owned())];
        let problems = loader.finish(std::iter::empty(), &flags, |problem| problem.origin != Origin::Flag);
        assert_eq!(problems.map(drop).unwrap_err().len(), 2);
    }
}

//! Settings that `sentinel run` starts with: those that were loaded, without what would keep it from watching.
//!
//! A sensor that ends at its start leaves a blind router, and is started again for ever. So a list that cannot be read gives way
//! to the built-in one, a filter that the kernel would not take to none, and of two interfaces that show the same frames one is
//! captured. What a flag says is refused instead: whoever gives it is there to correct it.

use sentinel_capture::interfaces::Interface;

use crate::commands::interface_choice::is_any;
use crate::settings::lists::Lists;
use crate::settings::{Loaded, Problem};
use crate::worker::kernel_filters::KernelFilters;
use crate::worker::routes;

/// Sets aside what would end the sensor at its start, on a machine with the interfaces `existing`.
///
/// # Errors
/// The first problem with a flag.
pub(super) fn mend(loaded: &mut Loaded, existing: &[Interface]) -> Result<(), Problem> {
    for (key, error) in Lists::problems(&loaded.settings).collect::<Vec<_>>() {
        loaded.set_aside(key, &error)?;
    }
    if let Err(error) = KernelFilters::new(&loaded.settings.filter, loaded.settings.kernel_snap) {
        loaded.set_aside("filter", &error)?;
    }
    if loaded.settings.interface.iter().any(|name| is_any(name, existing)) {
        loaded.set_aside("interface", &"'any' is for 'sentinel capture'; name the interfaces to watch")?;
    }
    // Ends: each step removes a name, and one name is never redundant.
    while !loaded.settings.allow_overlap
        && let Some((name, why)) = routes::redundant(&loaded.settings.interface, existing)
    {
        loaded.note("interface", &format_args!("'{name}' is not captured: {why}"))?;
        loaded.settings.interface.retain(|kept| *kept != name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Settings, load_flags};

    fn interface(name: &str, index: u32, master: Option<&str>) -> Interface {
        Interface {
            name: name.into(),
            index,
            master: master.map(Into::into),
            is_up: true,
            ..Interface::default()
        }
    }

    /// Each of these ended the sensor, and a service manager started it again for ever.
    #[test]
    fn what_would_end_the_sensor_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("settings");
        let text = "config sentinel 'main'\n\tlist interface 'eth1'\n\tlist interface 'br-lan'\n\
                    \toption signatures_file '/no/such/list'\n";
        std::fs::write(&file, text).unwrap();
        let mut loaded = Settings::load_readable(Some(&file), std::iter::empty(), &[]).unwrap();
        assert!(loaded.set_aside.is_empty(), "{:?}", loaded.set_aside);
        let existing = [interface("br-lan", 1, None), interface("eth1", 2, Some("br-lan"))];
        mend(&mut loaded, &existing).unwrap();
        assert_eq!(loaded.settings.interface, ["br-lan"], "the port is left out");
        assert_eq!(loaded.settings.signatures_file, None);
        let told: Vec<String> = loaded.set_aside.iter().map(ToString::to_string).collect();
        let has = |place: &str, what: &str| {
            told.iter().any(|line| line.contains(&format!("settings:{place}:")) && line.contains(what))
        };
        assert!(
            has("4", "signatures_file: ") && has("2", "'eth1' is not captured: 'eth1' is a port"),
            "{told:?}"
        );
        let mut again = loaded;
        again.set_aside.clear();
        mend(&mut again, &existing).unwrap();
        assert!(again.set_aside.is_empty(), "{:?}", again.set_aside);
    }

    #[test]
    fn what_a_flag_says_is_refused() {
        let mut loaded = load_flags(&[("interface", "eth1 br-lan")]);
        let existing = [interface("br-lan", 1, None), interface("eth1", 2, Some("br-lan"))];
        let problem = mend(&mut loaded, &existing).unwrap_err().to_string();
        assert!(problem.starts_with("--set interface: interface: 'eth1' is not captured"), "{problem}");
        assert_eq!(loaded.settings.interface.len(), 2);
    }
}

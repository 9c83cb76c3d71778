//! Reload at SIGHUP: the settings are read again, and those that can change while running take effect.

use sentinel_detect::ListedPort;
use sentinel_units::Prefix;

use crate::control::state::{Reload, Shared};
use crate::settings::{Settings, environment, restart_needed, suspicious_ports};
use crate::spool::FlushPolicy;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::analyser::LiveConfig;
use crate::worker::command::Command;
use crate::worker::interface::interface_prefixes;

/// Reads the settings again. With any problem the old ones stay in force.
pub(crate) async fn reload_settings(shared: &Shared, reload: &Reload) {
    let Some(new) = load(reload) else {
        log::error(format_args!("settings not reloaded, the old ones stay in force"));
        return;
    };
    // Everything is read before anything changes: with a problem in a file, all old settings stay in force.
    let (listed_ports, prefixes) = match read_files(shared, &new) {
        Ok(read) => read,
        Err(failure) => {
            log::error(format_args!("{failure}; settings not reloaded, the old ones stay in force"));
            return;
        }
    };
    let deferred = restart_needed(&shared.settings.borrow(), &new);
    if !deferred.is_empty() {
        log::warn(format_args!("these changes take effect at the next start: {}", deferred.join(", ")));
    }
    let config = || Command::Reconfigure(Box::new(LiveConfig::new(&new, &prefixes, listed_ports.clone())));
    if let Err(error) = shared.workers.reconfigure(config).await {
        log::error(format_args!("settings not reloaded: {error}"));
        return;
    }
    // Before `apply_uplink` replaces the old settings, with which the new filter is compared.
    apply_filter(shared, &new).await;
    log::set_level(new.log_level);
    shared.spool.borrow_mut().set_policy(FlushPolicy::new(&new));
    apply_uplink(shared, new);
    log::info(format_args!("settings reloaded"));
}

fn load(reload: &Reload) -> Option<Settings> {
    match Settings::load(reload.file.as_deref(), environment(), &reload.flags) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| log::warn(format_args!("{warning}")));
            Some(loaded.settings)
        }
        Err(problems) => {
            problems.iter().for_each(|problem| log::error(format_args!("{problem}")));
            None
        }
    }
}

/// Reads the list of ports, and the networks of the captured interfaces. Addresses change while the sensor runs: a new
/// prefix from the provider, an interface that came back with another. The interfaces are those that are captured now,
/// whatever the new settings say.
fn read_files(shared: &Shared, new: &Settings) -> Result<(Vec<ListedPort>, Vec<Prefix>), Failure> {
    let listed_ports = suspicious_ports::load(new.suspicious_ports_file.as_deref()).map_err(Failure::new)?;
    Ok((listed_ports, interface_prefixes(&shared.settings.borrow().interface)?))
}

/// Attaches another filter. While capturing is stopped, it takes effect with the next start.
async fn apply_filter(shared: &Shared, new: &Settings) {
    let (is_changed, snap) = {
        let old = shared.settings.borrow();
        // The old snap: a new one takes effect at the next start only.
        (old.filter != new.filter, old.kernel_snap)
    };
    if is_changed
        && shared.workers.is_capturing()
        && let Err(error) = shared.workers.open(&new.filter, snap).await
    {
        log::error(format_args!("filter not changed: {error}"));
    }
}

/// Takes over the new settings, and connects again if those of the uplink or the enrollment changed.
fn apply_uplink(shared: &Shared, new: Settings) {
    let is_changed = {
        let old = shared.settings.borrow();
        (old.uplink_enabled, old.uplink_cipher) != (new.uplink_enabled, new.uplink_cipher)
    };
    let before = shared.collector.borrow().clone();
    shared.reload_enrollment();
    shared.settings.borrow_mut().take_live(new);
    shared.apply_evidence();
    if is_changed || before != *shared.collector.borrow() {
        // Ends a connection, and the wait for the next one, at the next wake-up of the uplink task.
        shared.generation.set(shared.generation.get().wrapping_add(1));
    }
    shared.wake_uplink.notify();
}

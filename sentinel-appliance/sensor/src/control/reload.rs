//! Reload at SIGHUP: the settings are read again, and those that can change while running take effect.

use crate::control::state::{Reload, Shared};
use crate::settings::{Settings, environment, restart_needed};
use crate::spool::FlushPolicy;
use crate::terminal::log;
use crate::worker::analyser::LiveConfig;
use crate::worker::command::Command;
use crate::worker::interface::interface_prefixes;

/// Reads the settings again. With any problem the old ones stay in force.
pub(crate) async fn reload_settings(shared: &Shared, reload: &Reload) {
    let new = match Settings::load(reload.file.as_deref(), environment(), &reload.flags) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| log::warn(format_args!("{warning}")));
            loaded.settings
        }
        Err(problems) => {
            problems.iter().for_each(|problem| log::error(format_args!("{problem}")));
            log::error(format_args!("settings not reloaded, the old ones stay in force"));
            return;
        }
    };
    let listed = match crate::settings::suspicious_ports::load(new.suspicious_ports_file.as_deref()) {
        Ok(listed) => listed,
        Err(error) => {
            log::error(format_args!("{error}; settings not reloaded, the old ones stay in force"));
            return;
        }
    };
    // Addresses change while the sensor runs: a new prefix from the provider, an interface that came back with another.
    // The interfaces are those that are captured now, whatever the new settings say.
    let prefixes = match interface_prefixes(&shared.settings.borrow().interface) {
        Ok(prefixes) => prefixes,
        Err(failure) => {
            log::error(format_args!("{failure}; settings not reloaded, the old ones stay in force"));
            return;
        }
    };
    let deferred = restart_needed(&shared.settings.borrow(), &new);
    if !deferred.is_empty() {
        log::warn(format_args!("these changes take effect at the next start: {}", deferred.join(", ")));
    }
    let config = || Command::Reconfigure(Box::new(LiveConfig::new(&new, &prefixes, listed.clone())));
    if let Err(error) = shared.workers.reconfigure(config).await {
        log::error(format_args!("settings not reloaded: {error}"));
        return;
    }
    let has_other_filter = shared.settings.borrow().filter != new.filter;
    // While capturing is stopped, the filter takes effect with the next start.
    if has_other_filter && shared.workers.is_capturing() {
        let snap = shared.settings.borrow().kernel_snap;
        if let Err(error) = shared.workers.open(&new.filter, snap).await {
            log::error(format_args!("filter not changed: {error}"));
        }
    }
    log::set_level(new.log_level);
    shared.spool.borrow_mut().set_policy(FlushPolicy::new(&new));
    let restart_uplink = {
        let old = shared.settings.borrow();
        (old.uplink_enabled, old.uplink_cipher) != (new.uplink_enabled, new.uplink_cipher)
    };
    let before = shared.collector.borrow().clone();
    shared.reload_enrollment();
    shared.settings.borrow_mut().take_live(new);
    if restart_uplink || before != *shared.collector.borrow() {
        shared.generation.set(shared.generation.get().wrapping_add(1));
    }
    shared.wake_uplink.notify();
    log::info(format_args!("settings reloaded"));
}

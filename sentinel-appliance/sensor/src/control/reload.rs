//! Reload at SIGHUP: the settings are read again, and those that can change while running take effect.

use sentinel_units::Prefix;

use crate::control::state::{LastReload, Reload, Shared};
use crate::settings::indicators;
use crate::settings::lists::Lists;
use crate::settings::{Problem, Settings, environment, restart_needed};
use crate::spool::FlushPolicy;
use crate::system::clock;
use crate::system::prefault;
use crate::terminal::count::count;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::analyser::LiveConfig;
use crate::worker::command::Command;
use crate::worker::interface::{existing_interfaces, interface_prefixes, prefixes};
use crate::worker::overlap;

/// Reads the settings again. With any problem the old ones stay in force.
pub(crate) async fn reload_settings(shared: &Shared, reload: &Reload) {
    let outcome = try_reload(shared, reload).await;
    // Also after a failure: the operator who sends the signal may have enrolled the sensor again, or mended the network.
    shared.reload_enrollment();
    shared.connect_now();
    let error = outcome.err();
    match &error {
        Some(error) => log::error(format_args!("{error}")),
        None => log::info(format_args!("settings reloaded")),
    }
    // Reading settings maps code of the start again.
    prefault::give_back_start(shared.collector.borrow().is_some());
    shared.last_reload.replace(Some(LastReload { at: clock::wall(), error }));
}

/// Applies the new settings; gives the reason if all or some of them do not take effect.
async fn try_reload(shared: &Shared, reload: &Reload) -> Result<(), String> {
    let kept =
        |what: &dyn std::fmt::Display| format!("{what}; settings not reloaded, the old ones stay in force");
    let (mut new, set_aside) = load(reload).map_err(|problems| kept(&summary(&problems)))?;
    // Everything is read before anything changes: with a problem in a file, all old settings stay in force.
    let (lists, prefixes) = read_files(shared, &new).map_err(|failure| kept(&failure))?;
    let deferred = restart_needed(&shared.settings.borrow(), &new);
    if !deferred.is_empty() {
        log::warn(format_args!("these changes take effect at the next start: {}", deferred.join(", ")));
    }
    let list = indicators::load(&new).map_err(|error| kept(&error))?;
    let config = || Command::Reconfigure(Box::new(LiveConfig::new(&new, &prefixes, lists.clone())));
    // The list of this thread is the one that the workers get.
    let before = indicators::replace(list);
    if let Err(error) = shared.workers.reconfigure(config).await {
        indicators::replace(before);
        return Err(kept(&error));
    }
    // Before `take_over` replaces the old settings, with which the new filter is compared.
    let filtered = apply_filter(shared, &new).await;
    if filtered.is_err() {
        new.filter.clone_from(&shared.settings.borrow().filter);
    }
    log::set_level(new.log_level);
    shared.spool.borrow_mut().set_policy(FlushPolicy::new(&new));
    shared.spool.borrow_mut().set_daily_messages(new.alert_daily_messages);
    shared.set_aside.replace(set_aside);
    take_over(shared, new);
    filtered
}

/// Reads the settings, but for names that this version does not know.
fn load(reload: &Reload) -> Result<(Settings, Vec<String>), Vec<Problem>> {
    let loaded = Settings::load_known(reload.file.as_deref(), environment(), &reload.flags)?;
    let all = loaded.set_aside.iter().chain(&loaded.warnings);
    all.for_each(|warning| log::warn(format_args!("{warning}")));
    Ok((loaded.settings, loaded.set_aside.iter().map(ToString::to_string).collect()))
}

/// The first problem, and the number of the others; all are logged.
fn summary(problems: &[Problem]) -> String {
    let Some((first, others)) = problems.split_first() else { return String::new() };
    others.iter().for_each(|problem| log::error(format_args!("{problem}")));
    match u64::try_from(others.len()).unwrap_or(u64::MAX) {
        0 => first.to_string(),
        others => format!("{first} (and {})", count(others, "more problem")),
    }
}

/// Reads the lists, and the networks of the captured interfaces. Addresses change while the sensor runs: a new
/// prefix from the provider, an interface that came back with another. The interfaces are those that are captured now,
/// whatever the new settings say; those of the new settings are checked, because the next start would fail.
fn read_files(shared: &Shared, new: &Settings) -> Result<(Lists, Vec<Prefix>), Failure> {
    let lists = Lists::load(new, &shared.settings.borrow())?;
    let existing = existing_interfaces()?;
    overlap::check(&new.interface, &existing, new.allow_overlap).map_err(Failure::new)?;
    let captured = shared.settings.borrow().interface.clone();
    Ok((lists, prefixes(&existing, &captured)))
}

/// Gives the networks of the captured interfaces to the workers again, if they are not `before`; gives those of now. For an
/// interface that was absent at the start, or has another address since.
pub(crate) async fn follow_networks(shared: &Shared, before: Vec<Prefix>) -> Vec<Prefix> {
    let settings = shared.settings.borrow().clone();
    let Ok(now) = interface_prefixes(&settings.interface) else { return before };
    if now == before {
        return before;
    }
    // The lists were good at the start or at the last reload. If they are not any more, that is for the next reload to report.
    let Ok(lists) = Lists::load(&settings, &settings) else { return before };
    let config = || Command::Reconfigure(Box::new(LiveConfig::new(&settings, &now, lists.clone())));
    match shared.workers.reconfigure(config).await {
        Ok(()) => now,
        Err(_) => before,
    }
}

/// Attaches another filter. While capturing is stopped, it takes effect with the next start; while a filter of `sentinel
/// ctl` is set, once that is reset.
async fn apply_filter(shared: &Shared, new: &Settings) -> Result<(), String> {
    let (is_changed, snap) = {
        let old = shared.settings.borrow();
        // The old snap: a new one takes effect at the next start only.
        (old.filter != new.filter, old.kernel_snap)
    };
    if let Some(filter) = &*shared.filter_override.borrow() {
        log::info(format_args!("the filter set by 'sentinel ctl' stays: {filter}"));
        return Ok(());
    }
    if !is_changed || !shared.workers.is_capturing() {
        return Ok(());
    }
    let outcome = shared.workers.open(&new.filter, snap).await;
    outcome.map_err(|error| format!("{error}; the new filter is not in force, all other settings are"))
}

/// Takes over the new settings, and connects again if those of the uplink changed.
fn take_over(shared: &Shared, new: Settings) {
    let is_changed = {
        let old = shared.settings.borrow();
        let of =
            |settings: &Settings| (settings.uplink_enabled, settings.uplink_cipher, settings.collector_port);
        of(&old) != of(&new) || old.collector_address != new.collector_address
    };
    shared.settings.borrow_mut().take_live(new);
    shared.apply_evidence();
    if is_changed {
        shared.reconnect();
    }
}

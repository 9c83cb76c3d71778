//! Privileges that `sentinel run` gives up once its rings are open, and what is left of them.
//!
//! Kept is `CAP_NET_RAW`: the ring of an interface that comes back is a new packet socket. Promiscuous mode is an option of
//! that socket and takes no other capability. A kernel or an account that lacks something never stops the sensor: it is
//! logged, and shown by `sentinel status`.

use std::fmt::{Display, Write};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use sentinel_alert::json;
use sentinel_privilege::account::{Account, ROOT, name_of};
use sentinel_privilege::capability::{self, CapabilitySet};
use sentinel_privilege::landlock::{self, Access};
use sentinel_privilege::seccomp::{self, Unlisted};

use crate::settings::lists::Lists;
use crate::settings::{DEFAULT_FILE, Sandbox, Settings};
use crate::terminal::log;

const PASSWD: &str = "/etc/passwd";
const RESOLVER: &str = "/etc/resolv.conf";
/// Number of `CAP_NET_RAW`.
const NET_RAW: u32 = CapabilitySet::NET_RAW.bits().trailing_zeros();

/// Account that the sensor runs as, and the reason if that is root.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) account: Account,
    missing: Option<String>,
}

impl Target {
    /// Account of the setting `user`, if this process is root's; else its own.
    pub(crate) fn of(settings: &Settings) -> Self {
        let current = Account::current();
        if !current.is_root() {
            return Self { account: current, missing: None };
        }
        let passwd = std::fs::read_to_string(PASSWD).unwrap_or_default();
        match Account::find(&settings.user, &passwd) {
            Some(account) if !account.is_root() => Self { account, missing: None },
            Some(account) => Self { account, missing: Some("runs as root, as the setting user says".into()) },
            None if settings.user.is_empty() => {
                Self { account: ROOT, missing: Some("runs as root: the setting user is empty".into()) }
            }
            None => Self {
                account: ROOT,
                missing: Some(format!("runs as root: there is no user '{}'", settings.user)),
            },
        }
    }
}

/// Privileges that are left, and restrictions that did not take effect.
#[derive(Debug)]
pub(crate) struct Privileges {
    account: Account,
    name: String,
    capabilities: CapabilitySet,
    no_new_privs: bool,
    /// Neither a core file nor another process of the user shows its memory.
    is_undumpable: bool,
    /// Setting of the system-call filter in force.
    seccomp: &'static str,
    /// Version of Landlock in force; 0 for none.
    landlock: u32,
    missing: Vec<String>,
}

impl Privileges {
    /// Gives up all but what the sensor needs from now on. To be called before the first thread starts.
    #[inline(never)] // its frame is not part of the caller's, below which the workers are built
    pub(crate) fn drop_all(target: Target, settings: &Settings, settings_file: Option<&Path>) -> Self {
        let mut missing = Missing(target.missing.into_iter().collect());
        if Account::current().is_root() {
            missing.note("securebits", &capability::keep_through_change());
            missing.note("bounding set", &capability::empty_bounding_set());
            missing.note("change of user", &target.account.assume());
        }
        missing.note("capabilities", &capability::reduce_to(CapabilitySet::NET_RAW));
        // Read here, because the filter denies the call.
        let capabilities = capability::effective().unwrap_or(CapabilitySet::all());
        let file = settings_file.unwrap_or(Path::new(DEFAULT_FILE));
        if std::fs::File::open(file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            let shown = file.display();
            missing.0.push(format!("reload: {shown} cannot be read; run 'chmod 644 {shown}'"));
        }
        // No core file and no debugger: keys are in memory.
        let is_undumpable = missing.note("core files", &no_core_files());
        let no_new_privs = missing.note("no_new_privs", &capability::no_new_privileges());
        let (seccomp, landlock) = enter_sandbox(settings, settings_file, &mut missing);
        let own = (capabilities, no_new_privs, is_undumpable);
        Self::found(own, seccomp, landlock, missing.0)
    }

    /// Looks at what is in force, and logs it.
    fn found(
        (capabilities, no_new_privs, is_undumpable): (CapabilitySet, bool, bool),
        seccomp: &'static str,
        landlock: u32,
        mut missing: Vec<String>,
    ) -> Self {
        let account = Account::current();
        if !capabilities.contains(CapabilitySet::NET_RAW) {
            missing.push("CAP_NET_RAW: an interface that comes back is not captured again".into());
        }
        let passwd = std::fs::read_to_string(PASSWD).unwrap_or_default();
        let name = name_of(account.user, &passwd).map_or_else(|| account.user.to_string(), str::to_owned);
        let found =
            Self { account, name, capabilities, no_new_privs, is_undumpable, seccomp, landlock, missing };
        for missing in &found.missing {
            log::warn(format_args!("privileges: {missing}"));
        }
        log::info(format_args!("privileges: {}", found.summary()));
        found
    }

    /// Returns true if the filter of system calls is in force.
    pub(crate) fn is_filtered(&self) -> bool {
        self.seccomp != Sandbox::Off.name()
    }

    /// Version of Landlock in force; 0 for none.
    pub(crate) const fn landlock(&self) -> u32 {
        self.landlock
    }

    /// Returns true if the sensor is still root.
    pub(crate) const fn is_root(&self) -> bool {
        self.account.is_root()
    }

    /// Returns true without any capability but that for packet sockets.
    pub(crate) const fn has_no_other_capability(&self) -> bool {
        CapabilitySet::NET_RAW.contains(self.capabilities)
    }

    /// Restrictions that did not take effect, with their reasons.
    pub(crate) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// `user sentinel-appliance, net_raw, seccomp on, landlock 7`
    fn summary(&self) -> String {
        let capabilities = self.capability_names();
        format!(
            "user {}, capabilities {}, seccomp {}, landlock {}",
            self.name,
            if capabilities.is_empty() { "none".into() } else { capabilities.join(" ") },
            self.seccomp,
            if self.landlock == 0 { "off".into() } else { self.landlock.to_string() },
        )
    }

    /// Names of the effective capabilities: the one that the sensor keeps by name, others by number.
    fn capability_names(&self) -> Vec<String> {
        let bits = self.capabilities.bits();
        let numbers = (0..u64::BITS).filter(|number| bits >> number & 1 == 1);
        numbers
            .map(|number| if number == NET_RAW { "net_raw".to_owned() } else { number.to_string() })
            .collect()
    }

    /// Writes one JSON object.
    pub(crate) fn write(&self, out: &mut String) -> std::fmt::Result {
        out.push_str("{\"user\":");
        json::string(&self.name, out)?;
        write!(out, ",\"uid\":{},\"gid\":{},\"capabilities\":[", self.account.user, self.account.group)?;
        for (index, name) in self.capability_names().iter().enumerate() {
            write!(out, "{}\"{name}\"", if index == 0 { "" } else { "," })?;
        }
        write!(out, "],\"no_new_privs\":{},\"core_files\":{}", self.no_new_privs, !self.is_undumpable)?;
        write!(out, ",\"seccomp\":\"{}\"", self.seccomp)?;
        write!(out, ",\"landlock\":{},\"missing\":[", self.landlock)?;
        for (index, missing) in self.missing.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            json::string(missing, out)?;
        }
        out.push_str("]}");
        Ok(())
    }
}

/// Keeps the memory, which has keys, out of core files and away from debuggers of the same user. OpenWrt writes core files to
/// /tmp: the limit holds also where `fs.suid_dumpable` says otherwise.
fn no_core_files() -> Result<(), Errno> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // A filter of the service manager may deny the call.
    if getrlimit(Resource::Core).maximum == Some(0) {
        return Ok(());
    }
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
}

/// Restrictions that did not take effect, with their reasons.
struct Missing(Vec<String>);

impl Missing {
    /// Keeps the error of a step; returns true if there was none.
    fn note<E: Display>(&mut self, what: &str, outcome: &Result<(), E>) -> bool {
        if let Err(error) = outcome {
            self.0.push(format!("{what}: {error}"));
        }
        outcome.is_ok()
    }
}

/// Restricts paths, then system calls; gives the setting of the filter and the version of Landlock in force.
fn enter_sandbox(
    settings: &Settings,
    settings_file: Option<&Path>,
    missing: &mut Missing,
) -> (&'static str, u32) {
    let unlisted = match settings.sandbox {
        Sandbox::On => Unlisted::End,
        Sandbox::Fail => Unlisted::Fail,
        Sandbox::Strict => Unlisted::Kill,
        Sandbox::Off => {
            missing.0.push("sandbox: switched off by the settings".into());
            return (Sandbox::Off.name(), 0);
        }
    };
    let paths = paths(settings, settings_file);
    let paths: Vec<_> = paths.iter().map(|(path, access)| (path.as_path(), *access)).collect();
    let landlock = landlock::restrict(&paths).map_err(unsupported);
    missing.note("Landlock", &landlock.as_ref().map(|_| ()));
    // Last: the calls before are not on its list.
    let filter = seccomp::install(unlisted).map_err(unsupported);
    let is_filtered = missing.note("system-call filter", &filter);
    (if is_filtered { settings.sandbox } else { Sandbox::Off }.name(), landlock.unwrap_or(0))
}

/// Paths that the sensor opens after its start. A file that is replaced by renaming is another file to Landlock, so the rule
/// is on its directory. Settings may name files elsewhere after a reload: these need a restart.
fn paths(settings: &Settings, settings_file: Option<&Path>) -> Vec<(PathBuf, Access)> {
    let mut paths = vec![
        (settings.state_dir.clone(), Access::Write),
        (settings.run_dir.clone(), Access::Write),
        // Stands in for storage that cannot be opened.
        ("/dev/null".into(), Access::Write),
        // Status reads the process's own counters; their directory has another inode after it was evicted from a cache.
        ("/proc".into(), Access::Read),
        // Name resolution and the settings of the firewall. Files of root stay closed to the sensor's user.
        ("/etc".into(), Access::Read),
    ];
    // A device that comes back.
    paths.extend(settings.console_device.iter().map(|device| (device.clone(), Access::Device)));
    let files = [settings_file.unwrap_or(Path::new(DEFAULT_FILE)), Path::new(RESOLVER)];
    for file in files.into_iter().chain(Lists::files(settings)) {
        // On many systems the resolver's file is a link to one in /tmp or /run; a rule holds for what is below as well.
        let file = match (std::fs::read_link(file), file.parent()) {
            (Ok(target), Some(directory)) => directory.join(target),
            _ => file.to_owned(),
        };
        // One that is not there yet may come. A device has a rule of its own: no other device is read.
        let is_device = file.exists() && !file.is_file();
        let path = match file.parent() {
            Some(parent) if parent.as_os_str().is_empty() => ".".into(),
            Some(parent) if !is_device && parent != Path::new("/") => parent.to_owned(),
            _ => file,
        };
        paths.push((path, Access::Read));
    }
    paths
}

/// Reason why the kernel has no sandbox.
fn unsupported(errno: Errno) -> String {
    match errno {
        Errno::NOSYS | Errno::INVAL => "this kernel has none".into(),
        Errno::OPNOTSUPP => "switched off in this kernel, or not supported on this machine".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_written() {
        let privileges = Privileges {
            account: ROOT,
            name: "root".into(),
            capabilities: CapabilitySet::NET_RAW | CapabilitySet::NET_ADMIN,
            no_new_privs: true,
            is_undumpable: true,
            seccomp: "on",
            landlock: 0,
            missing: vec!["Landlock: this kernel has none".into()],
        };
        let mut out = String::new();
        privileges.write(&mut out).unwrap();
        assert_eq!(
            out,
            "{\"user\":\"root\",\"uid\":0,\"gid\":0,\"capabilities\":[\"12\",\"net_raw\"],\"no_new_privs\":true,\
             \"core_files\":false,\"seccomp\":\"on\",\"landlock\":0,\"missing\":[\"Landlock: this kernel has none\"]}"
        );
        assert_eq!(privileges.summary(), "user root, capabilities 12 net_raw, seccomp on, landlock off");
    }

    #[test]
    fn files_are_allowed_by_their_directory() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("ports.json");
        std::fs::write(&list, "").unwrap();
        let settings = Settings { suspicious_ports_file: Some(list), ..Settings::default() };
        let paths = paths(&settings, Some(Path::new("/dev/null")));
        assert!(paths.contains(&(folder.path().to_owned(), Access::Read)));
        assert!(paths.contains(&("/dev/null".into(), Access::Read)), "a device, not all devices");
        let relative = super::paths(&settings, Some(Path::new("settings")));
        assert!(relative.contains(&(".".into(), Access::Read)));
        assert!(paths.iter().all(|(path, _)| path != Path::new("/dev") && path != Path::new("/")));
    }
}

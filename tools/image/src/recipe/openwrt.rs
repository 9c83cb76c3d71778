//! The two packages for OpenWrt.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{NAME, Source, read};
use crate::files::Files;
use crate::package::Package;

/// Files of `rootfs/` and their modes.
const FILES: [(&str, u32); 7] = [
    // The sensor reads it at SIGHUP as its own user; it holds no secrets.
    ("etc/config/sentinel-appliance", 0o644),
    ("etc/hotplug.d/iface/90-sentinel-appliance", 0o644),
    ("etc/init.d/sentinel-appliance", 0o755),
    ("etc/uci-defaults/90_sentinel-appliance", 0o644),
    ("lib/upgrade/keep.d/sentinel-appliance", 0o644),
    ("lib/upgrade/sentinel-appliance.sh", 0o644),
    ("usr/libexec/rpcd/sentinel", 0o755),
];

/// rpcd reads its plug-ins and rights at SIGHUP only.
const RELOAD_RPCD: &str = "[ -n \"${IPKG_INSTROOT}\" ] || killall -HUP rpcd 2>/dev/null\n";

/// At a removal keys, log and status go, changed settings stay; an upgrade is none. opkg names it in its argument, apk runs no
/// such script for it.
const REMOVE_STATE: &str = "\
[ \"$1\" = upgrade ] && exit 0
[ \"$PKG_UPGRADE\" = 1 ] && exit 0
[ -n \"${IPKG_INSTROOT}\" ] && exit 0
rm -rf /etc/sentinel-appliance /var/run/sentinel-appliance
killall -HUP rpcd 2>/dev/null
exit 0
";

/// The program and its service, for one name of OpenWrt.
///
/// # Errors
/// If a file is missing, or the CPU of that name cannot run the program.
pub fn appliance(source: &Source, architecture: &str, program: &[u8]) -> Result<Package> {
    source.boards.check(architecture, program)?;
    let mut files = Files::default();
    for (path, mode) in FILES {
        files.file(path, mode, source.bytes(&format!("rootfs/{path}"))?)?;
    }
    for board in &source.boards.program(architecture)?.boards {
        let settings = source.bytes(&format!("config/boards/{board}.conf"))?;
        files.file(&format!("usr/share/{NAME}/boards/{board}.conf"), 0o644, settings)?;
    }
    files.file("usr/sbin/sentinel", 0o755, program)?;
    Ok(Package {
        name: NAME.into(),
        architecture: architecture.into(),
        description: "Network sensor: detects attacks on the bridge, in fixed memory".into(),
        section: "net".into(),
        source: "feeds/packages/net/sentinel-appliance".into(),
        depends: vec!["libc".into()],
        user: Some(format!("{NAME}=870:{NAME}=870")),
        conffiles: vec![format!("/etc/config/{NAME}")],
        files,
        after_install: format!("{RELOAD_RPCD}true\n"),
        after_removal: REMOVE_STATE.into(),
        ..empty(source)
    })
}

/// Pages of the web interface, for every CPU.
///
/// # Errors
/// If a file is missing.
pub fn luci(source: &Source) -> Result<Package> {
    let folder = source.repository.join("openwrt/luci-app-sentinel-appliance");
    let mut files = Files::default();
    add_tree(&folder.join("htdocs"), "www", &mut files)?;
    add_tree(&folder.join("root"), "", &mut files)?;
    Ok(Package {
        name: "luci-app-sentinel-appliance".into(),
        architecture: "all".into(),
        description: "LuCI pages of the network sensor: status, alerts, settings".into(),
        section: "luci".into(),
        source: "feeds/luci/applications/luci-app-sentinel-appliance".into(),
        depends: vec!["libc".into(), "luci-base".into(), NAME.into()],
        files,
        after_install: format!(
            "[ -n \"${{IPKG_INSTROOT}}\" ] || rm -rf /tmp/luci-indexcache* /tmp/luci-modulecache\n{RELOAD_RPCD}true\n"
        ),
        ..empty(source)
    })
}

fn empty(source: &Source) -> Package {
    Package {
        name: String::new(),
        version: source.version.clone(),
        architecture: String::new(),
        description: String::new(),
        details: String::new(),
        section: String::new(),
        source: String::new(),
        url: source.url.clone(),
        maintainer: source.maintainer.clone(),
        depends: Vec::new(),
        user: None,
        conffiles: Vec::new(),
        files: Files::default(),
        after_install: String::new(),
        after_removal: String::new(),
        time: source.time,
    }
}

/// Adds everything below a folder; none of it is a program.
fn add_tree(folder: &Path, to: &str, files: &mut Files) -> Result<()> {
    let entries: std::io::Result<Vec<_>> =
        fs::read_dir(folder).with_context(|| folder.display().to_string())?.collect();
    for entry in entries? {
        let name = entry.file_name().into_string().ok().context("a file name that is no text")?;
        let path = format!("{to}/{name}").trim_start_matches('/').to_owned();
        if entry.file_type()?.is_dir() {
            add_tree(&entry.path(), &path, files)?;
        } else {
            files.file(&path, 0o644, read(&entry.path())?)?;
        }
    }
    Ok(())
}

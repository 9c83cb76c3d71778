//! Scripts that choose or look at settings: `uci-defaults`, hotplug, and the plug-in of rpcd.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{Binaries, run};

use super::{Device, on_a_device};

const INTERFACE: &str = "sentinel-appliance.main.interface";
const BIG: &str = "MemTotal:         251904 kB\nMemFree:          100000 kB\n";
/// A device with 64 MiB, after the kernel has taken its share.
const SMALL: &str = "MemTotal:          58276 kB\nMemFree:           20000 kB\n";

/// Settings of the device after `uci-defaults` has run, and what it changed and logged.
struct Chosen {
    settings: String,
    changes: String,
    logged: String,
}

/// Sources the script as `default_postinst` and the boot do.
fn choose(device: &Device) -> Result<Chosen> {
    for name in ["changes", "logged"] {
        device.write(name, "", 0o644)?;
    }
    let sourced = "( . ./90_sentinel-appliance ) && echo taken";
    let said = run(&mut device.command(&["sh", "-c", &format!("cd /etc/uci-defaults && {sourced}")]))?;
    ensure!(said == "taken\n", "{said}");
    Ok(Chosen {
        settings: device.read("uci"),
        changes: device.read("changes"),
        logged: device.read("logged"),
    })
}

/// Memory and settings of a device, as the package and the system leave them.
fn prepare(device: &Device, memory: &str, settings: &str) -> Result<()> {
    fs::create_dir_all(device.path("proc"))?;
    // The stand-in for logger takes away the options of the init script.
    device.write("bin/logger", "#!/bin/sh\necho \"$*\" >>/logged\n", 0o755)?;
    device.write("proc/meminfo", memory, 0o644)?;
    device.write("uci", settings, 0o644)
}

fn default_interface() -> String {
    format!("{INTERFACE}=br-lan\n")
}

#[test]
fn the_bridge_of_the_lan_is_found_in_each_form_of_its_settings() -> Result<()> {
    on_a_device(|device| {
        for (network, wanted) in [
            ("network.lan=interface\nnetwork.lan.device=br-lan\n", "br-lan"),
            ("network.lan=interface\nnetwork.lan.device=lan0\n", "lan0"),
            ("network.lan=interface\nnetwork.lan.type=bridge\nnetwork.lan.ifname=eth0.1\n", "br-lan"),
            (
                "network.wan.device=eth1\nnetwork.cfg1.type=bridge\nnetwork.cfg1.name=br-home\n\
                 network.cfg2.type=bridge\nnetwork.cfg2.name=br-guest\n",
                "br-home",
            ),
            ("network.wan.device=eth1\n", "br-lan"),
        ] {
            prepare(device, BIG, &(default_interface() + network))?;
            let first = choose(device)?;
            let line = format!("{INTERFACE}={wanted}");
            ensure!(first.settings.lines().any(|found| found == line), "{wanted}: {}", first.settings);
            let is_told = first.logged.contains(wanted);
            ensure!(is_told == (wanted != "br-lan"), "{wanted}: {:?}", first.logged);
            // A second run, as after an upgrade, changes nothing.
            let second = choose(device)?;
            ensure!(second.changes.is_empty() && second.settings == first.settings, "{}", second.changes);
        }
        Ok(())
    })
}

#[test]
fn an_interface_that_exists_or_that_a_user_chose_is_kept() -> Result<()> {
    on_a_device(|device| {
        let network = "network.lan.device=lan0\n";
        for interfaces in ["wwan0", "br-lan eth1"] {
            prepare(device, BIG, &format!("{INTERFACE}={interfaces}\n{network}"))?;
            let chosen = choose(device)?;
            ensure!(chosen.changes.is_empty(), "{interfaces}: {}", chosen.changes);
        }
        prepare(device, BIG, &(default_interface() + network))?;
        fs::create_dir_all(device.path("sys/class/net/br-lan"))?;
        let chosen = choose(device)?;
        ensure!(chosen.changes.is_empty(), "{}", chosen.changes);
        Ok(())
    })
}

#[test]
fn settings_for_the_class_of_a_device_are_taken_once_and_told() -> Result<()> {
    on_a_device(|device| {
        let boards = "usr/share/sentinel-appliance/boards";
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/boards");
        for name in ["mvebu-cortexa9.conf", "ramips-mt76x8.conf"] {
            device.copy(&here.join(name), &format!("{boards}/{name}"), 0o644)?;
        }
        let setting = |name: &str, value: &str| format!("sentinel-appliance.main.{name}={value}\n");
        let target = |name: &str| {
            let release = format!("DISTRIB_ID='OpenWrt'\nDISTRIB_TARGET='{name}'\nDISTRIB_ARCH='x'\n");
            device.write("etc/openwrt_release", &release, 0o644)
        };
        target("mvebu/cortexa9")?;
        prepare(device, BIG, &(default_interface() + &setting("ring_kib", "512")))?;
        let chosen = choose(device)?;
        for (name, value) in [("memory_kib", "full"), ("ring_kib", "512"), ("uplink_cipher", "chachapoly")] {
            ensure!(chosen.settings.contains(&setting(name, value)), "{name}: {}", chosen.settings);
        }
        ensure!(chosen.logged.contains("settings for mvebu/cortexa9: memory_kib=full"), "{}", chosen.logged);
        ensure!(choose(device)?.changes.is_empty(), "the second run changes nothing");
        // There the program chooses the profile by itself.
        prepare(device, SMALL, &default_interface())?;
        let chosen = choose(device)?;
        ensure!(!chosen.settings.contains("memory_kib"), "{}", chosen.settings);
        target("ramips/mt76x8")?;
        prepare(device, SMALL, &default_interface())?;
        ensure!(choose(device)?.settings.contains(&setting("workers", "1")), "a class without memory_kib");
        target("unknown/target")?;
        prepare(device, BIG, &default_interface())?;
        ensure!(choose(device)?.changes.is_empty(), "no such class");
        Ok(())
    })
}

/// A file that the program does not take would end in a warning on every device of that class.
#[test]
fn the_program_takes_the_settings_of_every_class() -> Result<()> {
    let sensor = Binaries::locate()?.sensor;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/boards"))? {
        let said = run(Command::new(&sensor).args(["config", "check"]).arg(entry?.path()))?;
        ensure!(said.contains("no problems"), "{said}");
    }
    Ok(())
}

#[test]
fn a_lan_on_a_device_that_is_not_captured_is_told_with_what_helps() -> Result<()> {
    on_a_device(|device| {
        prepare(device, BIG, &default_interface())?;
        let up = |action: &str, network: &str, on: &str| -> Result<String> {
            device.write("logged", "", 0o644)?;
            let mut command =
                device.command(&["sh", "-c", "( . /etc/hotplug.d/iface/90-sentinel-appliance )"]);
            run(command.env("ACTION", action).env("INTERFACE", network).env("DEVICE", on))?;
            Ok(device.read("logged"))
        };
        for (action, network, on) in [
            ("ifup", "lan", "br-lan"),
            ("ifup", "lan", "br-lan.7"),
            ("ifup", "wan", "eth1"),
            ("ifdown", "lan", "eth1"),
            ("ifup", "lan", ""),
        ] {
            let said = up(action, network, on)?;
            ensure!(said.is_empty(), "{action} {network} {on}: {said}");
        }
        let said = up("ifup", "lan", "br-new")?;
        ensure!(said.contains(&format!("uci add_list {INTERFACE}=br-new;")), "{said}");
        ensure!(said.contains("daemon.warn") && said.contains("not captured"), "{said}");
        Ok(())
    })
}

#[test]
fn the_plug_in_of_rpcd_answers_in_ash() -> Result<()> {
    on_a_device(|device| {
        let plug_in = |words: &[&str]| {
            let words = [&["/usr/libexec/rpcd/sentinel"][..], words].concat();
            let mut command = device.command(&words);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let _read = child.stdin.take().context("a pipe")?.write_all(b"{}");
            let output = child.wait_with_output()?;
            ensure!(output.status.success(), "{words:?}: {}", output.status);
            String::from_utf8(output.stdout).context("an answer that is no text")
        };
        ensure!(plug_in(&["list"])?.starts_with("{\"status\":{}"));
        let status = plug_in(&["call", "status"])?;
        ensure!(status.starts_with("{\"running\":false,\"error\":\""), "{status}");
        Ok(())
    })
}

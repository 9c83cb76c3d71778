//! A lab removes its namespaces, files and processes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use sentinel_lab::{Collector, Namespace, Sensor, experiment, impossible, run};

/// Namespaces, directory and processes of a lab.
struct Traces {
    namespaces: Vec<String>,
    directory: PathBuf,
    processes: Vec<u32>,
}

impl Traces {
    fn check(&self) -> Result<()> {
        let names = Namespace::names();
        for name in &self.namespaces {
            ensure!(!names.contains(name), "{name} is still there");
        }
        ensure!(!self.directory.exists(), "{} is still there", self.directory.display());
        for id in &self.processes {
            ensure!(!Path::new("/proc").join(id.to_string()).exists(), "process {id} still runs");
        }
        Ok(())
    }
}

#[test]
fn a_lab_that_panics_is_removed() -> Result<()> {
    let mut traces = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        experiment(|lab| {
            let collector = Collector::start(lab)?;
            let mut sensor = Sensor::started(lab, &collector, "router", "")?;
            let network = &lab.network;
            let namespaces = [&network.attacker, &network.victim, &network.router, &network.collector];
            traces = Some(Traces {
                namespaces: namespaces.map(|namespace| namespace.name().to_owned()).to_vec(),
                directory: lab.path(""),
                processes: vec![sensor.program()?.id()],
            });
            panic!("this panic belongs to the test");
        })
    }));
    if impossible().is_some() {
        return Ok(());
    }
    ensure!(outcome.is_err());
    traces.ok_or_else(|| anyhow::anyhow!("no lab was built"))?.check()
}

#[test]
fn namespaces_of_a_killed_lab_are_deleted_by_the_next() -> Result<()> {
    if impossible().is_some() {
        return experiment(|_| Ok(()));
    }
    // No process has this id: 4200000 exceeds the largest, 4194304 (proc(5), pid_max).
    let name = "sentinel-lab-4200000-0-router";
    run(Command::new("ip").args(["netns", "add", name]))?;
    // A program that still runs in it.
    let mut command = Command::new("ip");
    let mut left = command.args(["netns", "exec", name, "sleep", "infinity"]).spawn()?;
    let entered =
        || Ok(run(Command::new("ip").args(["netns", "pids", name]))?.contains(&left.id().to_string()));
    sentinel_lab::wait::until_true("it is in the namespace", sentinel_lab::wait::WAIT_TIMEOUT, entered)?;
    experiment(|_| {
        ensure!(!Namespace::names().iter().any(|is| is == name), "{name} is still there");
        Ok(())
    })?;
    let status = left.wait()?;
    ensure!(!status.success(), "it ended by itself: {status}");
    Ok(())
}

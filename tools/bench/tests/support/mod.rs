//! The program `sentinel` of this build.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Path of the program, built if it is not up to date.
pub(crate) fn sentinel() -> PathBuf {
    let own = env::current_exe().unwrap();
    let directory = own.parent().and_then(Path::parent).unwrap();
    let profile = match directory.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        name => name,
    };
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "sentinel-appliance", "--profile", profile])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .env("CARGO_TARGET_DIR", directory.parent().unwrap())
        .status();
    assert!(built.unwrap().success(), "building the sensor");
    directory.join("sentinel")
}

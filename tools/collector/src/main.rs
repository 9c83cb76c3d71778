//! The program `sentinel-collector`. See the library for what it does.

use std::process::ExitCode;

use clap::Parser as _;
use sentinel_collector::cli::Arguments;

fn main() -> ExitCode {
    match Arguments::parse().execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sentinel-collector: {error:#}");
            ExitCode::FAILURE
        }
    }
}

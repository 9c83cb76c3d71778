//! The program `sentinel`: everything that runs on the router.

mod settings;

fn main() {}

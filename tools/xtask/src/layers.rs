//! Dependency rules of the crates.
//!
//! One table lists for each crate the outside packages that it may link and the crate-wide attributes that it must have. A new
//! package is added here, in a commit that states its purpose, what it adds to the binary and what we would write instead.

use crate::workspace::{Crate, Dependency, Kind, Package};

const DEVICE: &str = "sentinel-appliance/";
const TOOLS: &str = "tools/";

/// Crate-wide attributes that a crate of the device must have at the top of its `lib.rs` or `main.rs`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purity {
    /// `#![no_std]`, no `alloc`, `#![forbid(unsafe_code)]`.
    Pure,
    /// `#![no_std]` with `alloc`, `#![forbid(unsafe_code)]`.
    Alloc,
    /// The standard library, `#![forbid(unsafe_code)]`.
    Safe,
    /// The standard library and `unsafe`.
    Unsafe,
}

/// The rule for one crate of the device.
struct Rule {
    name: &'static str,
    purity: Purity,
    /// Packages from outside that it may link. Tests may use others.
    outside: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule { name: "sentinel-units", purity: Purity::Pure, outside: &[] },
    Rule {
        name: "sentinel-seal",
        purity: Purity::Pure,
        outside: &[
            "aes",
            "aes-gcm",
            "chacha20poly1305",
            "hkdf",
            "hmac",
            "md-5",
            "sha1",
            "sha2",
            "subtle",
            "x25519-dalek",
            "zeroize",
        ],
    },
    Rule { name: "sentinel-alert", purity: Purity::Pure, outside: &["heapless", "postcard", "serde"] },
    Rule { name: "sentinel-filter", purity: Purity::Alloc, outside: &[] },
    Rule { name: "sentinel-privilege", purity: Purity::Unsafe, outside: &["libc", "rustix"] },
    // pnet_datalink does not compile with a 64-bit time_t on 32-bit musl, so the device has pnet_base and pnet_packet only.
    Rule {
        name: "sentinel-capture",
        purity: Purity::Unsafe,
        outside: &["libc", "pnet_base", "pnet_packet", "rustix"],
    },
    Rule { name: "sentinel-dissect", purity: Purity::Pure, outside: &["pnet_packet"] },
    Rule { name: "sentinel-track", purity: Purity::Pure, outside: &["heapless"] },
    Rule { name: "sentinel-detect", purity: Purity::Pure, outside: &["heapless"] },
    Rule {
        name: "sentinel-ringlog",
        purity: Purity::Safe,
        outside: &["embedded-io", "flate2", "miniz_oxide", "postcard", "serde", "zeroize"],
    },
    Rule {
        name: "sentinel-uplink",
        purity: Purity::Safe,
        outside: &[
            "aes-gcm",
            "chacha20poly1305",
            "getrandom",
            "heapless",
            "hkdf",
            "postcard",
            "serde",
            "sha2",
            "snow",
            "x25519-dalek",
            "zeroize",
        ],
    },
    Rule {
        name: "sentinel-appliance",
        purity: Purity::Safe,
        outside: &[
            "embedded-io",
            "flate2",
            "futures-lite",
            "getrandom",
            "heapless",
            "lexopt",
            "log",
            "postcard",
            "rustix",
            "serde",
            "signal-hook",
            "smol",
            "tinyjson",
            "zeroize",
        ],
    },
];

/// Crate of helpers for tests, which tests of the device may use as well; no program links it.
const TESTKIT: &str = "sentinel-testkit";

/// Pairs that the order of the layers allows and a reason forbids.
const NEVER: &[(&str, &str, &str)] = &[(
    "sentinel-trafficgen",
    "sentinel-dissect",
    "a packet builder that shares code with the parser cannot find its bugs",
)];

/// Packages, by name and the start of their version, that may not be linked into the device program.
const BANNED_ON_DEVICE: &[(&str, &str, &str)] = &[
    ("aws-lc-sys", "", "C code, and no MIPS"),
    ("heapless", "0.7.", "a second heapless; turn off the default features of postcard"),
    ("openssl-sys", "", "C code; the device has RustCrypto"),
    ("pnet_sys", "", "does not compile with a 64-bit time_t; use pnet_base and pnet_packet"),
    ("ring", "", "C code, and no MIPS; snow pulls it in with its feature `std`"),
    ("tokio", "", "the device has smol"),
];

/// Packages of which the device program links one version at most.
const ONE_VERSION: &[&str] = &["aes", "aes-gcm", "heapless", "rustix", "sha2"];

/// Every breach of the rules, one line each. Empty if all is well.
pub(crate) fn violations(crates: &[Crate], device_packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for (position, member) in crates.iter().enumerate() {
        let above = crates.get(..position).unwrap_or_default();
        order(member, above, crates, &mut found);
        never(member, &mut found);
        if member.folder.starts_with(DEVICE) {
            device(member, crates, &mut found);
        }
    }
    linked(device_packages, &mut found);
    found
}

/// Rules 1 and 2: only crates above, and nothing of the tools on the device. The testkit is free of both, for tests alone.
fn order(member: &Crate, above: &[Crate], all: &[Crate], found: &mut Vec<String>) {
    for dependency in &member.dependencies {
        let Some(used) = all.iter().find(|other| other.name == dependency.name) else { continue };
        if used.name == TESTKIT {
            if dependency.kind != Kind::Dev {
                found.push(format!("{} uses {TESTKIT}: it is for tests, a dev-dependency only", member.name));
            }
        } else if member.folder.starts_with(DEVICE) && used.folder.starts_with(TOOLS) {
            found.push(format!("{} uses {}: the device never uses the tools", member.name, used.name));
        } else if !above.iter().any(|other| other.name == used.name) {
            found.push(format!(
                "{} uses {}, which is not above it in the root Cargo.toml; move what they share down, or the member up",
                member.name, used.name
            ));
        }
    }
}

/// Rule 3.
fn never(member: &Crate, found: &mut Vec<String>) {
    for (user, used, reason) in NEVER {
        if member.name == *user && member.dependencies.iter().any(|dependency| dependency.name == *used) {
            found.push(format!("{user} uses {used}: {reason}"));
        }
    }
}

fn device(member: &Crate, all: &[Crate], found: &mut Vec<String>) {
    let Some(rule) = RULES.iter().find(|rule| rule.name == member.name) else {
        found.push(format!("{} has no rule; add one to RULES in tools/xtask/src/layers.rs", member.name));
        return;
    };
    let outside = |dependency: &&Dependency| all.iter().all(|other| other.name != dependency.name);
    for dependency in member.dependencies.iter().filter(outside) {
        if dependency.kind == Kind::Dev {
            continue;
        }
        if !rule.outside.contains(&dependency.name.as_str()) {
            found.push(format!(
                "{} uses the package {}; it may use {}",
                member.name,
                dependency.name,
                enumerate(rule.outside)
            ));
        }
        if dependency.default_features {
            found.push(format!(
                "{} takes the default features of {}; on the device set `default-features = false` in the root Cargo.toml",
                member.name, dependency.name
            ));
        }
    }
    for (attribute, reason) in attributes(rule.purity) {
        if !member.source.lines().any(|line| line.trim() == attribute) {
            found.push(format!("{} lacks `{attribute}`: {reason}", member.name));
        }
    }
    if rule.purity == Purity::Pure && member.source.lines().any(|line| line.trim() == "extern crate alloc;") {
        found.push(format!("{} uses alloc; it uses only memory that its caller provides", member.name));
    }
}

fn attributes(purity: Purity) -> Vec<(&'static str, &'static str)> {
    let no_std = ("#![no_std]", "it does no I/O and must build for anything");
    let no_unsafe = ("#![forbid(unsafe_code)]", "unsafe code is for sentinel-capture alone");
    match purity {
        Purity::Pure | Purity::Alloc => vec![no_std, no_unsafe],
        Purity::Safe => vec![no_unsafe],
        Purity::Unsafe => Vec::new(),
    }
}

fn linked(packages: &[Package], found: &mut Vec<String>) {
    for package in packages {
        for (name, version, reason) in BANNED_ON_DEVICE {
            if package.name == *name && package.version.starts_with(version) {
                found.push(format!(
                    "the device program links {name} {}: {reason} (`cargo tree -p sentinel-appliance -e normal -i {name}` shows why)",
                    package.version
                ));
            }
        }
    }
    for name in ONE_VERSION {
        let versions: Vec<&str> = packages
            .iter()
            .filter(|package| package.name == *name)
            .map(|package| package.version.as_str())
            .collect();
        if versions.len() > 1 {
            found.push(format!(
                "the device program links {} versions of {name}: {}",
                versions.len(),
                versions.join(", ")
            ));
        }
    }
}

fn enumerate(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const PURE: &str = "//! Words.\n#![no_std]\n#![forbid(unsafe_code)]\n";

    fn member(name: &str, folder: &str, uses: &[&str]) -> Crate {
        let dependencies = uses
            .iter()
            .map(|used| Dependency { name: (*used).to_owned(), kind: Kind::Normal, default_features: false })
            .collect();
        Crate {
            name: name.to_owned(),
            folder: folder.to_owned(),
            dependencies,
            root_file: PathBuf::new(),
            source: PURE.to_owned(),
        }
    }

    fn package(name: &str, version: &str) -> Package {
        Package { name: name.to_owned(), version: version.to_owned() }
    }

    /// Three layers that break nothing.
    fn valid() -> Vec<Crate> {
        vec![
            member("sentinel-units", "sentinel-appliance/units", &[]),
            member("sentinel-dissect", "sentinel-appliance/dissect", &["sentinel-units", "pnet_packet"]),
            member("sentinel-trafficgen", "tools/trafficgen", &["sentinel-units", "anything"]),
        ]
    }

    /// The single violation of `crates`.
    fn only_violation(crates: &[Crate]) -> String {
        let found = violations(crates, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        found.first().unwrap().clone()
    }

    #[test]
    fn a_valid_workspace_has_no_violation() {
        assert_eq!(violations(&valid(), &[package("sha2", "0.11.1")]), Vec::<String>::new());
    }

    #[test]
    fn a_crate_may_not_use_one_below_it() {
        let mut crates = valid();
        crates[0] = member("sentinel-units", "sentinel-appliance/units", &["sentinel-dissect"]);
        assert!(only_violation(&crates).contains("not above it"));
        crates[0] = member("sentinel-units", "sentinel-appliance/units", &["sentinel-units"]);
        assert!(only_violation(&crates).contains("not above it"));
    }

    #[test]
    fn the_device_may_not_use_the_tools_even_in_tests() {
        let mut crates = valid();
        let mut test_only = member("sentinel-units", "sentinel-appliance/units", &["sentinel-trafficgen"]);
        test_only.dependencies[0].kind = Kind::Dev;
        crates[0] = test_only;
        assert!(only_violation(&crates).contains("never uses the tools"));
    }

    #[test]
    fn only_tests_use_the_testkit() {
        let mut crates = valid();
        crates.insert(0, member("sentinel-testkit", "tools/testkit", &[]));
        crates[1] = member("sentinel-units", "sentinel-appliance/units", &["sentinel-testkit"]);
        assert!(only_violation(&crates).contains("a dev-dependency only"));
        crates[1].dependencies[0].kind = Kind::Dev;
        assert_eq!(violations(&crates, &[]), Vec::<String>::new());
    }

    #[test]
    fn traffic_and_parser_share_nothing() {
        let mut crates = valid();
        crates[2] = member("sentinel-trafficgen", "tools/trafficgen", &["sentinel-dissect"]);
        assert!(only_violation(&crates).contains("cannot find its bugs"));
    }

    #[test]
    fn outside_packages_are_on_a_list() {
        let mut crates = valid();
        crates[0] = member("sentinel-units", "sentinel-appliance/units", &["serde"]);
        assert_eq!(only_violation(&crates), "sentinel-units uses the package serde; it may use none");
        crates[0].dependencies[0].kind = Kind::Dev;
        assert_eq!(violations(&crates, &[]), Vec::<String>::new());
        crates[0].dependencies[0].kind = Kind::Build;
        assert!(only_violation(&crates).contains("may use none"));
    }

    #[test]
    fn default_features_are_off_on_the_device() {
        let mut crates = valid();
        crates[1].dependencies[1].default_features = true;
        assert!(only_violation(&crates).contains("default features of pnet_packet"));
    }

    #[test]
    fn crate_wide_attributes_are_there() {
        let mut crates = valid();
        crates[0].source = "#![no_std]\n".to_owned();
        assert!(only_violation(&crates).contains("lacks `#![forbid(unsafe_code)]`"));
        crates[0].source = "#![forbid(unsafe_code)]\n// #![no_std]\n".to_owned();
        assert!(only_violation(&crates).contains("lacks `#![no_std]`"));
        crates[0].source = format!("{PURE}extern crate alloc;\n");
        assert!(only_violation(&crates).contains("uses alloc"));
    }

    #[test]
    fn a_new_device_crate_needs_a_rule() {
        let mut crates = valid();
        crates.insert(0, member("sentinel-new", "sentinel-appliance/new", &[]));
        assert!(only_violation(&crates).contains("has no rule"));
    }

    #[test]
    fn banned_packages_and_doubles_are_found() {
        let found = violations(
            &[],
            &[
                package("heapless", "0.7.17"),
                package("heapless", "0.9.3"),
                package("ring", "0.17.14"),
                package("sha2", "0.10.9"),
                package("sha2", "0.11.1"),
            ],
        );
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].contains("heapless 0.7.17"));
        assert!(found[1].contains("links ring 0.17.14"));
        assert!(found[2].contains("2 versions of heapless"));
        assert!(found[3].contains("2 versions of sha2: 0.10.9, 0.11.1"));
    }
}

//! Packages of the sensor for OpenWrt and Debian, feeds of them, and the image of a card for the Raspberry Pi.
//!
//! In: a static program, the files of `rootfs/`, settings and documents of the repository. Out: `.ipk`, `.apk` and `.deb` files and
//! signed indices of them; the same input gives the same bytes. Each writer has a strict reader beside it, which shares only the
//! definitions of the format with it.
//!
//! - `files`: files of a package, in the order of their paths; `tarball`, `gzip`: how they are stored;
//! - `adb`, `apk`: the database format of apk-tools 3, and packages in it;
//! - `control`, `ipk`, `deb`: packages of opkg and dpkg;
//! - `keys`: Ed25519 in signify's files for `Packages`, P-256 in PEM files for `.apk`;
//! - `feed`: indices of a directory of packages;
//! - `elf`, `boards`: which CPU a program is for, and which architecture names have it;
//! - `scripts`, `recipe`: what is in the packages of this repository; `check`: judge of finished packages;
//! - `pi`: the image for the Raspberry Pi.
//!
//! It needs no root, no network and no tool of a distribution but `mke2fs` for the image.

#![forbid(unsafe_code)]

pub mod adb;
pub mod apk;
pub mod boards;
pub mod check;
pub mod control;
pub mod deb;
pub mod elf;
pub mod feed;
pub mod files;
pub mod gzip;
pub mod ipk;
pub mod keys;
pub mod package;
pub mod pi;
pub mod recipe;
pub mod scripts;
pub mod show;
pub mod tarball;

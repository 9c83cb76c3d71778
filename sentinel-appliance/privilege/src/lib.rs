//! Least privilege: what a process gives up for good once everything that needs root is open.
//!
//! In: an account, the capabilities to keep, paths that may be read and written. Out: what took effect, and the error of
//! each step that did not. Memory: one filter program of about 200 instructions while it is installed. Every step is
//! independent, and none is required: a kernel without one of them still gets the others. It opens no socket, starts no
//! thread and reads no setting.
//!
//! - [`account`]: users by name or number, and the change to one;
//! - [`capability`]: capability sets, bounding set, securebits, `no_new_privs`;
//! - [`seccomp`]: allow-list of system calls, compiled to classic BPF;
//! - [`landlock`]: allow-list of paths;
//! - [`code`]: pages of code that has done its work;
//! - [`trial`]: attempts at what must be refused;
//! - `kernel`: the system calls that have no safe interface, and all `unsafe` code.
//!
//! All of it holds for the calling thread and for threads that it starts afterwards. So call it before the first thread is
//! started; [`seccomp::install`] alone covers all threads of the process.

pub mod account;
pub mod capability;
pub mod code;
mod kernel;
pub mod landlock;
pub mod seccomp;
pub mod trial;

//! Edge to the operating system: clock, keys, private files, privileges, threads, signals, sockets.

pub(crate) mod clock;
pub(crate) mod connect;
pub(crate) mod damage;
pub(crate) mod device_file;
pub(crate) mod disconnect_reason;
pub(crate) mod executor;
pub(crate) mod keyring;
pub(crate) mod keys;
pub(crate) mod local_socket;
pub(crate) mod notify;
pub(crate) mod prefault;
pub(crate) mod private_files;
pub(crate) mod privileges;
pub(crate) mod process;
pub(crate) mod restart;
pub(crate) mod restarts;
pub(crate) mod signals;
pub(crate) mod thread;
pub(crate) mod wake;

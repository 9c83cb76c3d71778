//! The encrypted store: one `SQLCipher` file, one writer thread, one for checkpoints, pools of readers.
//!
//! ```text
//! ingest --jobs--> writer thread --commit--> receipts (may be acknowledged), events (to subscribers)
//! service <--model types-- reader pool
//! ```
//!
//! Other processes (`enroll`, `sensors`, `revoke`) open the same file beside a running collector: the
//! write-ahead log lets them read at any time and write between two transactions of the writer.
//! Requests and results are types of [`crate::model`]; SQL and connections stay in here and in the
//! operator's commands.

pub(crate) mod access;
mod alerts;
mod checkpoint;
pub(crate) mod collector_keys;
mod copy;
mod error;
mod files;
mod incidents;
mod indexer;
mod jobs;
pub mod key;
mod lanes;
mod limits;
mod lineage;
mod log_heads;
mod read_pool;
mod reader;
mod retention;
pub(crate) mod run_ends;
pub mod schema;
pub(crate) mod sensor_keys;
mod sensor_states;
pub(crate) mod sensors;
mod telemetry;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

pub use copy::{StoreSummary, mark_restored, schema_version};
pub use error::StoreError;
pub use files::{DATABASE, Files};
pub use indexer::{Indexer, IndexerSettings};
pub use jobs::WriterHandle;
pub use key::DatabaseKey;
pub use lanes::Lane;
pub use limits::StoreLimits;
pub use read_pool::{ReadLimits, ReadPool};
pub(crate) use reader::initial_totals;
pub use reader::{AdmissionReader, ReaderPool, StoreCounts};
pub use retention::RetentionLimits;
pub use writer::Writer;

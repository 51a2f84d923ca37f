//! The event stores behind the ports `EventStore` and `EventLog`, and the codec of stored events.
//!
//! In reading order: [`event_codec`] (what a stored event looks like), [`data_folder`] (one process at a time),
//! [`lost_events`] (what has to be there), [`state_codec`] (what a snapshot looks like), `files` (the file system),
//! [`sqlite`] (the default store), [`jsonl`] (the store on plain files), [`event_file`] (either as a whole, for maintenance). A store ships when it passes the conformance kit of the application crate.

pub mod data_folder;
pub mod event_codec;
pub mod event_file;
mod files;
pub mod jsonl;
pub mod lost_events;
pub mod sqlite;
pub mod state_codec;

pub use data_folder::{DataFolder, DataFolderError, create_folder};
pub use event_file::{EventFile, EventStoreFiles, KeptState, SnapshotPlace};
pub use files::sync_folder;
pub use jsonl::{DroppedBatch, JsonlEventStore, JsonlOpenError, JsonlSettings};
pub use lost_events::{LostEvents, Seen};
pub use sqlite::{OpenError, SqliteEventStore, SqliteSettings};

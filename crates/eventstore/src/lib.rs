//! The event stores behind the ports `EventStore` and `EventLog`, and the codec of stored events.
//!
//! In reading order: [`event_codec`] (what a stored event looks like), [`data_folder`] (one process at a time),
//! [`sqlite`] (the default store). A store ships when it passes the conformance kit of the application crate.

pub mod data_folder;
pub mod event_codec;
pub mod sqlite;

pub use data_folder::{DataFolder, DataFolderError};
pub use sqlite::{OpenError, SqliteEventStore, SqliteSettings};

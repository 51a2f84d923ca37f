//! What the use cases need from outside; each port says what an adapter owes.

pub mod clock;
pub mod commit_listener;
pub mod event_log;
pub mod event_store;
pub mod id_source;
pub mod projection_listener;
pub mod stock_views;

pub use clock::Clock;
pub use commit_listener::{CommitListener, CommittedGroup};
pub use event_log::{EventLog, RecordedEvent};
pub use event_store::{
    AppendGroup, AppendKey, AppendOutcome, EventStore, ExpectedVersion, LoadedStream, Metadata, NewEvent, PastEvent,
    StoreError, StreamAppend,
};
pub use id_source::IdSource;
pub use projection_listener::{Projected, ProjectionListener};
pub use stock_views::{ProductLevels, StockViews, ViewError, Viewed};

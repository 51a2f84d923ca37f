//! What the use cases need from outside; each port says what an adapter owes.

pub mod clock;
pub mod command_observer;
pub mod commit_listener;
pub mod event_form;
pub mod event_history;
pub mod event_log;
pub mod event_store;
pub mod id_source;
pub mod order_views;
pub mod projection_listener;
pub mod reservation_lists;
pub mod reservation_views;
pub mod slice;
pub mod stock_lists;
pub mod stock_views;

pub use clock::Clock;
pub use command_observer::{
    AppendEnd, CommandKind, CommandObserver, CommandOutcome, ObservedBatch, ObservedCommand, Unobserved,
};
pub use commit_listener::{CommitListener, CommittedGroup};
pub use event_form::EventForm;
pub use event_history::EventHistory;
pub use event_log::{EventLog, RecordedEvent};
pub use event_store::{
    AppendGroup, AppendKey, AppendOutcome, EventStore, ExpectedVersion, LoadedStream, Metadata, NewEvent, PastEvent,
    Snapshot, StoreError, StreamAppend,
};
pub use id_source::IdSource;
pub use order_views::{Listed, OrderFilter, OrderViews, TransferFilter};
pub use projection_listener::{AppliedPage, ChangedStock, Projected, ProjectionListener};
pub use reservation_lists::{ReservationFilter, ReservationKey, ReservationLists, ReservationState, ShownReservation};
pub use reservation_views::{Due, RecalledReservation, ReservationViews};
pub use slice::Slice;
pub use stock_lists::{StockLists, StockSlice};
pub use stock_views::{Kept, ProductLevels, StockViews, ViewError, Viewed};

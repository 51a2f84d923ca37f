//! What has happened to one stream: pages of its events, and its state at any time.

use async_trait::async_trait;
use inventory_domain::{StockId, Timestamp};

use super::{LoadedStream, RecordedEvent, StoreError};
use crate::StreamId;

/// Reads single streams, for people and for questions about the past; never for decisions.
#[async_trait]
pub trait EventHistory: Send + Sync {
    /// The stream's events that follow version `after`, in order, at most `limit` of them; none when there are no more. A page is
    /// short only at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], or [`StoreError::Damaged`] when what is stored can't be read.
    async fn stream_page(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError>;

    /// The stock's history as it was at `at`: the events recorded then or before, from the nearest snapshot on.
    ///
    /// # Errors
    ///
    /// As [`EventHistory::stream_page`].
    async fn load_at(&self, stock_id: StockId, at: Timestamp) -> Result<LoadedStream, StoreError>;
}

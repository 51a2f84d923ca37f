//! The whole log: by pages, and live.

use actix_web::http::StatusCode;
use inventory_eventstore::event_codec::EVENT_TYPES;

use crate::openapi::{Description, Tag};
use crate::problem::Kind;
use crate::wire::events::{EventListBody, StreamedEvent};
use crate::wire::schemas;

/// `GET /api/v1/events`
#[must_use]
pub fn list() -> Description {
    let description = Description::new(
        "listEvents",
        Tag::History,
        "Follow everything that happens, page by page",
        "The whole log, in order. A page looks through a bounded part of the log, so where a filter lets little through it may be empty \
         although the log goes on: ask again with `next_after` as `after`, at once where `next_cursor` is not null, later where it is. \
         Nothing is missed, and nothing comes twice.",
    );
    filters(description)
        .query("after", schemas::whole(0, u64::MAX), "The position behind which the page starts; not with a cursor.")
        .paged()
        .answers::<EventListBody>(StatusCode::OK, "A page of the log")
        .refuses(&[Kind::OVERLOADED, Kind::UNAVAILABLE])
}

/// `GET /api/v1/events/stream`
#[must_use]
pub fn stream() -> Description {
    let description = Description::new(
        "streamEvents",
        Tag::History,
        "Follow everything that happens, live",
        "The log as Server-Sent Events: `id` is the position, `event` the type, `data` the event as one line of JSON. It begins now, or behind \
         `Last-Event-ID`, or behind `after`. While nothing comes, a block with an `id` and no data says from time to time how far the log was \
         looked through. The answer doesn't end by itself.",
    );
    filters(description)
        .query(
            "after",
            schemas::whole(0, u64::MAX),
            "The position behind which the stream starts; 0: from the beginning.",
        )
        .shared_parameter("LastEventId")
        .answers_as::<StreamedEvent>(StatusCode::OK, "The stream, block by block", "text/event-stream")
        .refuses(&[Kind::OVERLOADED, Kind::UNAVAILABLE])
}

fn filters(description: Description) -> Description {
    let types = EVENT_TYPES.join("|");
    let id = "Only events of stocks";
    description
        .query("product_id", schemas::id(), &format!("{id} of this product."))
        .query("store_id", schemas::id(), &format!("{id} in this store."))
        .query(
            "type",
            schemas::text().pattern(Some(format!("^({types})(,({types}))*$"))),
            "Only events of these types, with commas between them.",
        )
}

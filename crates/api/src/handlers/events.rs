//! The whole log: by pages, and live.

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;
use inventory_application::{EventFeed, EventFilter, FeedError, HistoryQueries, Position};
use inventory_domain::{ProductId, StoreId};
use inventory_eventstore::event_codec::EVENT_TYPES;

use crate::access::scopes::Scope;
use crate::access::{Access, end_of_credentials};
use crate::cursor::Page;
use crate::event_stream::{EventStreamSettings, event_stream};
use crate::problem::Problem;
use crate::query::QueryParameters;
use crate::wire::events::EventListBody;
use crate::wire::history::EventBody;

/// Where a listener that comes back goes on.
const LAST_EVENT_ID: &str = "last-event-id";

/// `GET /api/v1/events`
///
/// # Errors
///
/// The problem that says why there is no page to show.
pub async fn list(
    request: HttpRequest,
    feed: web::Data<EventFeed>,
    history: web::Data<HistoryQueries>,
) -> Result<HttpResponse, Problem> {
    let known = ["after", "limit", "cursor", "product_id", "store_id", "type"];
    let (query, wanted) = QueryParameters::of_question(&request, &known)?;
    let filter = filter(&query)?;
    let page = Page::of(&query, &format!("events of {filter:?}"))?;
    let (start, named) = match query.number("after", 0, u64::MAX)? {
        Some(_) if query.text("cursor").is_some() => {
            return Err(Problem::invalid_field("after", "must not be given with a cursor"));
        }
        Some(after) => (Position(after), "after"),
        None => (page.after.unwrap_or(Position::START), "cursor"),
    };
    history.caught_up(wanted).await?;
    let found = feed.pages().page(&filter, start, page.limit).await.map_err(|error| refused(error, named))?;
    let items: Vec<EventBody> = found.events.iter().map(EventBody::new).collect::<Result<_, _>>()?;
    // What is looked through may have let few events through, or none: the list goes on until the log ends.
    let next_cursor = if found.is_end { None } else { page.next_cursor(page.limit, Some(found.next_after)) };
    Ok(HttpResponse::Ok().json(EventListBody { items, next_cursor, next_after: found.next_after.0 }))
}

/// `GET /api/v1/events/stream`
///
/// # Errors
///
/// The problem that says why there is nothing to listen to.
pub async fn stream(
    request: HttpRequest,
    feed: web::Data<EventFeed>,
    settings: web::Data<EventStreamSettings>,
    access: web::Data<Access>,
) -> Result<HttpResponse, Problem> {
    let query = QueryParameters::of(&request, &["after", "product_id", "store_id", "type"])?;
    let filter = filter(&query)?;
    let after = query.number("after", 0, u64::MAX)?;
    let (after, named) = match last_event_id(&request)? {
        Some(last) => (Some(last), LAST_EVENT_ID),
        None => (after, "after"),
    };
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no")); // A proxy that gathers would hold events up.
    if request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let listener = feed.listen(filter, after.map(Position)).await.map_err(|error| refused(error, named))?;
    let end = end_of_credentials(&request, Scope::Read, &access);
    Ok(response.streaming(event_stream(listener, &settings).take_until(end)))
}

/// The filters of a request for events.
fn filter(query: &QueryParameters) -> Result<EventFilter, Problem> {
    let known = |text: &str| EVENT_TYPES.into_iter().find(|known| *known == text);
    let refused = || Problem::invalid_field("type", format!("must be some of {}", EVENT_TYPES.join(", ")));
    let types = query.text("type").map(|types| types.split(',').map(known).collect::<Option<Vec<_>>>());
    let mut types = types.map(|types| types.ok_or_else(refused)).transpose()?.unwrap_or_default();
    types.sort_unstable();
    types.dedup();
    Ok(EventFilter {
        product_id: query.uuid("product_id")?.map(ProductId::new),
        store_id: query.uuid("store_id")?.map(StoreId::new),
        types,
    })
}

/// Where a listener goes on that was here before.
fn last_event_id(request: &HttpRequest) -> Result<Option<u64>, Problem> {
    let refused = || Problem::invalid_field(LAST_EVENT_ID, "must be the id of an event, given once");
    let mut given = request.headers().get_all(LAST_EVENT_ID);
    let Some(last) = given.next() else { return Ok(None) };
    let position = last.to_str().ok().filter(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    let position = position.and_then(|last| last.parse().ok()).filter(|_| given.next().is_none());
    position.map(Some).ok_or_else(refused)
}

/// Why the log can't be followed; `named` is what said where to start.
fn refused(error: FeedError, named: &str) -> Problem {
    match error {
        FeedError::BeyondEnd { .. } => Problem::invalid_field(named, error),
        other => other.into(),
    }
}

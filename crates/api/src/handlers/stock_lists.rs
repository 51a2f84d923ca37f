//! Lists of levels: of a store, and of what is running low.

use actix_web::{HttpRequest, HttpResponse, web};
use inventory_application::StockListQueries;
use inventory_application::ports::StockSlice;
use inventory_domain::{StockId, StockQuantity, StoreId};

use super::writer::path_uuid;
use crate::cursor::Page;
use crate::problem::Problem;
use crate::query::QueryParameters;
use crate::wire::LevelBody;
use crate::wire::history::ListBody;

/// `GET /api/v1/stores/{store_id}/stock`
///
/// # Errors
///
/// The problem that says why there is no list to show.
pub async fn of_store(request: HttpRequest, lists: web::Data<StockListQueries>) -> Result<HttpResponse, Problem> {
    let (query, wanted) = QueryParameters::of_question(&request, &["limit", "cursor"])?;
    let store_id = StoreId::new(path_uuid(&request, "store_id")?);
    let page = Page::of(&query, &format!("stock of {store_id}"))?;
    let found = lists.of_store(store_id, page.after, page.limit, wanted).await?;
    Ok(shown(&page, &found))
}

/// `GET /api/v1/stock`
///
/// # Errors
///
/// The problem that says why there is no list to show.
pub async fn below(request: HttpRequest, lists: web::Data<StockListQueries>) -> Result<HttpResponse, Problem> {
    let (query, wanted) = QueryParameters::of_question(&request, &["below", "store_id", "limit", "cursor"])?;
    let units = query.number("below", 1, StockQuantity::MAX)?;
    let units = units.ok_or_else(|| Problem::invalid_field("below", "must be given"))?;
    let store_id = query.uuid("store_id")?.map(StoreId::new);
    let page = Page::of(&query, &format!("stock below {units} of {store_id:?}"))?;
    let found = lists.below(units, store_id, page.after, page.limit, wanted).await?;
    Ok(shown(&page, &found))
}

fn shown(page: &Page<StockId>, found: &StockSlice) -> HttpResponse {
    let items: Vec<_> = found.found.iter().map(|(stock_id, level)| LevelBody::new(*stock_id, *level)).collect();
    HttpResponse::Ok().json(ListBody { items, next_cursor: page.cursor_after(found.next) })
}

//! Lists of the `reservations`, by id, customer and order, and by how they stand.

use async_trait::async_trait;
use inventory_application::ports::{
    ReservationFilter, ReservationKey, ReservationLists, ReservationState, ShownReservation, Slice, ViewError,
};
use inventory_domain::{CustomerId, OrderId, ProductId, ReservationId, StockId, StoreId};
use rusqlite::{Row, params};
use uuid::Uuid;

use crate::slice::Look;
use crate::sqlite_read_models::SqliteReadModels;
use crate::values;

const COLUMNS: &str =
    "reservation_id, store_id, product_id, customer_id, order_id, quantity, committed, state, ttl_minutes,
    expires_at, reserved_at, closed_at";

#[async_trait]
impl ReservationLists for SqliteReadModels {
    async fn reservations(
        &self,
        filter: ReservationFilter,
        after: Option<ReservationKey>,
        limit: usize,
    ) -> Result<Slice<ShownReservation, ReservationKey>, ViewError> {
        let look = Look { limit, rows_max: self.list_rows_max() };
        self.query(move |connection| {
            let (sql, id) = statement(&filter);
            let mut list = connection.prepare_cached(&sql)?;
            // Nothing has the empty id, and no id comes before it.
            let [reservation, store, product] = after.map_or_else(Default::default, |after| {
                let ReservationKey { reservation_id, stock_id: StockId { store_id, product_id } } = after;
                [reservation_id.uuid(), store_id.uuid(), product_id.uuid()].map(|id| id.as_bytes().to_vec())
            });
            let id = id.map(Uuid::into_bytes);
            let mut rows = list.query(params![id, reservation, store, product, look.rows()])?;
            look.take(&mut rows, |row| {
                let key = key(row)?;
                let is_wanted = is_wanted(row, &filter)?;
                Ok((key, is_wanted.then(|| shown(row, key)).transpose()?))
            })
        })
        .await
    }
}

/// The statement, and the id that it picks by. The filter that picks fewest is an index's; the others, which can't help it, are
/// looked at row by row.
///
/// Lists are in the order in which the reservations were made, which every index keeps; those of one id, which has but one as a
/// rule, by store and product. No row ever goes, so the last of the page before says where the next one begins.
fn statement(filter: &ReservationFilter) -> (String, Option<Uuid>) {
    let (picked, id) = match filter {
        ReservationFilter { reservation_id: Some(id), .. } => {
            let sql = format!(
                "SELECT {COLUMNS} FROM reservations
                 WHERE reservation_id = ?1 AND (reservation_id, store_id, product_id) > (?2, ?3, ?4)
                 ORDER BY reservation_id, store_id, product_id LIMIT ?5"
            );
            return (sql, Some(id.uuid()));
        }
        ReservationFilter { order_id: Some(id), .. } => ("order_id = ?1", Some(id.uuid())),
        ReservationFilter { customer_id: Some(id), .. } => ("customer_id = ?1", Some(id.uuid())),
        ReservationFilter { .. } => ("?1 IS NULL", None),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM reservations WHERE {picked} AND position > ifnull((SELECT position FROM reservations
            WHERE reservation_id = ?2 AND store_id = ?3 AND product_id = ?4), 0)
         ORDER BY position LIMIT ?5"
    );
    (sql, id)
}

fn is_wanted(row: &Row<'_>, filter: &ReservationFilter) -> rusqlite::Result<bool> {
    if let Some(state) = filter.state
        && self::state(row)? != state
    {
        return Ok(false);
    }
    if let Some(customer_id) = filter.customer_id
        && values::uuid(row, 3)? != customer_id.uuid()
    {
        return Ok(false);
    }
    match filter.order_id {
        Some(order_id) => Ok(values::uuid_or_none(row, 4)? == Some(order_id.uuid())),
        None => Ok(true),
    }
}

fn key(row: &Row<'_>) -> rusqlite::Result<ReservationKey> {
    let (store_id, product_id) = (StoreId::new(values::uuid(row, 1)?), ProductId::new(values::uuid(row, 2)?));
    let reservation_id = ReservationId::new(values::uuid(row, 0)?);
    Ok(ReservationKey { reservation_id, stock_id: StockId { product_id, store_id } })
}

fn state(row: &Row<'_>) -> rusqlite::Result<ReservationState> {
    Ok(match row.get::<_, i64>(7)? {
        0 => ReservationState::Active,
        1 => ReservationState::Committed,
        2 => ReservationState::Released,
        _ => ReservationState::Expired,
    })
}

fn shown(row: &Row<'_>, key: ReservationKey) -> rusqlite::Result<ShownReservation> {
    Ok(ShownReservation {
        key,
        customer_id: CustomerId::new(values::uuid(row, 3)?),
        order_id: values::uuid_or_none(row, 4)?.map(OrderId::new),
        state: state(row)?,
        quantity: values::number(row, 5)?,
        committed: values::number(row, 6)?,
        hold_for: values::hold_for(row, 8)?,
        expires_at: values::moment(row, 9)?,
        reserved_at: values::moment(row, 10)?.unwrap_or_default(),
        closed_at: values::moment(row, 11)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reservations::Reservations;
    use crate::slice::plan_of;

    #[test]
    fn every_list_is_found_by_an_index_and_sorted_by_none() {
        let (reservation_id, customer_id, order_id) =
            (Some(ReservationId::from_u128(1)), Some(CustomerId::from_u128(2)), Some(OrderId::from_u128(3)));
        let none = ReservationFilter::default();
        for (filter, index) in [
            (none, "INTEGER PRIMARY KEY (rowid>?)"),
            (ReservationFilter { customer_id, ..none }, "reservations_by_customer (customer_id=? AND rowid>?)"),
            (ReservationFilter { customer_id, order_id, ..none }, "reservations_by_order (order_id=? AND rowid>?)"),
            (
                ReservationFilter { reservation_id, customer_id, order_id, ..none },
                "sqlite_autoindex_reservations_1 (reservation_id=?",
            ),
        ] {
            let plan = plan_of(&Reservations, &statement(&filter).0);
            assert!(plan.contains(index) && plan.contains("SEARCH"), "{filter:?}: {plan}");
            assert!(!plan.contains("SCAN reservations") && !plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
        }
    }
}

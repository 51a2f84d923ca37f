//! A body is read or cleanly refused, and a command on a stock means the same alone and in a batch.
//!
//! The first line names what the body should be, the rest is the body.

use inventory_api::problem::Problem;
use inventory_api::wire::batch::BatchCommand;
use inventory_api::wire::json_body::parse;
use inventory_api::wire::log_levels::LogLevelsBody;
use inventory_api::wire::orders::{EmptyRequest, PlaceOrderRequest, ReleaseOrderRequest};
use inventory_api::wire::transfers::{ReceiveTransferRequest, StartTransferRequest};
use inventory_api::wire::{
    AddStockRequest, AdjustStockRequest, AvailabilityRequest, CommitReservationRequest, ExtendReservationRequest,
    ReleaseReservationRequest, ReserveStockRequest, StockRequest,
};
use inventory_domain::ReservationId;
use inventory_domain::inventory::Command;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::batch::{ReadCommand, meaning, with_field};
use crate::is_clean;

/// Tries a body.
pub fn check(input: &[u8]) {
    check_with(input, BatchCommand::read);
}

/// Tries a body, where batches are read in this way.
pub fn check_with(input: &[u8], in_batch: ReadCommand) {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (kind, body) = (&input[..end], &input[end + 1..]);
    match kind {
        b"add" => on_a_stock::<AddStockRequest>(body, in_batch),
        b"reserve" => on_a_stock::<ReserveStockRequest>(body, in_batch),
        b"commit" => on_a_stock::<CommitReservationRequest>(body, in_batch),
        b"release" => on_a_stock::<ReleaseReservationRequest>(body, in_batch),
        b"extend" => on_a_stock::<ExtendReservationRequest>(body, in_batch),
        b"adjust" => on_a_stock::<AdjustStockRequest>(body, in_batch),
        b"availability" => alone::<AvailabilityRequest>(body),
        b"order" => alone::<PlaceOrderRequest>(body),
        b"release-order" => alone::<ReleaseOrderRequest>(body),
        b"transfer" => alone::<StartTransferRequest>(body),
        b"receive-transfer" => alone::<ReceiveTransferRequest>(body),
        b"log-levels" => alone::<LogLevelsBody>(body),
        b"nothing" => alone::<EmptyRequest>(body),
        _ => (),
    }
}

fn alone<T: DeserializeOwned>(body: &[u8]) {
    if let Err(problem) = parse::<T>(body) {
        is_clean(&problem);
    }
}

fn on_a_stock<R: StockRequest>(body: &[u8], in_batch: ReadCommand) {
    let parsed = parse::<R>(body);
    if let Err(problem) = &parsed {
        is_clean(problem);
    }
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(body) else { return };
    if fields.is_empty() || fields.contains_key("idempotency_key") {
        return; // In a batch it may have a key.
    }
    let Ok(text) = std::str::from_utf8(body) else { return };
    let Some(command) = with_field(text, &format!("\"op\":\"{}\"", R::OP)) else { return };
    let batched = in_batch(&command, 0, None);
    let named = format!("{text:?} as {}", R::OP);
    match (parsed, batched) {
        (Ok(alone), Ok(batched)) => {
            let (stock_id, counted_at) = (alone.stock_id(), alone.counted_at());
            let (mut asked, is_fresh) = alone.into_command(Uuid::nil);
            assert_eq!(
                (stock_id, counted_at, is_fresh),
                (batched.stock_id, batched.counted_at, batched.is_fresh),
                "{named}"
            );
            let mut in_batch = batched.command;
            for command in [&mut asked, &mut in_batch] {
                if let (true, Command::Reserve(reserve)) = (is_fresh, command) {
                    reserve.reservation_id = ReservationId::from_u128(0);
                }
            }
            assert_eq!(format!("{asked:?}"), format!("{in_batch:?}"), "{named}");
        }
        (Err(_), Err(problem)) => is_clean(&problem),
        (alone, batched) => panic!(
            "{named}: alone {:?}, in a batch {:?}",
            alone.map(|_| "it is taken").map_err(|problem: Problem| problem.slug()),
            meaning(batched)
        ),
    }
}

//! A shop of a few stocks, orders and transfers decides as a model of plain maps and numbers does, whatever is asked of it.
//!
//! In reading order: `operation` (what is asked), `model` (the naive shop), `shop` (the rules under test, and how their events read), `machine`
//! (both side by side). The model shares no code with the crate. Where it is told to get one rule wrong the machine has to notice.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![allow(unreachable_pub, reason = "nobody sees a test from outside")]

mod machine;
mod model;
mod operation;
mod shop;

use machine::{fails, holds};
use model::Wrong;

#[test]
fn the_shop_decides_as_the_model_does() {
    holds(600);
}

#[test]
fn a_deadline_that_is_a_millisecond_late_is_noticed() {
    fails::<{ Wrong::EXPIRES_LATE }>("comes to");
}

#[test]
fn reservations_that_are_freed_in_another_order_are_noticed() {
    fails::<{ Wrong::FREES_THE_LAST_FIRST }>("comes to");
}

#[test]
fn expired_reservations_that_are_freed_without_need_are_noticed() {
    fails::<{ Wrong::FREES_TOO_MUCH }>("comes to");
}

#[test]
fn a_rest_that_stays_held_is_noticed() {
    fails::<{ Wrong::KEEPS_THE_REST }>("the level of stock");
}

#[test]
fn a_reservation_that_holds_again_is_noticed() {
    fails::<{ Wrong::FORGETS_WHAT_IS_CLOSED }>("comes to");
}

#[test]
fn a_line_that_is_freed_without_its_order_is_noticed() {
    fails::<{ Wrong::FREES_LINES_ALONE }>("comes to");
}

#[test]
fn a_late_count_that_knows_no_other_is_noticed() {
    fails::<{ Wrong::COUNTS_TWICE }>("comes to");
}

#[test]
fn an_order_that_is_placed_in_part_is_noticed() {
    fails::<{ Wrong::PLACES_IN_PART }>("comes to");
}

#[test]
fn a_transfer_that_is_received_twice_is_noticed() {
    fails::<{ Wrong::RECEIVES_TWICE }>("how transfers stand");
}

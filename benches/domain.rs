//! Decisions and folds: commands and events a second, without I/O.
//!
//! A stock has only units, or 1,000 or 50,000 live reservations; ids are drawn, so that no answer is in the processor's cache because
//! it was asked for just before. Not measured: finding the state, building groups, waiting.
//!
//! The limits are what nobody can do without: to look the reservation up in a map of that size, and to put the events of the answer
//! into a vector (`lookup`); to insert and remove the reservation's record (`map`).
#![allow(clippy::unwrap_used, reason = "a benchmark that can't go on has failed")]
#![allow(clippy::cast_possible_truncation, reason = "all numbers are small")]

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;

use criterion::BenchmarkGroup;
use criterion::measurement::WallTime;
use inventory_domain::inventory::{
    Adjust, Command, Commit, Event, Extend, Release, ReleaseCause, Reservation, Reserve, decide, evolve,
};
use inventory_domain::{
    CustomerId, HoldFor, Inventory, OrderId, ReservationId, StockQuantity, StoreId, Timestamp, TransferId,
};

use measuring::Measuring;
use shop::{Draw, added, reason, reserved, units};

mod measuring;
mod shop;

const NOW: Timestamp = Timestamp::from_millis(1_764_000_000_000);
/// Commands of a kind that take turns.
const COMMANDS: usize = 1_024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut measuring = Measuring::of("domain");
    for live in [0, 1_000, 50_000] {
        let stock = Stock::with(live);
        for (kind, commands) in stock.commands() {
            stock.decisions(&mut measuring, kind, &commands);
        }
        stock.folds(&mut measuring);
        stock.sales(&mut measuring);
    }
    measuring.report()
}

/// A stock, and a bare map of what it holds.
struct Stock {
    live: u32,
    state: Inventory,
    map: HashMap<ReservationId, Reservation>,
}

impl Stock {
    fn with(live: u32) -> Self {
        let events = (0..live).map(|number| reserved(id(number), NOW));
        let state = events.fold(evolve(Inventory::default(), &added(), NOW), |state, event| evolve(state, &event, NOW));
        let map = state.reservations().map(|(id, held)| (id, *held)).collect();
        Self { live, state, map }
    }

    /// Commands of each kind that this stock grants.
    fn commands(&self) -> Vec<(&'static str, Vec<Command>)> {
        let all = |command: &dyn Fn(u32) -> Command| (0..COMMANDS as u32).map(command).collect::<Vec<_>>();
        let mut kinds = vec![
            ("add", all(&|_| Command::Add { quantity: units(1), reason: reason() })),
            (
                "adjust",
                all(&|_| {
                    let counted = StockQuantity::new(shop::UNITS - 1).unwrap();
                    Command::Adjust(Adjust { counted, reason: reason(), then: None })
                }),
            ),
            ("reserve", all(&|number| reserve(id(self.live + number)))),
            (
                "transfer out",
                all(&|number| Command::TransferOut {
                    transfer_id: TransferId::from_u128(number.into()),
                    to_store_id: StoreId::from_u128(2),
                    quantity: units(1),
                    reason: reason(),
                }),
            ),
        ];
        if self.live > 0 {
            let mut draw = Draw::among(self.live);
            let drawn: Vec<_> = (0..COMMANDS).map(|_| id(draw.next())).collect();
            let of = |number: u32| drawn[number as usize];
            kinds.extend([
                ("commit", all(&|number| commit(of(number)))),
                ("release", all(&|number| Command::Release(Release { reservation_id: of(number), reason: reason() }))),
                (
                    "extend",
                    all(&|number| Command::Extend(Extend { reservation_id: of(number), hold_for: HoldFor::DEFAULT })),
                ),
            ]);
        }
        kinds
    }

    fn decisions(&self, measuring: &mut Measuring, kind: &str, commands: &[Command]) {
        let answers: Vec<Vec<Event>> =
            commands.iter().map(|command| decide(&self.state, command, NOW).unwrap()).collect();
        let group = format!("decide {kind}, {} live", self.live);
        measuring.compare(&group, 1, &[("decide", "lookup")], |group| {
            in_turn(group, "decide", |turn| black_box(decide(black_box(&self.state), &commands[turn], NOW).is_ok()));
            in_turn(group, "lookup", |turn| {
                let found = commands[turn].reservation_id().and_then(|id| self.map.get(&id));
                black_box((found, answers[turn].clone())).1.is_empty()
            });
        });
    }

    /// A reservation comes and goes, so that the state keeps its size.
    fn folds(&self, measuring: &mut Measuring) {
        let events: Vec<_> = (0..COMMANDS as u32)
            .map(|number| {
                let reservation_id = id(self.live + number);
                let cause = ReleaseCause::Requested(reason());
                (reserved(reservation_id, NOW), Event::StockReleased { reservation_id, quantity: units(1), cause })
            })
            .collect();
        measuring.compare(&format!("evolve, {} live", self.live), 2, &[("evolve", "map")], |group| {
            let mut state = Some(self.state.clone());
            in_turn(group, "evolve", |turn| {
                let (comes, goes) = &events[turn];
                state = state.take().map(|state| evolve(evolve(state, comes, NOW), goes, NOW));
                state.is_some()
            });
            let mut map = self.map.clone();
            in_turn(group, "map", |turn| come_and_go(&mut map, id(self.live + turn as u32)));
        });
    }

    /// A reservation is decided and folded, and then its sale.
    fn sales(&self, measuring: &mut Measuring) {
        let commands: Vec<_> = (0..COMMANDS as u32)
            .map(|number| id(self.live + number))
            .map(|id| (id, [reserve(id), commit(id)]))
            .collect();
        let run = |state: Inventory, command: &Command| {
            let events = decide(&state, command, NOW).unwrap();
            events.iter().fold(state, |state, event| evolve(state, event, NOW))
        };
        measuring.compare(&format!("decide and evolve, {} live", self.live), 2, &[("both", "map")], |group| {
            // Ids come back after a thousand turns, so the stock must not remember them as sold.
            let mut state = Some(self.forgetful());
            in_turn(group, "both", |turn| {
                let (_, [reserve, commit]) = &commands[turn];
                state = state.take().map(|state| run(run(state, reserve), commit));
                state.is_some()
            });
            let mut map = self.map.clone();
            in_turn(group, "map", |turn| come_and_go(&mut map, commands[turn].0));
        });
    }

    fn forgetful(&self) -> Inventory {
        let mut parts = self.state.to_parts();
        parts.closed_remembered = 100;
        Inventory::from_parts(parts).unwrap()
    }
}

/// Measures what is done turn by turn.
fn in_turn(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut act: impl FnMut(usize) -> bool) {
    let mut turn = 0;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % COMMANDS;
            act(turn)
        });
    });
}

fn come_and_go(map: &mut HashMap<ReservationId, Reservation>, id: ReservationId) -> bool {
    let (quantity, customer_id, hold_for) = (units(1), CustomerId::from_u128(1), Some(HoldFor::DEFAULT));
    let record = Reservation { quantity, customer_id, hold_for, expires_at: Some(NOW), order_id: None };
    map.insert(id, black_box(record));
    black_box(&mut *map).remove(&id).is_some()
}

/// Without any order in it, as random ids are.
fn id(number: u32) -> ReservationId {
    ReservationId::new(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &number.to_be_bytes()))
}

fn reserve(reservation_id: ReservationId) -> Command {
    Command::Reserve(Reserve {
        reservation_id,
        quantity: units(1),
        customer_id: CustomerId::from_u128(1),
        hold_for: Some(HoldFor::DEFAULT),
        order_id: None,
    })
}

fn commit(reservation_id: ReservationId) -> Command {
    Command::Commit(Commit { reservation_id, order_id: OrderId::from_u128(1), quantity: None })
}

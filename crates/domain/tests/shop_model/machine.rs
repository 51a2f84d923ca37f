//! The shop and the model, side by side.

use inventory_domain::inventory::Closing;
use inventory_domain::transfer::TransferStatus;
use inventory_domain::{ReservationId, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use super::model::{Model, Wrong};
use super::operation::{Operation, operation};
use super::shop::{Shop, status};

/// Checks that the shop decides as the model does in `cases` runs; `PROPTEST_CASES` asks for another number.
#[track_caller]
pub fn holds(cases: u32) {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let default = Config { source_file: Some(file!()), ..Config::default() };
    let config = Config { cases: if asked { default.cases } else { cases }, ..default };
    if let Err(error) = run::<{ Wrong::NOTHING }>(TestRunner::new(config)) {
        panic!("{error}");
    }
}

/// Checks that it is noticed where the model gets a rule wrong, by what the message says.
#[track_caller]
pub fn fails<const WRONG: u8>(noticed_by: &str) {
    // Shrinking can't be switched off: the strategy wants to be asked once for something simpler.
    let config = Config { cases: 2_000, max_shrink_iters: 1, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    match run::<WRONG>(TestRunner::new_with_rng(config, rng)) {
        Err(TestError::Fail(reason, _)) if reason.message().contains(noticed_by) => (),
        Err(TestError::Fail(reason, _)) => panic!("noticed elsewhere: {reason}"),
        other => panic!("a rule that is wrong passes: {other:?}"),
    }
}

#[allow(clippy::result_large_err, reason = "the error is the failing case, and there is one")]
fn run<const WRONG: u8>(mut runner: TestRunner) -> Result<(), TestError<impl std::fmt::Debug>> {
    let config = runner.config().clone();
    runner.run(&Operations::<WRONG>::sequential_strategy(1..100), |(model, operations, seen)| {
        Machine::<WRONG>::test_sequential(config.clone(), model, operations, seen);
        Ok(())
    })
}

struct Operations<const WRONG: u8>;

impl<const WRONG: u8> ReferenceStateMachine for Operations<WRONG> {
    type State = Model<WRONG>;
    type Transition = Operation;

    fn init_state() -> BoxedStrategy<Model<WRONG>> {
        Just(Model::default()).boxed()
    }

    fn transitions(_: &Model<WRONG>) -> BoxedStrategy<Operation> {
        operation().boxed()
    }

    fn apply(mut model: Model<WRONG>, operation: &Operation) -> Model<WRONG> {
        model.answer = match operation {
            Operation::Wait { ms } => {
                model.clock += ms;
                Ok(Vec::new())
            }
            Operation::Stock(number, ask) => model.ask_stock(*number, ask),
            Operation::Order(id, ask) => model.ask_order(*id, ask),
            Operation::Transfer(id, ask) => model.ask_transfer(*id, ask),
        };
        model
    }
}

struct Machine<const WRONG: u8>;

impl<const WRONG: u8> StateMachineTest for Machine<WRONG> {
    type SystemUnderTest = Shop;
    type Reference = Operations<WRONG>;

    fn init_test(_: &Model<WRONG>) -> Shop {
        Shop::new()
    }

    fn apply(mut shop: Shop, model: &Model<WRONG>, operation: Operation) -> Shop {
        let answer = match &operation {
            Operation::Wait { ms } => {
                shop.clock += ms;
                Ok(Vec::new())
            }
            Operation::Stock(number, ask) => shop.ask_stock(*number, ask),
            Operation::Order(id, ask) => shop.ask_order(*id, ask),
            Operation::Transfer(id, ask) => shop.ask_transfer(*id, ask),
        };
        assert_eq!(answer, model.answer, "what {operation:?} comes to");
        shop
    }

    fn check_invariants(shop: &Shop, model: &Model<WRONG>) {
        for (number, (stock, naive)) in shop.stocks.iter().zip(&model.stocks).enumerate() {
            let level = (stock.quantity().cast_signed(), stock.reserved().cast_signed(), stock.version());
            assert_eq!(level, (naive.on_hand, naive.held(), naive.events), "the level of stock {number}");
            assert_eq!(
                stock.available().cast_signed(),
                naive.on_hand - naive.held(),
                "what can be had of stock {number}"
            );
            assert_eq!(stock.corrected(), naive.corrected, "what counts have corrected on stock {number}");
            let last = naive.last.map_or(Timestamp::from_millis(i64::MIN), Timestamp::from_millis);
            assert_eq!(stock.recorded_at(), last, "when stock {number} was changed");
            assert_eq!(stock.live_count(), naive.holds.len(), "what is held on stock {number}");
            for (id, ought) in &naive.holds {
                let held = stock.reservation(ReservationId::from_u128(*id)).unwrap();
                assert_eq!(held.quantity.units().cast_signed(), ought.units, "r{id}");
                assert_eq!(held.expires_at.map(Timestamp::millis), ought.until, "r{id}");
                assert_eq!(held.customer_id.uuid().as_u128(), ought.customer.into(), "r{id}");
                assert_eq!(held.order_id.map(|id| id.uuid().as_u128()), ought.order.map(u128::from), "r{id}");
            }
            let closed = stock.to_parts().closed.into_iter().map(|closed| {
                let closing = match closed.closing {
                    Closing::Committed => "committed",
                    Closing::Released => "released",
                    Closing::Expired => "expired",
                };
                (closed.reservation_id.uuid().as_u128(), closing)
            });
            assert_eq!(closed.collect::<Vec<_>>(), naive.closed, "what stock {number} remembers");
        }
        let orders = shop.orders.iter().map(|(id, order)| (*id, status(order)));
        let naive = model.orders.iter().map(|(id, order)| (*id, order.status));
        assert_eq!(orders.collect::<Vec<_>>(), naive.collect::<Vec<_>>(), "how orders stand");
        let transfers = shop.transfers.iter().map(|(id, transfer)| {
            (*id, transfer.in_transit().cast_signed(), transfer.status() == TransferStatus::Cancelled)
        });
        let naive = model.transfers.iter().map(|(id, transfer)| (*id, transfer.in_transit, transfer.is_cancelled));
        assert_eq!(transfers.collect::<Vec<_>>(), naive.collect::<Vec<_>>(), "how transfers stand");
    }
}

//! What may be asked next, and what the model makes of it.

use std::collections::BTreeMap;

use inventory_tests::{Asked, Fact, NaiveShop, Refusal, Stock, id};
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;
use serde_json::{Value, json};
use uuid::Uuid;

/// The numbers of the ids that clients choose for reservations.
pub(crate) const RESERVATIONS: std::ops::Range<u128> = 11..14;

/// A request.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// One thing is asked, maybe under a key, maybe only where the version is this.
    Single { asked: Asked, key: Option<u8>, if_match: Option<u64> },
    /// Several in a batch, each maybe under a key of its own, all maybe under one that stands for one on each.
    Batch { commands: Vec<(Asked, Option<u8>)>, key: Option<u8> },
}

/// What an answer has to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Yes: the status, what is shown, whether it is the answer that was given before.
    Granted {
        status: u16,
        shown: Value,
        is_repeat: bool,
    },
    Refused(Refusal),
}

/// The model, and what it makes of the last step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub shop: NaiveShop,
    /// Each key that is known: what was asked under it, and the answer.
    keys: BTreeMap<String, (String, Verdict)>,
    /// All that has happened, in order.
    pub facts: Vec<Fact>,
    /// The answers to the last step, one for each thing that it asks.
    pub verdicts: Vec<Verdict>,
}

/// The name that a key has in a request.
pub(crate) fn key_name(key: u8) -> String {
    format!("{}-key", id(key.into()))
}

impl Step {
    /// Each thing that is asked with its key, the condition, and what tells routes apart.
    fn parts(&self) -> Vec<(&Asked, Option<String>, Option<u64>, &'static str)> {
        match self {
            Self::Single { asked, key, if_match } => vec![(asked, key.map(key_name), *if_match, "single")],
            Self::Batch { commands, key } => {
                let of_batch = |place| key.map(|key| format!("{}/{place}", key_name(key)));
                let commands = commands.iter().enumerate();
                commands
                    .map(|(place, (asked, own))| (asked, own.map(key_name).or_else(|| of_batch(place)), None, "batch"))
                    .collect()
            }
        }
    }

    /// What is asked.
    pub(crate) fn asked(&self) -> Vec<&Asked> {
        self.parts().into_iter().map(|(asked, ..)| asked).collect()
    }
}

impl Expected {
    fn answer(&mut self, asked: &Asked, key: Option<String>, if_match: Option<u64>, route: &str) -> Verdict {
        let request = format!("{route} {if_match:?} {asked:?}");
        let refused = |summary: &str, members| Verdict::Refused(Refusal { summary: summary.into(), members });
        match key.as_ref().and_then(|key| self.keys.get(key)) {
            Some((first, Verdict::Granted { status, shown, .. })) if *first == request => {
                return Verdict::Granted { status: *status, shown: shown.clone(), is_repeat: true };
            }
            Some(_) => return refused("422 idempotency-key-reused", json!({})),
            None => (),
        }
        let current = self.shop.version(asked);
        // What isn't there yet has no version that could be named.
        if if_match.is_some_and(|wanted| wanted != current || current == 0) {
            return refused("412 version-mismatch", json!({"current_version": current}));
        }
        match self.shop.ask(asked, 0) {
            Ok(facts) => {
                self.facts.extend(facts);
                let shown = self.shop.shown(asked);
                let verdict = Verdict::Granted { status: asked.granted(), shown, is_repeat: false };
                if let Some(key) = key {
                    self.keys.insert(key, (request, verdict.clone()));
                }
                verdict
            }
            Err(refusal) => Verdict::Refused(refusal),
        }
    }
}

impl ReferenceStateMachine for Expected {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(expected: &Self) -> BoxedStrategy<Step> {
        let shop = expected.shop.clone();
        let single = (asked(), key(), proptest::option::weighted(0.15, 0..3_u64)).prop_map(move |(asked, key, off)| {
            let current = shop.version(&asked);
            let if_match = off.map(|off| if off == 0 { current + 1 } else { current });
            Step::Single { asked, key, if_match }
        });
        let commands = proptest::collection::vec((command(), key()), 1..5);
        let batch = (commands, key()).prop_map(|(mut commands, key)| {
            // Commands on several stocks have no order among them, so neither have uses of one key by them.
            let mut owners = BTreeMap::new();
            for (asked, key) in &mut commands {
                key.take_if(|key| *owners.entry(*key).or_insert(asked.stock()) != asked.stock());
            }
            Step::Batch { commands, key }
        });
        prop_oneof![6 => single, 1 => batch].boxed()
    }

    fn apply(mut expected: Self, step: &Step) -> Self {
        let parts = step.parts().into_iter();
        expected.verdicts =
            parts.map(|(asked, key, if_match, route)| expected.answer(asked, key, if_match, route)).collect();
        expected
    }
}

fn key() -> impl Strategy<Value = Option<u8>> {
    proptest::option::weighted(0.4, 1..5_u8)
}

pub(crate) fn uuid(number: u128) -> Uuid {
    Uuid::parse_str(&id(number)).unwrap_or_default()
}

fn one_of(numbers: std::ops::Range<u128>) -> impl Strategy<Value = Uuid> + Clone {
    numbers.prop_map(uuid)
}

/// One of four, and mostly the first: what is asked has to meet.
fn stock() -> impl Strategy<Value = Stock> + Clone {
    let number = || prop_oneof![3 => Just(uuid(1)), 1 => Just(uuid(2))];
    (number(), number())
}

fn units() -> impl Strategy<Value = u64> + Clone {
    1..6_u64
}

fn ttl() -> impl Strategy<Value = Option<u64>> {
    proptest::option::of(prop_oneof![Just(30_u64), Just(60)])
}

fn part() -> impl Strategy<Value = Option<u64>> {
    proptest::option::weighted(0.4, 1..4_u64)
}

/// A command on one stock.
fn command() -> impl Strategy<Value = Asked> {
    let reservation = one_of(RESERVATIONS);
    let amount = prop_oneof![8 => 1..20_u64, 1 => Just(1_000_000_000)];
    let counted = prop_oneof![8 => 0..12_u64, 1 => Just(999_999_999_999_995), 1 => Just(1_000_000_000_000_000)];
    let reserve = (stock(), proptest::option::weighted(0.8, reservation.clone()), units(), one_of(21..23), ttl());
    prop_oneof![
        3 => (stock(), amount).prop_map(|(stock, quantity)| Asked::Add { stock, quantity }),
        4 => reserve.prop_map(|(stock, reservation, quantity, customer, ttl)| {
            Asked::Reserve { stock, reservation, quantity, customer, ttl }
        }),
        2 => (stock(), reservation.clone(), part())
            .prop_map(|(stock, reservation, part)| Asked::Commit { stock, reservation, part }),
        1 => (stock(), reservation.clone()).prop_map(|(stock, reservation)| Asked::Release { stock, reservation }),
        1 => (stock(), reservation, 1..100_u64)
            .prop_map(|(stock, reservation, ttl)| Asked::Extend { stock, reservation, ttl }),
        1 => (stock(), counted).prop_map(|(stock, counted)| Asked::Adjust { stock, counted }),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let order = one_of(31..34);
    let transfer = one_of(41..44);
    let place = (order.clone(), proptest::collection::vec((stock(), units()), 1..5), one_of(21..23), ttl());
    let start = (transfer.clone(), stock(), units());
    prop_oneof![
        12 => command(),
        3 => place.prop_map(|(order, lines, customer, ttl)| Asked::PlaceOrder { order, lines, customer, ttl }),
        1 => order.clone().prop_map(|order| Asked::CommitOrder { order }),
        1 => order.prop_map(|order| Asked::ReleaseOrder { order }),
        2 => start.prop_map(|(transfer, from, quantity)| {
            let to_store = if from.1 == uuid(1) { uuid(2) } else { uuid(1) };
            Asked::StartTransfer { transfer, from, to_store, quantity }
        }),
        2 => (transfer.clone(), part()).prop_map(|(transfer, part)| Asked::ReceiveTransfer { transfer, part }),
        1 => transfer.prop_map(|transfer| Asked::CancelTransfer { transfer }),
    ]
}

//! The life of a data folder: rounds of load, each with a bad end, and all that has to hold after each of them.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use inventory_tests::{Asked, Client, RunningService};
use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::account::Call;
use crate::answers::Counts;
use crate::ending::{Ending, Endings};
use crate::ledger::Ledger;
use crate::read_models::run;
use crate::seeds;
use crate::shopper::{PRODUCTS, STORES, Shared, Shopper, uuid};

/// Clients that ask at the same time.
const SHOPPERS: usize = 8;

/// Commands that are granted in a round before its end comes.
pub(crate) const GRANTED_A_ROUND: Range<u64> = 20..160;

/// How long something that has to come may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A service with its clients, over many processes on the same data.
pub(crate) struct Life {
    pub service: Option<RunningService>,
    pub shoppers: Vec<Shopper>,
    pub shared: Shared,
    pub ledger: Ledger,
    pub rng: TestRng,
    pub figures: Figures,
    /// How the next rounds end, the next one last.
    endings: Vec<Ending>,
}

/// What has happened in a life, or in many.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub rounds: u64,
    pub endings: Endings,
    pub events: u64,
    pub expired: u64,
    pub rows: u64,
    /// Commands that were granted before the first round.
    pub granted_before: u64,
    pub counts: Counts,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        let Counts { granted, refused, unknown, unknown_done, sent_again, told_again } = other.counts;
        self.rounds += other.rounds;
        self.endings.add(&other.endings);
        self.events += other.events;
        self.expired += other.expired;
        self.rows += other.rows;
        self.granted_before += other.granted_before;
        self.counts.granted += granted;
        self.counts.refused += refused;
        self.counts.unknown += unknown;
        self.counts.unknown_done += unknown_done;
        self.counts.sent_again += sent_again;
        self.counts.told_again += told_again;
    }
}

/// Chance that follows from a seed.
pub(crate) fn chance(seed: u64, of: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&of.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// Settings under which what is rare happens often: small segments, early checkpoints, a short memory.
fn settings(rng: &mut TestRng) -> Vec<(&'static str, String)> {
    let mut one_of = |values: &[u64]| values[rng.random_range(0..values.len())].to_string();
    let states = one_of(&[16, 8_192]);
    vec![
        ("INVENTORY__EVENT_STORE__SEGMENT_BYTES", one_of(&[65_536, 262_144, 67_108_864])),
        ("INVENTORY__EVENT_STORE__WAL_AUTOCHECKPOINT_PAGES", one_of(&[2, 50, 1_000])),
        ("INVENTORY__EVENT_STORE__APPEND_ID_SEGMENT_KEYS_MAX", one_of(&[40, 1_000, 500_000])),
        ("INVENTORY__EVENT_STORE__STREAMS_REMEMBERED_MAX", one_of(&[3, 100_000])),
        ("INVENTORY__COMMAND_LOOP__SNAPSHOT_EVERY_EVENTS", one_of(&[5, 1_000])),
        ("INVENTORY__COMMAND_LOOP__CLOSED_RESERVATIONS_REMEMBERED", one_of(&[5, 1_000])),
        ("INVENTORY__COMMAND_LOOP__BATCH_COMMANDS_MAX", states.clone()),
        ("INVENTORY__COMMAND_LOOP__STATES_MAX", states),
        ("INVENTORY__READ_MODEL__WAL_PAGES_MAX", one_of(&[8, 64_000])),
        ("INVENTORY__LOG__BUSINESS_EVENTS", "false".to_owned()),
    ]
}

impl Life {
    /// A service with some stock, and with holds that run out within the next seconds.
    ///
    /// # Errors
    ///
    /// When it doesn't come about.
    pub(crate) fn begin(seed: u64) -> Result<Self, String> {
        Self::begin_with(seed, &[])
    }

    /// The same, with these settings whatever the seed says.
    ///
    /// # Errors
    ///
    /// When it doesn't come about.
    pub(crate) fn begin_with(seed: u64, more: &[(&'static str, &str)]) -> Result<Self, String> {
        let mut rng = chance(seed, 0);
        let mut settings = settings(&mut rng);
        settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let shoppers = (0..SHOPPERS).map(|number| Shopper::new(number, chance(seed, 1 + number as u64)));
        let mut shoppers: Vec<Shopper> = shoppers.collect();
        let shared = Shared::default();
        let service = seeds::plant(&mut shoppers, &shared, &settings)?;
        let (ledger, figures) = (Ledger::default(), Figures::default());
        let mut life = Self { service: Some(service), shoppers, shared, ledger, rng, figures, endings: Vec::new() };
        life.check()?;
        life.figures.granted_before = life.figures.counts.granted;
        Ok(life)
    }

    /// The accounts of all clients.
    pub(crate) fn accounts(&self) -> Vec<&[Call]> {
        self.shoppers.iter().map(|shopper| shopper.calls.as_slice()).collect()
    }

    /// A client of the service.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub(crate) fn client(&self) -> Client {
        self.service().patient_client()
    }

    /// The service.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub(crate) fn service(&self) -> &RunningService {
        self.service.as_ref().unwrap_or_else(|| panic!("the service is gone"))
    }

    /// Load without a bad end: each client asks for so many things.
    ///
    /// # Errors
    ///
    /// When a connection breaks.
    pub(crate) fn load(&mut self, calls: usize) -> Result<(), String> {
        let (client, shared) = (self.client(), &self.shared);
        thread::scope(|scope| {
            let all: Vec<_> = self.shoppers.iter_mut().map(|shopper| (shopper, client.clone())).collect();
            let all =
                all.into_iter().map(|(shopper, client)| scope.spawn(move || shopper.shop(&client, shared, calls)));
            all.collect::<Vec<_>>()
                .into_iter()
                .try_for_each(|one| one.join().unwrap_or_else(|_| Err("a client has panicked".into())))
        })
    }

    /// A round: load, its end, the next start, and all that has to hold then.
    ///
    /// # Errors
    ///
    /// What doesn't hold.
    pub(crate) fn round(&mut self) -> Result<(), String> {
        let ending = self.endings.pop().unwrap_or_else(|| {
            self.endings = Ending::of_ten_rounds(&mut self.rng);
            self.endings.pop().unwrap_or(Ending::Killed)
        });
        let load = self.rng.random_range(GRANTED_A_ROUND);
        let in_this_round = |error: String| format!("{ending:?} after {load} were granted: {error}");
        self.shared.is_over.store(false, Ordering::SeqCst);
        let client = self.client();
        let mut service = self.service.take().ok_or("the service is gone")?;
        let (shared, rng) = (&self.shared, &mut self.rng);
        thread::scope(|scope| {
            let all: Vec<_> = self.shoppers.iter_mut().map(|shopper| (shopper, client.clone())).collect();
            let all: Vec<_> = all
                .into_iter()
                .map(|(shopper, client)| scope.spawn(move || shopper.shop(&client, shared, usize::MAX)))
                .collect();
            let loaded = shared.wait_for(load);
            // Not always right after an answer.
            thread::sleep(Duration::from_micros(rng.random_range(0..10_000)));
            shared.is_over.store(true, Ordering::SeqCst);
            let ended = loaded.and_then(|()| ending.bring_about(&mut service, rng));
            if ended.is_err() {
                service.kill(); // Or the clients would go on for ever.
            }
            let gone = all.into_iter().map(|one| one.join().unwrap_or_else(|_| Err("a client has panicked".into())));
            gone.fold(Ok(()), Result::and).and(ended)
        })
        .map_err(in_this_round)?;
        self.figures.rounds += 1;
        self.figures.endings.count(ending);
        run(&mut service.command(&["verify"])).map_err(in_this_round)?; // As it was left.
        self.service = Some(service.restart());
        let client = self.client();
        let cleared =
            self.shoppers.iter_mut().try_for_each(|shopper| shopper.clear_up(&client, &self.shared).map(drop));
        cleared.and_then(|()| self.check()).map_err(in_this_round)
    }
}

/// The stock that everybody begins with.
pub(crate) fn first_delivery() -> impl Iterator<Item = Asked> {
    (1..=PRODUCTS).flat_map(|product| {
        (1..=STORES).map(move |store| Asked::Add { stock: (uuid(product), uuid(store)), quantity: 60 })
    })
}

//! A client that asks for everything in turn, and keeps an account of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use inventory_tests::{Asked, Client, Stock, id};
use proptest::prelude::RngExt;
use proptest::test_runner::TestRng;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::account::{Attempt, Call, Command, Reply, Told};
use crate::life::PATIENCE;

/// Products and stores that all clients ask about.
pub(crate) const PRODUCTS: u128 = 4;
pub(crate) const STORES: u128 = 3;

/// What all clients of a service know.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The highest position that one of them was told of.
    pub acknowledged: AtomicU64,
    /// Whether the service may be gone.
    pub is_over: AtomicBool,
    /// How many commands they were granted, and what wakes who waits for more of them.
    granted: Mutex<u64>,
    more_granted: Condvar,
}

impl Shared {
    /// Waits until so many more commands are granted: what a load is mustn't depend on how fast the machine is.
    ///
    /// # Errors
    ///
    /// When they don't come.
    pub(crate) fn wait_for(&self, more: u64) -> Result<(), String> {
        let granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = *granted + more;
        let end = self.more_granted.wait_timeout_while(granted, PATIENCE, |granted| *granted < enough);
        let (granted, end) = end.unwrap_or_else(PoisonError::into_inner);
        if end.timed_out() { Err(format!("{} of {more} commands are missing", enough - *granted)) } else { Ok(()) }
    }

    fn take(&self, replies: &[Reply]) {
        let positions = replies.iter().filter_map(|reply| reply.body["position"].as_u64());
        self.acknowledged.fetch_max(positions.max().unwrap_or(0), Ordering::SeqCst);
        let new = replies.iter().filter(|reply| reply.is_granted() && !reply.is_repeat).count() as u64;
        *self.granted.lock().unwrap_or_else(PoisonError::into_inner) += new;
        self.more_granted.notify_all();
    }
}

/// A client.
pub(crate) struct Shopper {
    number: usize,
    rng: TestRng,
    pub calls: Vec<Call>,
    /// What is held for it, as far as it knows.
    pub holds: Vec<(Stock, Uuid)>,
    pub orders: Vec<Uuid>,
    transfers: Vec<Uuid>,
    /// The last version that it has seen of a stock.
    seen: Option<(Stock, u64)>,
    made_ids: u128,
    /// A bug that is planted: what it repeats goes under another key.
    pub repeats_under_new_keys: bool,
}

/// The UUID of the thing with this number.
pub(crate) fn uuid(number: u128) -> Uuid {
    Uuid::parse_str(&id(number)).unwrap_or_default()
}

impl Shopper {
    pub(crate) fn new(number: usize, rng: TestRng) -> Self {
        Self {
            number,
            rng,
            calls: Vec::new(),
            holds: Vec::new(),
            orders: Vec::new(),
            transfers: Vec::new(),
            seen: None,
            made_ids: 0,
            repeats_under_new_keys: false,
        }
    }

    /// Asks one thing after the other until the service is gone, or `most` things have been asked.
    ///
    /// # Errors
    ///
    /// When the connection breaks while the service ought to be there.
    pub(crate) fn shop(&mut self, client: &Client, shared: &Shared, most: usize) -> Result<(), String> {
        for _ in 0..most {
            let place = match self.something_to_repeat() {
                Some(place) => place,
                None => {
                    let call = self.next_call();
                    self.calls.push(call);
                    self.calls.len() - 1
                }
            };
            if let Err(error) = self.send(client, shared, place) {
                let is_over = shared.is_over.load(Ordering::SeqCst);
                return if is_over { Ok(()) } else { Err(format!("no answer from a service that runs: {error}")) };
            }
            if shared.is_over.load(Ordering::SeqCst)
                && matches!(self.calls[place].attempts.last(), Some(Attempt { told: Told::NotDone, .. }))
            {
                return Ok(()); // It is going down.
            }
        }
        Ok(())
    }

    /// Asks this.
    ///
    /// # Errors
    ///
    /// When no answer comes.
    pub(crate) fn ask(&mut self, client: &Client, shared: &Shared, asked: Asked) -> Result<(), String> {
        let commands = vec![Command { asked, key: None }];
        self.calls.push(Call { commands, is_batch: false, key: None, if_match: None, attempts: Vec::new() });
        self.send(client, shared, self.calls.len() - 1)
    }

    /// Asks once more for what had no answer, where that can be done.
    ///
    /// # Errors
    ///
    /// When there is no answer again.
    pub(crate) fn clear_up(&mut self, client: &Client, shared: &Shared) -> Result<usize, String> {
        let open: Vec<usize> = (0..self.calls.len())
            .filter(|place| self.calls[*place].is_open() && self.calls[*place].is_repeatable())
            .collect();
        for place in &open {
            self.send(client, shared, *place)?;
        }
        Ok(open.len())
    }

    fn send(&mut self, client: &Client, shared: &Shared, place: usize) -> Result<(), String> {
        let after = shared.acknowledged.load(Ordering::SeqCst);
        let call = &self.calls[place];
        let request_id = format!("shopper-{}-{place}-{}", self.number, call.attempts.len());
        let again = self.repeats_under_new_keys && !call.attempts.is_empty();
        let renewed = |key: &String| if again { format!("{key}-{}", call.attempts.len()) } else { key.clone() };
        let (key, tag) = (call.key.as_ref().map(renewed), call.if_match.map(|version| format!("\"{version}\"")));
        let mut headers = vec![("content-type", "application/json"), ("x-request-id", request_id.as_str())];
        headers.extend(key.as_deref().map(|key| ("idempotency-key", key)));
        headers.extend(tag.as_deref().map(|tag| ("if-match", tag)));
        let (path, body) = if call.is_batch {
            let commands = call.commands.iter();
            let commands: Vec<Value> =
                commands.map(|command| command.asked.in_batch(command.key.as_ref().map(renewed).as_deref())).collect();
            ("/api/v1/batch".to_owned(), json!({"commands": commands}))
        } else {
            (call.commands[0].asked.path(), call.commands[0].asked.body())
        };
        let answer = client.send("POST", &path, &headers, body.to_string().as_bytes());
        let (told, sent) = match answer {
            Ok(answer) => (Told::from(call, answer), Ok(())),
            Err(error) => (Told::Nothing, Err(error.to_string())),
        };
        if let Told::Replies(replies) = &told {
            shared.take(replies);
        }
        let asked: Vec<Asked> = call.commands.iter().map(|command| command.asked.clone()).collect();
        for (place, asked) in asked.iter().enumerate() {
            let reply = if let Told::Replies(replies) = &told { replies.get(place) } else { None };
            self.learn(asked, reply);
        }
        self.calls[place].attempts.push(Attempt { after, told });
        sent
    }

    /// What it knows of its holds after an answer, or none.
    fn learn(&mut self, asked: &Asked, reply: Option<&Reply>) {
        let granted = reply.filter(|reply| reply.is_granted());
        match (asked, granted) {
            (Asked::Reserve { stock, .. }, Some(reply)) => {
                let held = reply.body["reservation_id"].as_str().and_then(|id| Uuid::parse_str(id).ok());
                self.holds.extend(held.map(|held| (*stock, held)));
            }
            (Asked::Commit { reservation, .. } | Asked::Release { reservation, .. }, _) => {
                self.holds.retain(|(_, held)| held != reservation);
            }
            (Asked::Extend { reservation, .. }, None) => self.holds.retain(|(_, held)| held != reservation),
            (Asked::PlaceOrder { order, .. }, Some(_)) => self.orders.push(*order),
            (Asked::CommitOrder { order } | Asked::ReleaseOrder { order }, _) => {
                self.orders.retain(|held| held != order);
            }
            (Asked::StartTransfer { transfer, .. }, Some(_)) => self.transfers.push(*transfer),
            (Asked::CancelTransfer { transfer } | Asked::ReceiveTransfer { transfer, part: None }, _) => {
                self.transfers.retain(|started| started != transfer);
            }
            (Asked::ReceiveTransfer { transfer, .. }, None) => self.transfers.retain(|started| started != transfer),
            _ => (),
        }
        if let (Some(stock), Some(reply)) = (asked.stock(), granted) {
            self.seen = reply.body["version"].as_u64().map(|version| (stock, version));
        }
    }

    fn one_in(&mut self, times: u32) -> bool {
        self.rng.random_range(0..times) == 0
    }

    fn something_to_repeat(&mut self) -> Option<usize> {
        if self.calls.is_empty() || !self.one_in(8) {
            return None;
        }
        let latest = self.calls.len().saturating_sub(60);
        let place = self.rng.random_range(latest..self.calls.len());
        let call = &self.calls[place];
        (call.is_repeatable() && !call.is_open()).then_some(place)
    }

    fn next_call(&mut self) -> Call {
        let name = format!("key-{}-{}", self.number, self.calls.len());
        if self.one_in(6) {
            let mut commands: Vec<Command> = Vec::new();
            let size = self.rng.random_range(2..8);
            while commands.len() < size {
                let asked = self.next_command();
                if let (Asked::Reserve { stock, reservation: Some(reservation), .. }, true) = (&asked, self.one_in(3)) {
                    let sold = Asked::Commit { stock: *stock, reservation: *reservation, part: None };
                    commands.extend([asked, sold].map(|asked| Command { asked, key: None }));
                } else {
                    commands.push(Command { asked, key: None });
                }
            }
            let key = match self.rng.random_range(0..4) {
                0 => None,
                1 => {
                    for (place, command) in commands.iter_mut().enumerate() {
                        command.key = Some(format!("{name}-{place}"));
                    }
                    None
                }
                _ => Some(name),
            };
            return Call { commands, is_batch: true, key, if_match: None, attempts: Vec::new() };
        }
        let asked = self.next_asked();
        let key = (!self.one_in(4)).then_some(name);
        let seen = self.seen.filter(|(stock, _)| asked.stock() == Some(*stock)).map(|(_, version)| version);
        let if_match = seen.filter(|_| self.one_in(2));
        Call { commands: vec![Command { asked, key: None }], is_batch: false, key, if_match, attempts: Vec::new() }
    }

    fn next_asked(&mut self) -> Asked {
        match self.rng.random_range(0..100) {
            0..10 => {
                let count = self.rng.random_range(1..5);
                let lines = (0..count).map(|_| (self.stock(), self.rng.random_range(1..4))).collect();
                let (order, ttl) = (self.own_id(), self.ttl());
                Asked::PlaceOrder { order, lines, customer: self.customer(), ttl }
            }
            10..18 if !self.orders.is_empty() => {
                let place = self.rng.random_range(0..self.orders.len());
                let order = self.orders[place];
                if self.one_in(3) { Asked::ReleaseOrder { order } } else { Asked::CommitOrder { order } }
            }
            18..24 => {
                let from = self.stock();
                let stores: Vec<Uuid> = (1..=STORES).map(uuid).filter(|store| *store != from.1).collect();
                let to_store = stores[self.rng.random_range(0..stores.len())];
                let quantity = self.rng.random_range(1..5);
                Asked::StartTransfer { transfer: self.own_id(), from, to_store, quantity }
            }
            24..30 if !self.transfers.is_empty() => {
                let transfer = self.transfers[self.rng.random_range(0..self.transfers.len())];
                match self.rng.random_range(0..4) {
                    0 => Asked::CancelTransfer { transfer },
                    1 => Asked::ReceiveTransfer { transfer, part: Some(1) },
                    _ => Asked::ReceiveTransfer { transfer, part: None },
                }
            }
            _ => self.next_command(),
        }
    }

    fn next_command(&mut self) -> Asked {
        let stock =
            self.seen.filter(|_| self.rng.random_range(0..3) == 0).map_or_else(|| self.stock(), |(stock, _)| stock);
        let kind = self.rng.random_range(0..100);
        if (0..45).contains(&kind) && !self.holds.is_empty() {
            let (stock, reservation) = self.holds[self.rng.random_range(0..self.holds.len())];
            return match kind {
                0..25 => Asked::Commit { stock, reservation, part: self.one_in(3).then_some(1) },
                25..37 => Asked::Release { stock, reservation },
                _ => Asked::Extend { stock, reservation, ttl: self.rng.random_range(1..90) },
            };
        }
        match kind {
            0..85 => {
                let reservation = (!self.one_in(3)).then(|| self.own_id());
                let (quantity, ttl) = (self.rng.random_range(1..4), self.ttl());
                Asked::Reserve { stock, reservation, quantity, customer: self.customer(), ttl }
            }
            85..96 => Asked::Add { stock, quantity: self.rng.random_range(1..9) },
            _ => Asked::Adjust { stock, counted: self.rng.random_range(20..120) },
        }
    }

    fn stock(&mut self) -> Stock {
        (uuid(self.rng.random_range(1..=PRODUCTS)), uuid(self.rng.random_range(1..=STORES)))
    }

    fn ttl(&mut self) -> Option<u64> {
        [None, Some(1), Some(30), Some(60)][self.rng.random_range(0..4)]
    }

    fn customer(&self) -> Uuid {
        uuid(100 + self.number as u128)
    }

    fn own_id(&mut self) -> Uuid {
        self.made_ids += 1;
        uuid(((self.number as u128 + 1) << 32) + self.made_ids)
    }
}

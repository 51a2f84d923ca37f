//! The log against the clients' accounts: every event is the effect of exactly one thing that somebody has asked, or of a deadline;
//! and whatever was acknowledged has had its effect, whole and once.
//!
//! What an event has to be is worked out by the naive shop, which is asked the same things in the order in which the log has them.

use std::collections::{BTreeMap, HashMap};

use inventory_tests::{Asked, Fact, NaiveShop, Stock, has};
use serde_json::Value;
use uuid::Uuid;

use crate::account::Call;
use crate::log_event::{LogEvent, millis};

/// What one thing that was asked has come to.
#[derive(Clone, Debug)]
pub(crate) struct Effect {
    /// The attempt that did it.
    pub attempt: usize,
    /// Where its last event stands.
    pub position: u64,
    /// What an answer to it has to show.
    pub shown: Value,
}

/// Which thing: the client, its call, the place in the call.
pub(crate) type Place = (usize, usize, usize);

/// What the log says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub shop: NaiveShop,
    pub effects: HashMap<Place, Effect>,
    /// The positions of each stream's events.
    pub streams: BTreeMap<String, Vec<u64>>,
    /// Where each reservation, order and transfer was made.
    pub made: HashMap<Uuid, u64>,
    /// Where the last event stands.
    pub position: u64,
    /// Reservations and orders that have run out.
    pub expired: u64,
    /// Units that have come in less those that have gone out, by the events alone.
    pub units: i128,
    last_recorded: HashMap<String, i64>,
    seen: Vec<u64>,
}

impl Ledger {
    /// Takes in what the log has beyond what was taken in. It has to end with a whole group.
    ///
    /// # Errors
    ///
    /// The first event that isn't what it has to be.
    pub(crate) fn take(&mut self, events: &[LogEvent], accounts: &[&[Call]]) -> Result<(), String> {
        let mut rest = events;
        // Who has freed what had run out in order to have it has to have it then; so many events were for that.
        let (mut owed, mut freed): (Option<String>, u64) = (None, 0);
        while let Some(first) = rest.first() {
            let is_of_whom_it_was_freed_for = owed.is_none() || owed == first.request_id;
            if !is_of_whom_it_was_freed_for {
                return Err(format!("units were freed for {owed:?}, which doesn't follow, but {first:?}"));
            }
            let count = if first.is_expiry() {
                owed.clone_from(&first.request_id);
                let count = self.take_expiry(rest)?;
                freed = if owed.is_some() { freed + count as u64 } else { 0 };
                count
            } else {
                owed = None;
                self.take_effect(rest, accounts, std::mem::take(&mut freed))?
            };
            rest = &rest[count..];
        }
        match owed {
            Some(request) => Err(format!("units were freed for {request}, and the log ends there")),
            None => Ok(()),
        }
    }

    fn take_expiry(&mut self, events: &[LogEvent]) -> Result<usize, String> {
        let first = &events[0];
        if let Some(fact) = self.free(first) {
            return self.compare(events, &[fact]);
        }
        let order = events.iter().find_map(|event| event.stream.strip_prefix("order-"));
        let order = order.and_then(|order| Uuid::parse_str(order).ok());
        let facts = order.and_then(|order| self.shop.expire_order(order, first.recorded_at));
        self.expired += 1;
        self.compare(events, &facts.ok_or_else(|| nothing_to_free(first))?)
    }

    /// Frees the single reservation that this event frees, if it has run out.
    fn free(&mut self, event: &LogEvent) -> Option<Fact> {
        let (stock, reservation) = stock_of(&event.stream).zip(event.reservation())?;
        let fact = self.shop.expire(stock, reservation, event.recorded_at)?;
        self.expired += 1;
        Some(fact)
    }

    /// Takes in what was asked, for which so many events have `freed` something on the same stock just before.
    fn take_effect(&mut self, events: &[LogEvent], accounts: &[&[Call]], freed: u64) -> Result<usize, String> {
        let first = &events[0];
        let unexplained = |why: &str| format!("{why}: {first:?}");
        let request = first.request_id.as_deref().and_then(read_request_id);
        let (client, number, attempt) = request.ok_or_else(|| unexplained("nobody has asked for this"))?;
        let call = accounts.get(client).and_then(|calls| calls.get(number));
        let call = call.ok_or_else(|| unexplained("nobody has asked for this"))?;
        let after = call.attempts.get(attempt).ok_or_else(|| unexplained("it was never sent so often"))?.after;
        if first.position <= after {
            return Err(unexplained(&format!("when it was asked, position {after} had been told")));
        }
        let is_new = |place: &usize| !self.effects.contains_key(&(client, number, *place));
        let fits = |place: &usize| {
            call.key_of(*place) == first.key && could_be(&call.commands[*place].asked, call.is_batch, first)
        };
        let place = (0..call.commands.len()).filter(is_new).find(fits);
        let place =
            place.ok_or_else(|| unexplained(&format!("the second effect of one request, or none of it, {call:?}")))?;
        let mut asked = call.commands[place].asked.clone();
        if let Asked::Reserve { reservation, .. } = &mut asked {
            *reservation = first.reservation();
        }
        // What a command on a stock frees for itself comes after its version was compared.
        let current = self.shop.version(&asked) - asked.stock().map_or(0, |_| freed);
        if call.if_match.is_some_and(|wanted| wanted != current) {
            return Err(unexplained(&format!(
                "it was to be done at version {:?} only, and was at {current}",
                call.if_match
            )));
        }
        // Each line of an order may need units of what has run out; what it frees stands before it, within the order's group.
        let is_of_group =
            |event: &&LogEvent| !call.is_batch && (&event.request_id, &event.key) == (&first.request_id, &first.key);
        let group: Vec<&LogEvent> = events.iter().take_while(is_of_group).collect();
        let freed = group.iter().filter(|event| event.is_expiry());
        let freed: Vec<Fact> =
            freed.map(|event| self.free(event).ok_or_else(|| nothing_to_free(event))).collect::<Result<_, _>>()?;
        let granted = self.shop.ask(&asked, first.recorded_at);
        let granted = granted.map_err(|no| unexplained(&format!("it ought to be {no:?}")))?;
        let (mut freed, mut granted) = (freed.into_iter(), granted.into_iter());
        let mut facts = Vec::new();
        while let Some(fact) = match group.get(facts.len()) {
            Some(event) if event.is_expiry() => freed.next(),
            _ => granted.next(),
        } {
            facts.push(fact);
        }
        let count = self.compare(events, &facts)?;
        let (position, shown) = (events[count - 1].position, self.shop.shown(&asked));
        self.made.extend(made_by(&asked).map(|id| (id, position)));
        self.effects.insert((client, number, place), Effect { attempt, position, shown });
        Ok(count)
    }

    /// The log goes on with just these facts, of one origin and time; returns how many they are.
    fn compare(&mut self, events: &[LogEvent], facts: &[Fact]) -> Result<usize, String> {
        if facts.is_empty() {
            return Err(format!("this changes nothing, and ought not to be there: {:?}", events[0]));
        }
        for (place, fact) in facts.iter().enumerate() {
            let Some(event) = events.get(place) else {
                return Err(format!("the log ends at {}, and lacks {fact:?}", self.position));
            };
            let origin = |event: &LogEvent| (event.request_id.clone(), event.key.clone(), event.recorded_at);
            let last_recorded = self.last_recorded.insert(event.stream.clone(), event.recorded_at);
            let fits = event.position == self.position + 1
                && (event.stream.as_str(), event.event_type.as_str(), event.version)
                    == (fact.stream.as_str(), fact.event_type, fact.version)
                && has(&event.data, &fact.data)
                && millis(&event.data["expires_at"]) == fact.deadline
                && origin(event) == origin(&events[0])
                && last_recorded.is_none_or(|last| last <= event.recorded_at);
            if !fits {
                let position = self.position;
                return Err(format!("behind position {position} there has to be {fact:?}, and there is {event:?}"));
            }
            let number = |field: &str| i128::from(event.data[field].as_i64().unwrap_or_default());
            self.units += match event.event_type.as_str() {
                "StockAddedEvent" => number("quantity"),
                "StockCommittedEvent" => -number("quantity"),
                "StockAdjustedEvent" => number("change"),
                _ => 0,
            };
            self.position = event.position;
            self.streams.entry(event.stream.clone()).or_default().push(event.position);
            self.seen.push(fingerprint(event));
        }
        Ok(facts.len())
    }

    /// Whether a reservation that is still there has run out.
    pub(crate) fn is_due(&self, stock: Stock, reservation: Uuid) -> bool {
        let now = jiff::Timestamp::now().as_millisecond();
        self.shop.deadline(stock, reservation).is_some_and(|deadline| deadline <= now)
    }

    /// Whether `later`, which is the log of the same service, begins with what this one had.
    pub(crate) fn is_beginning_of(&self, later: &Self) -> bool {
        later.seen.starts_with(&self.seen)
    }
}

fn nothing_to_free(event: &LogEvent) -> String {
    format!("nothing has run out that this could free: {event:?}")
}

/// The client, the call and the attempt that a request's id names.
fn read_request_id(id: &str) -> Option<(usize, usize, usize)> {
    let mut numbers = id.strip_prefix("shopper-")?.split('-').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Whether the first event of what is asked can be this one. Only in a batch is there a choice.
fn could_be(asked: &Asked, is_batch: bool, event: &LogEvent) -> bool {
    if !is_batch {
        return true;
    }
    let is_about = |reservation: &Uuid| event.reservation() == Some(*reservation);
    let has_units = |units: &u64| event.data["quantity"] == *units;
    let is_of_type = match asked {
        Asked::Add { quantity, .. } => event.event_type == "StockAddedEvent" && has_units(quantity),
        Asked::Reserve { reservation, quantity, ttl, .. } => {
            event.event_type == "StockReservedEvent"
                && has_units(quantity)
                && event.data["ttl_minutes"] == serde_json::json!(ttl)
                && reservation.as_ref().is_none_or(is_about)
        }
        Asked::Commit { reservation, .. } => event.event_type == "StockCommittedEvent" && is_about(reservation),
        Asked::Release { reservation, .. } => event.event_type == "StockReleasedEvent" && is_about(reservation),
        Asked::Extend { reservation, ttl, .. } => {
            event.event_type == "ReservationExtendedEvent" && is_about(reservation) && event.data["ttl_minutes"] == *ttl
        }
        Asked::Adjust { counted, .. } => event.event_type == "StockAdjustedEvent" && has_units(counted),
        _ => false,
    };
    is_of_type && asked.stock() == stock_of(&event.stream)
}

/// The reservation, order or transfer that this makes.
fn made_by(asked: &Asked) -> Option<Uuid> {
    match asked {
        Asked::Reserve { reservation, .. } => *reservation,
        Asked::PlaceOrder { order, .. } => Some(*order),
        Asked::StartTransfer { transfer, .. } => Some(*transfer),
        _ => None,
    }
}

/// The stock whose stream this is.
pub(crate) fn stock_of(stream: &str) -> Option<Stock> {
    let ids = stream.strip_prefix("inventory-")?;
    let (product, store) = (ids.get(..36)?, ids.get(37..)?);
    Some((Uuid::parse_str(product).ok()?, Uuid::parse_str(store).ok()?))
}

fn fingerprint(event: &LogEvent) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    format!("{event:?}").hash(&mut hasher);
    hasher.finish()
}

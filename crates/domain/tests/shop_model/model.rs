//! The naive shop: maps and numbers, and each rule as it would be told to a new colleague.

use std::collections::BTreeMap;

use super::operation::{Ask, MOST, OrderAsk, START, STOCKS, TransferAsk};

/// The closed reservations that a stock remembers.
pub const REMEMBERED: usize = 3;

/// A rule that the model gets wrong.
pub struct Wrong;

impl Wrong {
    pub const NOTHING: u8 = 0;
    pub const EXPIRES_LATE: u8 = 1;
    pub const FREES_THE_LAST_FIRST: u8 = 2;
    pub const FREES_TOO_MUCH: u8 = 3;
    pub const KEEPS_THE_REST: u8 = 4;
    pub const FORGETS_WHAT_IS_CLOSED: u8 = 5;
    pub const FREES_LINES_ALONE: u8 = 6;
    pub const COUNTS_TWICE: u8 = 7;
    pub const PLACES_IN_PART: u8 = 8;
    pub const RECEIVES_TWICE: u8 = 9;
}

/// The reservation that holds the units of an order's line.
pub fn line_reservation(order: u8, stock: usize) -> u128 {
    100 + u128::from(order) * 10 + stock as u128
}

/// What has happened, one line each, or why nothing has.
pub type Answer = Result<Vec<String>, String>;

#[derive(Clone, Debug)]
pub struct Model<const WRONG: u8> {
    pub clock: i64,
    pub stocks: Vec<Stock>,
    pub orders: BTreeMap<u8, Order>,
    pub transfers: BTreeMap<u8, Transfer>,
    /// What was answered last.
    pub answer: Answer,
}

#[derive(Clone, Debug, Default)]
pub struct Stock {
    pub on_hand: i64,
    pub holds: BTreeMap<u128, Hold>,
    /// Oldest first.
    pub closed: Vec<(u128, &'static str)>,
    /// When the last event was, how many there are, and what counts have corrected.
    pub last: Option<i64>,
    pub events: u64,
    pub corrected: i64,
    counted_at: Option<i64>,
    /// After each event: when, what was on hand, what had been corrected.
    past: Vec<(i64, i64, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    pub units: i64,
    pub customer: u8,
    pub minutes: Option<i64>,
    pub until: Option<i64>,
    pub order: Option<u8>,
}

#[derive(Clone, Debug)]
pub struct Order {
    /// What was asked for, by stock.
    asked: BTreeMap<usize, i64>,
    minutes: Option<i64>,
    until: Option<i64>,
    /// Each line's stock and reservation.
    lines: Vec<(usize, u128)>,
    pub status: &'static str,
    last: i64,
}

#[derive(Clone, Debug)]
pub struct Transfer {
    from: usize,
    units: i64,
    pub in_transit: i64,
    pub is_cancelled: bool,
    last: i64,
}

impl<const WRONG: u8> Default for Model<WRONG> {
    fn default() -> Self {
        let stocks = vec![Stock::default(); STOCKS];
        let (orders, transfers) = (BTreeMap::new(), BTreeMap::new());
        Self { clock: START, stocks, orders, transfers, answer: Ok(Vec::new()) }
    }
}

impl<const WRONG: u8> Model<WRONG> {
    pub fn ask_stock(&mut self, number: usize, ask: &Ask) -> Answer {
        let mut stock = self.stocks[number].clone();
        let now = self.now(&[number], None);
        let done = match ask {
            Ask::Add { units } => stock.take_in(*units).map(|()| vec![format!("added {units}")])?,
            Ask::Reserve { id, units, customer, minutes } => {
                let wanted = Hold { units: *units, customer: *customer, minutes: *minutes, until: None, order: None };
                stock.hold::<WRONG>((*id).into(), wanted, now)?
            }
            Ask::Commit { id, part } => {
                let id = (*id).into();
                let held = stock.active::<WRONG>(id, now)?.units;
                let sold = part.unwrap_or(held);
                if sold > held {
                    return Err(format!("{sold} to commit, {held} held"));
                }
                stock.on_hand -= sold;
                let mut done = vec![format!("committed r{id} {sold}")];
                if sold < held {
                    done.push(format!("released r{id} {} rest", held - sold));
                }
                if WRONG == Wrong::KEEPS_THE_REST && sold < held {
                    stock.holds.get_mut(&id).unwrap().units -= sold;
                } else {
                    stock.close(id, "committed");
                }
                done
            }
            Ask::Release { id } => {
                let id = (*id).into();
                let units = stock.active::<WRONG>(id, now)?.units;
                stock.close(id, "released");
                vec![format!("released r{id} {units} requested")]
            }
            Ask::Extend { id, minutes } => {
                let id = (*id).into();
                stock.active::<WRONG>(id, now)?;
                let until = now + minutes * 60_000;
                stock.holds.get_mut(&id).unwrap().until = Some(until);
                vec![format!("extended r{id} until {until}")]
            }
            Ask::Count { counted, ms_ago } => {
                stock.count::<WRONG>(*counted, ms_ago.map(|ago| self.clock - ago), now)?
            }
            Ask::ReleaseExpired { most } => {
                let mut freed = 0;
                let mut due = stock.due::<WRONG>(now);
                due.retain(|id| stock.holds[id].order.is_none());
                due.into_iter()
                    .take(*most)
                    .map(|id| {
                        freed += 1;
                        stock.expire(id)
                    })
                    .collect()
            }
        };
        self.settle(vec![(number, stock, done.len())], now);
        Ok(done)
    }

    pub fn ask_order(&mut self, id: u8, ask: &OrderAsk) -> Answer {
        let order = self.orders.get(&id).cloned();
        match (ask, order) {
            (OrderAsk::Place { lines, minutes }, None) => self.place(id, lines, *minutes),
            (OrderAsk::Place { lines, minutes }, Some(order)) => {
                let is_same = order.asked == by_stock(lines) && order.minutes == *minutes;
                if is_same { Ok(Vec::new()) } else { Err("the order exists".into()) }
            }
            (OrderAsk::Expire, None) => Ok(Vec::new()),
            (_, None) => Err("no such order".into()),
            (ask, Some(order)) => {
                let involved: Vec<_> = order.lines.iter().map(|(stock, _)| *stock).collect();
                let now = self.now(&involved, Some(order.last));
                let is_due = order.until.is_some_and(|until| is_over::<WRONG>(until, now));
                let status = match (order.status, ask) {
                    ("active", OrderAsk::Expire) if is_due => "expired",
                    (_, OrderAsk::Expire) => return Ok(Vec::new()),
                    ("active", _) if is_due => return Err("the order is expired".into()),
                    ("active", OrderAsk::Commit) => "committed",
                    ("active", _) => "released",
                    (other, _) => return Err(format!("the order is {other}")),
                };
                let (mut done, mut changed) = (Vec::new(), Vec::new());
                for (number, reservation) in &order.lines {
                    let mut stock = self.stocks[*number].clone();
                    let Some(held) = stock.holds.get(reservation).map(|held| held.units) else {
                        return Err(format!("no reservation r{reservation}"));
                    };
                    stock.on_hand -= if status == "committed" { held } else { 0 };
                    stock.close(*reservation, status);
                    done.push(match status {
                        "committed" => format!("committed r{reservation} {held}"),
                        "expired" => format!("released r{reservation} {held} expired"),
                        _ => format!("released r{reservation} {held} requested"),
                    });
                    changed.push((*number, stock, 1));
                }
                done.push(format!("order {status}"));
                self.settle(changed, now);
                self.orders.insert(id, Order { status, last: now, ..order });
                Ok(done)
            }
        }
    }

    fn place(&mut self, id: u8, lines: &[(usize, i64)], minutes: Option<i64>) -> Answer {
        let asked = by_stock(lines);
        let now = self.now(&asked.keys().copied().collect::<Vec<_>>(), None);
        let mut in_order: Vec<usize> = Vec::new(); // Each stock where it comes first.
        lines.iter().for_each(|(stock, _)| {
            if !in_order.contains(stock) {
                in_order.push(*stock);
            }
        });
        let (mut done, mut changed, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for number in in_order {
            let reservation = line_reservation(id, number);
            let mut stock = self.stocks[number].clone();
            let wanted = Hold { units: asked[&number], customer: 0, minutes, until: None, order: Some(id) };
            match stock.hold::<WRONG>(reservation, wanted, now) {
                Ok(events) => {
                    changed.push((number, stock, events.len()));
                    held.push((number, reservation));
                    done.extend(events);
                }
                Err(_) if WRONG == Wrong::PLACES_IN_PART && !held.is_empty() => break,
                Err(reason) => return Err(reason),
            }
        }
        let until = minutes.map(|minutes| now + minutes * 60_000);
        done.push("order placed".into());
        self.settle(changed, now);
        self.orders.insert(id, Order { asked, minutes, until, lines: held, status: "active", last: now });
        Ok(done)
    }

    pub fn ask_transfer(&mut self, id: u8, ask: &TransferAsk) -> Answer {
        let before = self.transfers.get(&id).cloned();
        let (number, mut transfer, mut stock, done, now);
        match (ask, before) {
            (TransferAsk::Start { from, units }, None) => {
                (number, now) = (*from, self.now(&[*from], None));
                stock = self.stocks[number].clone();
                let mut events = stock.make_room::<WRONG>(now, |stock| stock.free() >= *units)?;
                if stock.free() < *units {
                    return Err(format!("{units} asked for, {} available", stock.free()));
                }
                stock.on_hand -= units;
                events.push(format!("sent {units}"));
                done = events;
                transfer = Transfer { from: *from, units: *units, in_transit: *units, is_cancelled: false, last: now };
            }
            (TransferAsk::Start { from, units }, Some(there)) => {
                let is_same = (there.from, there.units) == (*from, *units) && there.in_transit > 0;
                return if is_same { Ok(Vec::new()) } else { Err("the transfer exists".into()) };
            }
            (_, None) => return Err("no such transfer".into()),
            (_, Some(there)) if there.in_transit == 0 => {
                return Err(
                    if there.is_cancelled { "the transfer is cancelled" } else { "the transfer is received" }.into()
                );
            }
            (TransferAsk::Receive { part }, Some(there)) => {
                transfer = there;
                number = (transfer.from + 1) % STOCKS;
                let (part, in_transit) = (part.unwrap_or(transfer.in_transit), transfer.in_transit);
                if part > in_transit {
                    return Err(format!("{part} to receive, {in_transit} in transit"));
                }
                (now, stock) = (self.now(&[number], Some(transfer.last)), self.stocks[number].clone());
                stock.take_in(part)?;
                transfer.in_transit -= if WRONG == Wrong::RECEIVES_TWICE { 0 } else { part };
                done = vec![format!("arrived {part}")];
            }
            (TransferAsk::Cancel, Some(there)) => {
                transfer = there;
                (number, now) = (transfer.from, self.now(&[transfer.from], Some(transfer.last)));
                stock = self.stocks[number].clone();
                stock.take_in(transfer.in_transit)?;
                done = vec![format!("came back {}", transfer.in_transit)];
                (transfer.in_transit, transfer.is_cancelled) = (0, true);
            }
        }
        transfer.last = now;
        self.settle(vec![(number, stock, done.len())], now);
        self.transfers.insert(id, transfer);
        Ok(done)
    }

    /// The moment of a decision: never before the last event of anything that it is about.
    fn now(&self, stocks: &[usize], last: Option<i64>) -> i64 {
        let stocks = stocks.iter().filter_map(|number| self.stocks[*number].last);
        stocks.chain(last).fold(self.clock, i64::max)
    }

    fn settle(&mut self, changed: Vec<(usize, Stock, usize)>, now: i64) {
        for (number, mut stock, events) in changed {
            if events > 0 {
                stock.events += events as u64;
                stock.last = Some(now);
                stock.past.push((now, stock.on_hand, stock.corrected));
            }
            self.stocks[number] = stock;
        }
    }
}

fn by_stock(lines: &[(usize, i64)]) -> BTreeMap<usize, i64> {
    let mut sums = BTreeMap::new();
    lines.iter().for_each(|(stock, units)| *sums.entry(*stock).or_default() += units);
    sums
}

/// A deadline is over from its very millisecond on.
fn is_over<const WRONG: u8>(until: i64, now: i64) -> bool {
    if WRONG == Wrong::EXPIRES_LATE { until < now } else { until <= now }
}

impl Stock {
    pub fn held(&self) -> i64 {
        self.holds.values().map(|hold| hold.units).sum()
    }

    fn free(&self) -> i64 {
        self.on_hand - self.held()
    }

    fn take_in(&mut self, units: i64) -> Result<(), String> {
        if self.on_hand + units > MOST {
            return Err(format!("{} and {units} are too many", self.on_hand));
        }
        self.on_hand += units;
        Ok(())
    }

    fn hold<const WRONG: u8>(&mut self, id: u128, wanted: Hold, now: i64) -> Answer {
        if let Some(held) = self.holds.get(&id) {
            let is_same = Hold { until: None, ..*held } == wanted;
            let is_over = held.until.is_some_and(|until| is_over::<WRONG>(until, now));
            return if is_same && !is_over { Ok(Vec::new()) } else { Err(format!("r{id} exists")) };
        }
        if WRONG != Wrong::FORGETS_WHAT_IS_CLOSED && self.closed.iter().any(|(closed, _)| *closed == id) {
            return Err(format!("r{id} exists"));
        }
        let units = wanted.units;
        let mut done = self.make_room::<WRONG>(now, |stock| stock.free() >= units)?;
        if self.free() < units {
            return Err(format!("{units} asked for, {} available", self.free()));
        }
        let until = wanted.minutes.map(|minutes| now + minutes * 60_000);
        done.push(format!("reserved r{id} {units} until {until:?}"));
        self.holds.insert(id, Hold { until, ..wanted });
        Ok(done)
    }

    /// Frees what has expired, one after the other, until there is `enough`. A line of an order can't be freed alone.
    fn make_room<const WRONG: u8>(&mut self, now: i64, enough: impl Fn(&Self) -> bool) -> Answer {
        let mut done = Vec::new();
        for id in self.due::<WRONG>(now) {
            if WRONG != Wrong::FREES_TOO_MUCH && enough(self) {
                break;
            }
            match self.holds[&id].order {
                Some(order) if WRONG != Wrong::FREES_LINES_ALONE => {
                    return Err(format!("o{order} has to be closed first"));
                }
                _ => done.push(self.expire(id)),
            }
        }
        Ok(done)
    }

    /// The reservations whose deadline is over, earliest first.
    fn due<const WRONG: u8>(&self, now: i64) -> Vec<u128> {
        let due = self.holds.iter().filter_map(|(id, hold)| Some((hold.until?, *id)));
        let mut due: Vec<_> = due.filter(|(until, _)| is_over::<WRONG>(*until, now)).collect();
        due.sort_unstable();
        if WRONG == Wrong::FREES_THE_LAST_FIRST {
            due.reverse();
        }
        due.into_iter().map(|(_, id)| id).collect()
    }

    fn expire(&mut self, id: u128) -> String {
        let units = self.holds[&id].units;
        self.close(id, "expired");
        format!("released r{id} {units} expired")
    }

    fn close(&mut self, id: u128, how: &'static str) {
        self.holds.remove(&id);
        self.closed.push((id, how));
        if self.closed.len() > REMEMBERED {
            self.closed.remove(0);
        }
    }

    /// The reservation, if it can still be sold, freed or extended.
    fn active<const WRONG: u8>(&self, id: u128, now: i64) -> Result<&Hold, String> {
        if let Some(hold) = self.holds.get(&id) {
            return match (hold.order, hold.until) {
                (Some(order), _) => Err(format!("r{id} belongs to o{order}")),
                (None, Some(until)) if is_over::<WRONG>(until, now) => Err(format!("r{id} is expired")),
                _ => Ok(hold),
            };
        }
        let closed = self.closed.iter().find(|(closed, _)| *closed == id);
        Err(closed.map_or(format!("no reservation r{id}"), |(_, how)| format!("r{id} is {how}")))
    }

    fn count<const WRONG: u8>(&mut self, counted: i64, then: Option<i64>, now: i64) -> Answer {
        let was = |then: i64| {
            let last = self.past.iter().take_while(|(at, ..)| *at <= then).last();
            last.map_or((0, 0), |(_, on_hand, corrected)| (*on_hand, *corrected))
        };
        let change = match then {
            None => counted - self.on_hand,
            Some(then) if now - then > 30 * 24 * 60 * 60_000 => return Err("counted too long ago".into()),
            // Somebody has counted later, and that is in already.
            Some(then) if self.counted_at.is_some_and(|latest| then < latest) => 0,
            Some(then) if WRONG == Wrong::COUNTS_TWICE => counted - was(then).0,
            // What counts have found since was there already.
            Some(then) => counted - (was(then).0 + self.corrected - was(then).1),
        };
        let after = self.on_hand + change;
        if after > MOST {
            return Err(format!("{} and {} are too many", self.on_hand, change.abs()));
        }
        let mut done = self.make_room::<WRONG>(now, |stock| stock.held() <= after.max(0))?;
        if after < self.held() {
            return Err(format!("{} counted, {} reserved", after.max(0), self.held()));
        }
        self.on_hand = after;
        self.corrected += change;
        self.counted_at = self.counted_at.max(Some(then.unwrap_or(now)));
        done.push(format!("counted {counted}: {change}"));
        Ok(done)
    }
}

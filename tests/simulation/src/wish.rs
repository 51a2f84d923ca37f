//! What a client wants, and the requests that it sends for it.

use std::hash::{DefaultHasher, Hash, Hasher};

use inventory_application::{Ask, Condition, RequestKey};
use inventory_domain::inventory::{Adjust, Command, Commit, Extend, Release, Reserve};
use inventory_domain::order::{self, OrderLines, Place};
use inventory_domain::transfer::{self, Route, Start};
use inventory_domain::{
    CustomerId, HoldFor, OrderId, Quantity, Reason, ReservationId, StockId, StockQuantity, TransferId,
};

use crate::chance::Chance;
use crate::world::Known;

/// Something that a client wants done once.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) ask: Ask,
    pub(crate) condition: Condition,
    pub(crate) key: Option<RequestKey>,
    /// Whether the ids in it are made anew for each attempt, as for a client that gives none.
    is_fresh: bool,
}

/// Hashes are of what was asked, without the ids that are made anew.
const NO_ID: u128 = 0;

impl Wish {
    pub(crate) fn new(ask: Ask) -> Self {
        Self { ask, condition: Condition::None, key: None, is_fresh: false }
    }

    /// What an attempt asks.
    pub(crate) fn ask(&self, chance: &Chance) -> Ask {
        let mut ask = self.ask.clone();
        match &mut ask {
            Ask::Stock { command: Command::Reserve(reserve), is_fresh: true, .. } => {
                reserve.reservation_id = ReservationId::from_u128(chance.id());
            }
            Ask::Order { order_id, command: order::Command::Place(place), .. } => {
                let asked: Vec<_> = place.lines.iter().map(|line| (line.stock_id, line.quantity)).collect();
                if let Ok(lines) = OrderLines::summed(&asked, || ReservationId::from_u128(chance.id())) {
                    place.lines = lines;
                }
                if self.is_fresh {
                    *order_id = OrderId::from_u128(chance.id());
                }
            }
            Ask::Transfer { transfer_id, command: transfer::Command::Start(_) } if self.is_fresh => {
                *transfer_id = TransferId::from_u128(chance.id());
            }
            _ => (),
        }
        ask
    }

    /// Gives the request a name, by which repeats of it are known.
    pub(crate) fn keyed(mut self, append_id: [u8; 16]) -> Self {
        let mut hasher = DefaultHasher::new();
        format!("{:?} {:?}", self.ask, self.condition).hash(&mut hasher);
        let request_hash = u128::from(hasher.finish()).to_le_bytes();
        self.key = Some(RequestKey { append_id, request_hash });
        self
    }

    /// Whether sending it again without a key makes sense: it has a name of its own.
    pub(crate) fn is_named(&self) -> bool {
        !self.is_fresh
            && matches!(
                &self.ask,
                Ask::Stock { command: Command::Reserve(_), is_fresh: false, .. }
                    | Ask::Order { command: order::Command::Place(_), .. }
                    | Ask::Transfer { command: transfer::Command::Start(_), .. }
            )
    }
}

/// Draws what clients want.
pub(crate) struct Wishes<'a> {
    pub(crate) chance: &'a Chance,
    pub(crate) stocks: &'a [StockId],
    pub(crate) units: i64,
}

impl Wishes<'_> {
    /// Any wish, about what clients know of.
    pub(crate) fn any(&self, known: &Known) -> Wish {
        let stock_id = self.stock();
        let wish = match self.chance.between(0..=99) {
            0..=9 => self.add(stock_id),
            10..=38 => self.reserve(stock_id),
            39..=60 => self.about_a_reservation(known),
            61..=64 => {
                let counted = StockQuantity::new(self.chance.between(0..=self.units)).unwrap_or_default();
                of_stock(stock_id, Command::Adjust(Adjust { counted, reason: reason("counted"), then: None }))
            }
            65..=68 => Wish::new(Ask::Level(stock_id)),
            69..=79 => self.place(),
            80..=87 => self.about_an_order(known),
            88..=92 => self.start(stock_id),
            _ => self.about_a_transfer(known),
        };
        self.conditioned(wish, known)
    }

    /// Units for a stock.
    pub(crate) fn add(&self, stock_id: StockId) -> Wish {
        let quantity = self.quantity(self.units);
        of_stock(stock_id, Command::Add { quantity, reason: reason("delivery") })
    }

    fn reserve(&self, stock_id: StockId) -> Wish {
        let is_fresh = self.chance.one_in(2);
        let id = if is_fresh { NO_ID } else { self.chance.id() };
        let reserve = Reserve {
            reservation_id: ReservationId::from_u128(id),
            quantity: self.quantity(self.units / 3 + 1),
            customer_id: CustomerId::from_u128(9),
            hold_for: self.hold(),
            order_id: None,
        };
        let ask = Ask::Stock { stock_id, command: Command::Reserve(reserve), is_fresh };
        Wish { is_fresh, ..Wish::new(ask) }
    }

    fn about_a_reservation(&self, known: &Known) -> Wish {
        let Some((stock_id, reservation_id)) = self.chance.pick_late(&known.reservations).copied() else {
            return self.add(self.stock());
        };
        let command = match self.chance.between(0..=9) {
            0..=4 => {
                let quantity = self.chance.one_in(3).then(|| self.quantity(3));
                Command::Commit(Commit { reservation_id, order_id: OrderId::from_u128(self.chance.id()), quantity })
            }
            5..=6 => Command::Release(Release { reservation_id, reason: reason("left") }),
            7 => {
                let hold_for = self.hold().unwrap_or(HoldFor::DEFAULT);
                Command::Extend(Extend { reservation_id, hold_for })
            }
            _ => Command::Reserve(Reserve {
                reservation_id, // Somebody may have it, or have had it.
                quantity: self.quantity(3),
                customer_id: CustomerId::from_u128(9),
                hold_for: self.hold(),
                order_id: None,
            }),
        };
        of_stock(stock_id, command)
    }

    fn place(&self) -> Wish {
        let is_fresh = self.chance.one_in(2);
        let order_id = OrderId::from_u128(if is_fresh { NO_ID } else { self.chance.id() });
        let count = self.chance.between(1..=4);
        let asked: Vec<_> = (0..count).map(|_| (self.stock(), self.quantity(self.units / 4 + 1))).collect();
        let Ok(lines) = OrderLines::summed(&asked, || ReservationId::from_u128(NO_ID)) else {
            return self.add(self.stock());
        };
        let command =
            order::Command::Place(Place { customer_id: CustomerId::from_u128(9), hold_for: self.hold(), lines });
        let is_dry_run = self.chance.one_in(12);
        Wish { is_fresh, ..Wish::new(Ask::Order { order_id, command, is_dry_run }) }
    }

    fn about_an_order(&self, known: &Known) -> Wish {
        let Some(order_id) = self.chance.pick_late(&known.orders).copied() else { return self.place() };
        let command = match self.chance.between(0..=2) {
            0..=1 => order::Command::Commit,
            _ => order::Command::Release { reason: reason("changed their mind") },
        };
        Wish::new(Ask::Order { order_id, command, is_dry_run: false })
    }

    fn start(&self, from: StockId) -> Wish {
        let to = self.stock();
        let is_fresh = self.chance.one_in(2);
        let transfer_id = TransferId::from_u128(if is_fresh { NO_ID } else { self.chance.id() });
        let Ok(route) = Route::new(from.product_id, from.store_id, to.store_id) else { return self.add(from) };
        let (quantity, reason) = (self.quantity(self.units / 3 + 1), reason("rebalance"));
        let command = transfer::Command::Start(Start { route, quantity, reason });
        Wish { is_fresh, ..Wish::new(Ask::Transfer { transfer_id, command }) }
    }

    fn about_a_transfer(&self, known: &Known) -> Wish {
        let Some(transfer_id) = self.chance.pick_late(&known.transfers).copied() else {
            return self.start(self.stock());
        };
        let command = match self.chance.between(0..=4) {
            0..=1 => transfer::Command::Receive { quantity: Some(self.quantity(3)) },
            2 => transfer::Command::Receive { quantity: None },
            _ => transfer::Command::Cancel,
        };
        Wish::new(Ask::Transfer { transfer_id, command })
    }

    /// Now and then a client wants its request done only at a version that it has seen; half of them name their requests.
    fn conditioned(&self, mut wish: Wish, known: &Known) -> Wish {
        if self.chance.one_in(8)
            && let Ask::Stock { stock_id, .. } = &mut wish.ask
            && let Some((seen, version, _)) = self.chance.pick_late(&known.versions).copied()
            && seen == *stock_id
        {
            wish.condition = Condition::OneOf(vec![version]);
        } else if self.chance.one_in(40) {
            wish.condition = Condition::Exists;
        }
        let is_question = matches!(wish.ask, Ask::Level(_) | Ask::Order { is_dry_run: true, .. });
        if is_question || !self.chance.one_in(2) {
            return wish;
        }
        match self.chance.pick(&known.keys) {
            Some(used) if self.chance.one_in(25) => wish.keyed(used.append_id),
            _ => wish.keyed(self.chance.id().to_le_bytes()),
        }
    }

    pub(crate) fn stock(&self) -> StockId {
        self.chance.pick(self.stocks).copied().unwrap_or(self.stocks[0])
    }

    fn quantity(&self, most: i64) -> Quantity {
        Quantity::new(self.chance.between(1..=most.max(1))).unwrap()
    }

    fn hold(&self) -> Option<HoldFor> {
        (!self.chance.one_in(4)).then(|| HoldFor::from_minutes(self.chance.between(1..=2)).unwrap_or(HoldFor::DEFAULT))
    }
}

fn of_stock(stock_id: StockId, command: Command) -> Wish {
    Wish::new(Ask::Stock { stock_id, command, is_fresh: false })
}

fn reason(text: &str) -> Reason {
    Reason::new(text).unwrap()
}

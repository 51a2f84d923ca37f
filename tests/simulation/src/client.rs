//! A client: asks, is told or not, asks again.

use std::sync::Arc;
use std::time::Duration;

use inventory_application::ports::Metadata;
use inventory_application::{Answer, Ask, CommandError, Freshness, Position, Request, Verdict};
use inventory_domain::StockId;
use inventory_domain::inventory::Command;
use tokio::time::{sleep, timeout};

use crate::account::{Attempt, End, Read, end_of};
use crate::chance::Chance;
use crate::node::Node;
use crate::wish::{Wish, Wishes};
use crate::world::{World, lock};

/// How often a client sends the same request, at most.
const TRIES_MAX: u32 = 4;

pub(crate) struct Client {
    pub(crate) world: Arc<World>,
    pub(crate) nodes: Arc<Vec<Node>>,
    pub(crate) chance: Chance,
}

impl Client {
    /// Wants this and that, with pauses.
    pub(crate) async fn run(self) {
        for _ in 0..self.world.plan.steps {
            let pause = if self.chance.one_in(10) { 400 } else { 12 };
            sleep(self.chance.millis(pause)).await;
            match self.chance.between(0..=9) {
                0..=1 => self.read_a_stock().await,
                2 => self.read_a_product().await,
                3 => self.send_a_batch().await,
                _ => self.pursue(self.wish()).await,
            }
        }
    }

    /// Fills every stock.
    pub(crate) async fn fill(&self) {
        for stock_id in self.world.plan.stocks.clone() {
            self.pursue(self.wishes().add(stock_id).keyed(self.chance.id().to_le_bytes())).await;
        }
    }

    fn wishes(&self) -> Wishes<'_> {
        Wishes { chance: &self.chance, stocks: &self.world.plan.stocks, units: self.world.plan.units }
    }

    fn wish(&self) -> Wish {
        let wish = self.wishes().any(&lock(&self.world.known));
        if let Some(key) = wish.key {
            lock(&self.world.known).keys.push(key);
        }
        wish
    }

    /// Sends a request until it is clear what has become of it, if that is possible and the client's patience lasts.
    pub(crate) async fn pursue(&self, wish: Wish) {
        let can_repeat = wish.key.is_some() || wish.is_named();
        let mut end = None;
        for _ in 0..TRIES_MAX {
            let is_twice = can_repeat && self.chance.one_in(8);
            end = if is_twice {
                let (one, other) = tokio::join!(self.send(&wish), self.send(&wish));
                let settled = |end: &Option<End>| matches!(end, Some(End::Granted | End::Refused));
                if settled(&one) { one } else { other }
            } else {
                self.send(&wish).await
            };
            match end {
                Some(End::Granted | End::Refused) => break,
                Some(End::Unknown) if !can_repeat => break,
                Some(End::Unknown | End::NotDone) | None => sleep(self.chance.millis(60)).await,
            }
        }
        // A named request may be the repeat of one of which nobody knows, so it goes on until that is settled.
        if !matches!(end, Some(End::Granted | End::Refused)) && wish.key.is_some() {
            lock(&self.world.known).unsettled.push(wish);
        }
    }

    /// Sends a request once, to whichever node; `None` where that is down.
    async fn send(&self, wish: &Wish) -> Option<End> {
        let node = self.node();
        let (commands, life) = node.commands()?;
        let (number, request) = self.begin(node, life, wish);
        let verdict = if self.chance.one_in(20) && !self.world.is_calm() {
            timeout(self.chance.millis(30), commands.send(request)).await.ok() // It hangs up.
        } else {
            Some(commands.send(request).await)
        };
        Some(self.end(number, verdict))
    }

    async fn send_a_batch(&self) {
        let node = self.node();
        let Some((commands, life)) = node.commands() else { return };
        let wishes: Vec<Wish> = (0..self.chance.between(2..=7)).map(|_| self.wish()).collect();
        let (numbers, requests): (Vec<_>, Vec<_>) = wishes.iter().map(|wish| self.begin(node, life, wish)).unzip();
        let verdicts = match commands.send_all(requests).await {
            Ok(verdicts) => verdicts,
            Err(error) => vec![Err(error); numbers.len()],
        };
        if verdicts.len() != numbers.len() {
            self.world.find(format!("a batch of {} has {} verdicts", numbers.len(), verdicts.len()));
        }
        self.world.count("batches of clients");
        for ((number, verdict), wish) in numbers.into_iter().zip(verdicts).zip(wishes) {
            let end = self.end(number, Some(verdict));
            if wish.key.is_some() && matches!(end, End::Unknown | End::NotDone) {
                self.pursue(wish).await;
            }
        }
    }

    fn begin(&self, node: &Node, life: u64, wish: &Wish) -> (usize, Request) {
        let ask = wish.ask(&self.chance);
        self.learn(&ask);
        let mut attempts = lock(&self.world.attempts);
        let number = attempts.len();
        let metadata = Arc::new(Metadata {
            request_id: Some(number.to_string()),
            idempotency_key: wish.key.map(|key| name_of(key.append_id)),
            ..Metadata::default()
        });
        let (condition, key) = (wish.condition.clone(), wish.key);
        let request = Request { ask: ask.clone(), condition: condition.clone(), key, metadata };
        let sent = self.world.moment();
        attempts.push(Attempt { node: node.number, life, ask, condition, key, sent, answered: None });
        drop(attempts);
        self.world
            .say(|| format!("request {number} to node {}: {:?} {:?}", node.number, request.ask, request.condition));
        self.world.count("requests");
        (number, request)
    }

    fn end(&self, number: usize, verdict: Option<Verdict>) -> End {
        self.world.say(|| format!("request {number}: {verdict:?}"));
        let Some(verdict) = verdict else {
            self.world.count("clients that hung up");
            return End::Unknown;
        };
        let end = end_of(&verdict);
        self.world.count(match end {
            End::Granted => "requests granted",
            End::Refused => "requests refused",
            End::NotDone => "requests not done",
            End::Unknown => "requests of which nobody knows",
        });
        self.world.count(match &verdict {
            Err(CommandError::Contended { .. }) => "requests contended for too often",
            Err(CommandError::Overloaded) => "requests refused by a full queue",
            Err(CommandError::WaitedTooLong) => "requests that waited too long",
            Err(CommandError::PastUnknown) => "requests about an unknown past",
            Err(CommandError::VersionMismatch { .. }) => "conditions not met",
            _ => "other answers",
        });
        let answered = self.world.moment();
        let mut attempts = lock(&self.world.attempts);
        if let (Ok(Answer::Stock(answer)), Some(stock_id)) = (&verdict, attempts[number].ask.stream().stock_id()) {
            let mut known = lock(&self.world.known);
            known.versions.push((stock_id, answer.level.version, answer.position));
            if matches!(attempts[number].ask, Ask::Stock { is_fresh: true, .. }) {
                known.reservations.extend(answer.reservation_id.map(|id| (stock_id, id)));
            }
        }
        if let Ok(Answer::Order(answer)) = &verdict {
            // A line is refused to whoever asks about it alone.
            let lines = answer.order.placed().into_iter().flat_map(|placed| placed.lines.iter().take(1));
            lock(&self.world.known).reservations.extend(lines.map(|line| (line.stock_id, line.reservation_id)));
        }
        attempts[number].answered = Some((answered, verdict));
        end
    }

    /// What is asked for can be asked about, whatever has become of it; but nobody knows an id that was made for a request before that is
    /// answered.
    fn learn(&self, ask: &Ask) {
        let mut known = lock(&self.world.known);
        match ask {
            Ask::Stock { stock_id, command: Command::Reserve(reserve), is_fresh: false } => {
                known.reservations.push((*stock_id, reserve.reservation_id));
            }
            Ask::Order { order_id, .. } => known.orders.push(*order_id),
            Ask::Transfer { transfer_id, .. } => known.transfers.push(*transfer_id),
            _ => (),
        }
    }

    async fn read_a_stock(&self) {
        let stock_id = self.wishes().stock();
        let wanted = match self.chance.between(0..=5) {
            0 => Freshness { is_strong: true, ..Freshness::ANY },
            1 => self
                .told(|known, _, position| (known == stock_id, Freshness { min_position: position, ..Freshness::ANY })),
            2 => {
                self.told(|known, version, _| (known == stock_id, Freshness { min_version: version, ..Freshness::ANY }))
            }
            _ => Freshness::ANY,
        };
        self.read(wanted, &[stock_id]).await;
    }

    /// As fresh as somebody was told that something is.
    fn told(&self, freshness: impl Fn(StockId, u64, Position) -> (bool, Freshness)) -> Freshness {
        let known = lock(&self.world.known);
        let told =
            self.chance.pick_late(&known.versions).map(|(stock_id, version, at)| freshness(*stock_id, *version, *at));
        told.filter(|(fits, _)| *fits).map_or(Freshness::ANY, |(_, wanted)| wanted)
    }

    async fn read_a_product(&self) {
        let product_id = self.wishes().stock().product_id;
        let is_strong = self.chance.one_in(4);
        let all = self.world.plan.stocks.iter().copied().filter(|stock_id| stock_id.product_id == product_id);
        self.read(Freshness { is_strong, ..Freshness::ANY }, &all.collect::<Vec<_>>()).await;
    }

    /// Asks for the level of a stock, or of a product in all its stores.
    pub(crate) async fn read(&self, wanted: Freshness, stocks: &[StockId]) {
        let node = self.node();
        let Some(queries) = node.queries() else { return };
        let sent = self.world.moment();
        let shown = match stocks {
            [stock_id] => queries.level(*stock_id, wanted).await.map(|told| vec![(*stock_id, told.value)]),
            _ => queries.product(stocks[0].product_id, wanted).await.map(|told| {
                let level_of = |stock_id: &StockId| {
                    let found = told.value.iter().find(|(store_id, _)| *store_id == stock_id.store_id);
                    (*stock_id, found.map(|(_, level)| *level))
                };
                stocks.iter().map(level_of).collect()
            }),
        };
        self.world.say(|| format!("read at node {}, sent at {}: {wanted:?} {shown:?}", node.number, sent.happening));
        self.world.count(if shown.is_ok() { "reads answered" } else { "reads refused" });
        let Ok(shown) = shown else { return };
        let answered = self.world.moment();
        lock(&self.world.reads).push(Read { node: node.number, wanted, sent, answered, shown });
    }

    fn node(&self) -> &Node {
        self.chance.pick(&self.nodes).unwrap_or(&self.nodes[0])
    }

    /// Sends what was never settled until it is.
    pub(crate) async fn settle(&self) {
        let unsettled = std::mem::take(&mut lock(&self.world.known).unsettled);
        for wish in unsettled {
            for _ in 0..50 {
                if matches!(self.send(&wish).await, Some(End::Granted | End::Refused)) {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// A key as the events carry it.
pub(crate) fn name_of(append_id: [u8; 16]) -> String {
    format!("{:032x}", u128::from_le_bytes(append_id))
}

//! One run: nodes and clients at work, blows, then peace, then the checks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use inventory_application::Freshness;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::chance::Chance;
use crate::checks;
use crate::client::Client;
use crate::flaw::Flaw;
use crate::history::History;
use crate::node::Node;
use crate::plan::{LATE_MS_MAX, Plan};
use crate::world::{World, lock};

/// How long all that has run out may take to be freed, once nothing fails any more: the longest hold is two minutes, which is two
/// seconds of work.
const PEACE: Duration = Duration::from_millis(4_500);

/// A run that takes as long as this, in simulated time, hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What has come of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed that it follows from.
    pub seed: u64,
    /// What must not be; nothing, as a rule.
    pub findings: Vec<String>,
    /// What happened, in order.
    pub trace: Vec<String>,
    /// A hash of that: two runs of one seed have the same.
    pub trace_hash: u64,
    /// How often what has happened.
    pub counts: BTreeMap<&'static str, u64>,
}

/// Runs what follows from `seed`, with a bug planted or none. Time has to be simulated: on a runtime of one thread whose clock stands
/// still but for when nothing else can go on.
pub async fn simulate(seed: u64, flaw: Option<Flaw>) -> Run {
    let chance = Chance::new(seed);
    let world = World::new(Plan::draw(&chance), flaw, chance.fork());
    world.say(|| format!("{:?}", world.plan));
    let nodes = (0..world.plan.nodes).map(|number| Node::new(Arc::clone(&world), number, chance.fork()));
    let nodes: Arc<Vec<Node>> = Arc::new(nodes.collect());
    if timeout(PATIENCE, live(&world, &nodes, &chance)).await.is_err() {
        world.find("it hangs".to_owned());
    }
    check(&world, &nodes).await;
    let (trace, trace_hash) = world.trace();
    let findings = std::mem::take(&mut *lock(&world.findings));
    Run { seed, findings, trace, trace_hash, counts: world.counts() }
}

async fn live(world: &Arc<World>, nodes: &Arc<Vec<Node>>, chance: &Chance) {
    nodes.iter().for_each(Node::start);
    let client = |chance| Client { world: Arc::clone(world), nodes: Arc::clone(nodes), chance };
    client(chance.fork()).fill().await;
    let clients: Vec<JoinHandle<()>> =
        (0..world.plan.clients).map(|_| tokio::spawn(client(chance.fork()).run())).collect();
    let blows = tokio::spawn(strike(Arc::clone(world), Arc::clone(nodes), chance.fork()));
    for task in clients.into_iter().chain([blows]) {
        if let Err(error) = task.await {
            world.find(format!("a client has panicked: {error}"));
        }
    }
    world.say(|| "peace".to_owned());
    world.calm_down();
    nodes.iter().filter(|node| !node.is_up()).for_each(Node::start);
    sleep(Duration::from_millis(LATE_MS_MAX)).await;
    let last = client(chance.fork());
    last.settle().await;
    if !lock(&world.known).unsettled.is_empty() {
        world.find("a request was never settled, though nothing fails".to_owned());
    }
    sleep(PEACE).await;
    for stock_id in &world.plan.stocks {
        last.read(Freshness { is_strong: true, ..Freshness::ANY }, &[*stock_id]).await;
    }
    let log = world.log().await.unwrap();
    let now = inventory_domain::Timestamp::from_millis(world.wall().millis() - world.plan.skew_ms_max - 60_000);
    checks::log::nothing_is_overdue(&History::of(&log), now, &mut lock(&world.findings));
    for node in &**nodes {
        catch_up(world, node).await;
        node.stop().await;
    }
}

/// Waits until the read models of a node are at the log's end.
async fn catch_up(world: &World, node: &Node) {
    let Some(mut checkpoint) = node.checkpoint() else { return };
    let head = world.head();
    let reached = timeout(Duration::from_secs(10), checkpoint.wait_for(|reached| *reached >= head)).await;
    if reached.is_err() {
        let stopped = node.stopped_projections();
        world.find(format!("the read models of node {} never get to {head}: {stopped:?}", node.number));
    }
}

/// What befalls nodes.
async fn strike(world: Arc<World>, nodes: Arc<Vec<Node>>, chance: Chance) {
    for _ in 0..world.plan.blows {
        sleep(chance.millis(800)).await;
        let Some(node) = chance.pick(&nodes) else { return };
        match chance.between(0..=9) {
            0..=4 => node.crash().await,
            5 => node.stop().await,
            6..=7 => node.cut_off(),
            _ => node.rebuild(),
        }
        if !node.is_up() {
            sleep(chance.millis(250)).await;
            node.start();
        }
    }
}

async fn check(world: &Arc<World>, nodes: &[Node]) {
    let log = world.log().await.unwrap();
    let history = History::of(&log);
    let (attempts, reads) = (lock(&world.attempts).clone(), lock(&world.reads).clone());
    let ended_well: Vec<Vec<u64>> = nodes.iter().map(|node| lock(&node.ended_well).clone()).collect();
    let mut findings = Vec::new();
    checks::log::audit(&log, &mut findings);
    checks::log::conservation(&log, &history, &mut findings);
    checks::log::groups(&history, &attempts, &mut findings);
    let is_sound = findings.is_empty(); // Else what was refused can't be decided anew.
    checks::attempts::check(&history, &attempts, world.plan.skew_ms_max, &ended_well, is_sound, &mut findings);
    checks::reads::check(&history, &attempts, &reads, &mut findings);
    for node in nodes.iter().filter(|node| !node.is_up()) {
        checks::read_models::check(node.number, &node.read_models(), &log, &mut findings);
    }
    log.iter().for_each(|event| world.say(|| format!("{}: {} {:?}", event.position, event.stream, event.event)));
    count_expiries(world, &history);
    findings.into_iter().for_each(|finding| world.find(finding));
}

/// How often what has run out was freed, and by whom.
fn count_expiries(world: &World, history: &History) {
    use inventory_domain::inventory::{Event, ReleaseCause};
    let is_expiry = |event: &inventory_domain::DomainEvent| {
        matches!(
            event,
            inventory_domain::DomainEvent::Inventory(Event::StockReleased { cause: ReleaseCause::Expired, .. })
        )
    };
    for group in &history.groups {
        if group.events.iter().any(|event| is_expiry(&event.event)) {
            let is_by_process = group.events[0].metadata.actor.as_deref() == Some(inventory_application::expiry::ACTOR);
            world.count(match (group.attempt(), is_by_process) {
                (Some(_), _) => "expiries for a request",
                (None, true) => "expiries by the process",
                (None, false) => "orders expired for a request",
            });
        }
        if group.events.iter().any(|event| event.stream.stock_id().is_none()) {
            world.count("groups of orders and transfers");
        }
    }
}

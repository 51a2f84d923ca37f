//! Whatever the queue takes is answered, what is granted is in the log, and what is refused isn't, also while the service stops.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use inventory_application::ports::{CommitListener, EventStore};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{
    AcknowledgedLevels, CommandError, CommandLoop, CommandSender, Position, RecentEvents, Verdict,
};
use inventory_interleavings::{count, explore, find, schedules};
use shuttle::future::block_on;
use support::{add, command_loop, stock};
use tokio::sync::oneshot;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How often a command was granted, found no place, and came too late.
#[derive(Default)]
struct Counts {
    granted: AtomicU64,
    overloaded: AtomicU64,
    too_late: AtomicU64,
}

/// `scripts/interleavings abc` ran the short form, and was content.
#[test]
fn a_count_of_schedules_that_is_none_is_not_taken_for_the_usual_one() {
    assert_eq!(count("20000"), Ok(20_000));
    for text in ["", "0", "-5", "abc", "--list", "10 20"] {
        assert!(count(text).is_err(), "{text}");
    }
}

#[test]
fn what_the_queue_takes_is_answered_and_what_is_refused_is_not_done() {
    let counts = Arc::new(Counts::default());
    let counted = counts.clone();
    explore(schedules(2_000), move || {
        stopped_at_any_time(&counted, |work, stopped| Box::pin(work.run(async move { drop(stopped.await) })));
    });
    for count in [&counts.granted, &counts.overloaded, &counts.too_late] {
        assert!(count.load(Ordering::Relaxed) > 0, "some schedule comes by everything");
    }
}

#[test]
fn a_loop_that_ends_at_once_when_it_is_told_to_is_found() {
    let at_once = |work: CommandLoop, stopped| -> Work {
        Box::pin(async move {
            tokio::select! {
                biased;
                _ = stopped => (),
                () = work.run(pending()) => (),
            }
        })
    };
    let found = find(5_000, move || stopped_at_any_time(&Arc::default(), at_once));
    assert!(found.unwrap().contains("was left without an answer"));
}

/// Clients on a queue with three places, and somebody who stops the loop.
fn stopped_at_any_time(counts: &Arc<Counts>, run: impl Fn(CommandLoop, oneshot::Receiver<()>) -> Work) {
    let store = Arc::new(InMemoryEventStore::exclusive());
    let listener: Arc<dyn CommitListener> = Arc::new(RecentEvents::new(store.clone(), 10));
    let acknowledged = Arc::new(AcknowledgedLevels::new(10, Position::START));
    let (commands, command_loop) = command_loop(&store, listener, acknowledged, |settings| {
        (settings.queue_commands_max, settings.batch_commands_max) = (3, 2);
    });
    let (stop, stopped) = oneshot::channel();
    let (working, counts) = (run(command_loop, stopped), Arc::clone(counts));
    block_on(async move {
        let working = tokio::spawn(working);
        let clients: Vec<_> = (0..3).map(|number| tokio::spawn(client(number, commands.clone()))).collect();
        let stopping = tokio::spawn(async move { stop.send(()).ok() });
        for client in clients {
            let (number, verdicts) = client.await.unwrap();
            let granted = verdicts.iter().filter(|verdict| is_granted(number, verdict, &counts)).count() as u64;
            let written = store.load(vec![stock(number).into()]).await.unwrap()[0].version;
            assert_eq!(written, granted, "events of stock {number}, of {verdicts:?}");
        }
        stopping.await.unwrap();
        working.await.unwrap();
        assert_eq!(commands.queue_depth(), 0, "every place is free again");
        let late = commands.send(add(9)).await;
        assert!(matches!(late, Err(CommandError::ShuttingDown)), "{late:?}");
    });
}

/// Two single commands or a batch of two, on a stock of its own.
async fn client(number: u64, commands: CommandSender) -> (u64, Vec<Verdict>) {
    if number == 0 {
        let all = commands.send_all(vec![add(number), add(number)]).await;
        return (number, all.unwrap_or_else(|error| vec![Err(error)]));
    }
    let first = commands.send(add(number)).await;
    (number, vec![first, commands.send(add(number)).await])
}

fn is_granted(number: u64, verdict: &Verdict, counts: &Counts) -> bool {
    let count = match verdict {
        Ok(_) => &counts.granted,
        Err(CommandError::Overloaded) => &counts.overloaded,
        Err(CommandError::ShuttingDown) => &counts.too_late,
        Err(CommandError::Abandoned) => panic!("a command on stock {number} was left without an answer"),
        Err(other) => panic!("nothing else goes wrong here: {other}"),
    };
    count.fetch_add(1, Ordering::Relaxed);
    verdict.is_ok()
}

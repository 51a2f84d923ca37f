//! Real baskets: as a load of orders, and by `inventory replay`.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use inventory_benches::baskets::Baskets;
use inventory_benches::program::Kind;
use inventory_benches::results::Better;

use crate::bench::{Bench, subject};
use crate::scenario::CustomLoad;

const CONNECTIONS: usize = 64;

pub(crate) fn run(bench: &mut Bench<'_>, file: &Path, stores: &[&'static str]) -> Result<(), Box<dyn Error>> {
    let baskets = Baskets::read(file)?;
    let count = baskets.orders.count();
    let load = CustomLoad::new("baskets", CONNECTIONS, baskets.orders, baskets.stock_up);
    for store in stores {
        load.run(bench, store)?;
        for round in 1..=bench.rounds() {
            eprintln!("baskets, {store}, replay, round {round} of {}", bench.rounds());
            let service = bench.start(Kind::Service { store })?;
            let start = Instant::now();
            let url = format!("http://{}", service.address());
            let replay = Command::new(bench.binaries.join("inventory"))
                .arg("replay")
                .arg(file)
                .args(["--orders", "--url", &url])
                .output()?;
            let took = start.elapsed().as_secs_f64();
            if !replay.status.success() {
                return Err(format!("the replay has failed: {}", String::from_utf8_lossy(&replay.stderr)).into());
            }
            Bench::stop(service)?;
            let replayed = subject("baskets", store, "service", "replay");
            bench.add(&replayed, "replay", "s", Better::Lower, took);
            #[allow(clippy::cast_precision_loss, reason = "baskets of a file")]
            bench.add(&replayed, "baskets", "1/s", Better::Higher, count as f64 / took);
        }
    }
    Ok(())
}

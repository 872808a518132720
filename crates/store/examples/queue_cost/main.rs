//! What a queue costs over the bare statements: taking jobs in, giving them out and ending them, each synced, by one caller and by four at once; and
//! how long one waits for a job where 100,000 are queued. In SQLite, and in PostgreSQL where it is installed.
//!
//! `cargo run --release -p jobwright-store --example queue_cost [ROUNDS]`, or `cargo xtask bench --only queue`, which reads what this prints: a line
//! for each figure, its columns parted by tabs: what, measured, floor (or `-`), limit, in nanoseconds.

mod bare;
/// A server of the example's own, as the tests have it.
#[path = "../../tests/suite/server.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "as the tests have it")]
mod server;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jobwright_model::{AttemptEnd, NewJob, QueueName, QueueRules, Speaker};
use jobwright_store::{Ask, PostgresStore, QueueStore, SqliteStore};
use serde_json::json;
use tokio::task::JoinSet;

use self::bare::Bare;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;
type Store = Arc<dyn QueueStore>;

/// So many operations are one measurement.
const OPERATIONS: usize = 200;
/// So many jobs are queued while one waits for one of them.
const QUEUED: usize = 100_000;
/// So often that is measured.
const WAITS: usize = 2_000;

/// The promises: at most twice the time of the bare statements, half the time with four callers, a wait of 5 ms.
const OVER_BARE: f64 = 2.0;
const FOUR_OVER_ONE: f64 = 0.5;
const WAIT: Duration = Duration::from_millis(5);

#[tokio::main]
async fn main() -> Outcome<()> {
    let rounds = std::env::args().nth(1).map_or(Ok(11), |text| text.parse())?;
    let folder = beside_the_build()?;
    let file = folder.join("queues.db");
    let store: Store = Arc::new(SqliteStore::open(&file)?);
    measure("SQLite", store, Bare::file(&file)?, rounds).await?;
    fs::remove_dir_all(&folder)?;
    let Ok(server) = server::Server::start().inspect_err(|why| eprintln!("SKIPPED: PostgreSQL: {why}"))
    else {
        return Ok(());
    };
    let url = server.url("postgres");
    let store: Store = Arc::new(PostgresStore::connect(&url).await?);
    measure("PostgreSQL", store, Bare::server(&url).await?, rounds).await
}

/// A temporary directory may be memory, where a sync costs nothing.
fn beside_the_build() -> Outcome<PathBuf> {
    let program = std::env::current_exe()?;
    let release =
        program.parent().and_then(Path::parent).ok_or("the example lies in target/release/examples")?;
    let folder = release.join("queue-cost");
    let _ = fs::remove_dir_all(&folder);
    Ok(folder)
}

/// What is done to jobs, in the order in which it can be done.
const STEPS: [&str; 3] = ["taking a job in", "giving a job out", "ending a job"];

/// The times of the three steps, [`OPERATIONS`] of each.
type Times = [Duration; 3];

async fn measure(name: &str, store: Store, mut bare: Bare, rounds: usize) -> Outcome<()> {
    for queue in ["bare", "ours"] {
        store.create_queue(&QueueName::new(queue)?, &QueueRules::default()).await?;
    }
    let mut all: [Vec<Times>; 3] = Default::default();
    // The first round warms up.
    for round in 0..=rounds {
        let times = [bare_round(&mut bare).await?, round_of(&store, 1).await?, round_of(&store, 4).await?];
        if round > 0 {
            all.iter_mut().zip(times).for_each(|(all, times)| all.push(times));
        }
    }
    let median = |side: usize, step: usize| {
        let mut times: Vec<_> = all[side].iter().map(|times| times[step]).collect();
        times.sort();
        times[times.len() / 2] / OPERATIONS as u32
    };
    for (step, what) in STEPS.into_iter().enumerate() {
        let [bare, one, four] = [0, 1, 2].map(|side| median(side, step));
        print(&format!("{name}: {what}, over bare"), one, Some(bare), bare.mul_f64(OVER_BARE));
        print(&format!("{name}: {what}, 4 at once over 1"), four, Some(one), one.mul_f64(FOUR_OVER_ONE));
    }
    waits(name, &store).await
}

fn print(what: &str, measured: Duration, floor: Option<Duration>, limit: Duration) {
    let floor = floor.map_or_else(|| "-".to_owned(), |floor| floor.as_nanos().to_string());
    println!("{what}\t{}\t{floor}\t{}", measured.as_nanos(), limit.as_nanos());
}

async fn bare_round(bare: &mut Bare) -> Outcome<Times> {
    let begun = Instant::now();
    for _ in 0..OPERATIONS {
        bare.push().await?;
    }
    let pushed = begun.elapsed();
    let mut attempts = Vec::new();
    for _ in 0..OPERATIONS {
        attempts.push(bare.dequeue().await?);
    }
    let given = begun.elapsed();
    for (job, attempt) in attempts {
        bare.complete(job, attempt).await?;
    }
    Ok([pushed, given - pushed, begun.elapsed() - given])
}

/// The same through the store, by so many callers at once.
async fn round_of(store: &Store, callers: usize) -> Outcome<Times> {
    let mut times = [Duration::ZERO; 3];
    let mut leases: Vec<Vec<Speaker>> = vec![Vec::new(); callers];
    for (step, time) in times.iter_mut().enumerate() {
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for held in leases.drain(..) {
            tasks.spawn(steps(Arc::clone(store), step, OPERATIONS / callers, held));
        }
        for task in tasks.join_all().await {
            leases.push(task?);
        }
        *time = begun.elapsed();
    }
    Ok(times)
}

/// One caller's part of a step. Gives what it holds then.
async fn steps(store: Store, step: usize, times: usize, held: Vec<Speaker>) -> Outcome<Vec<Speaker>> {
    let queue = QueueName::new("ours")?;
    let ask = Ask { queues: vec![queue.clone()], holder: "agent".to_owned(), token: None };
    let mut holds = Vec::new();
    let mut held = held.into_iter();
    for _ in 0..times {
        match step {
            0 => drop(store.push(vec![NewJob::new(queue.clone(), json!({"n": 1}))], Timestamp::now()).await?),
            1 => {
                let lease = store.dequeue(&ask, Timestamp::now()).await?.ok_or("there is a job for each")?;
                holds.push(Speaker::Attempt(lease.token));
            }
            _ => {
                let speaker = held.next().ok_or("each holds as many as it ends")?;
                store.finish(&speaker, &AttemptEnd::Completed, Timestamp::now()).await?;
            }
        }
    }
    Ok(holds)
}

/// How long one waits for a job of many tenants' many jobs.
async fn waits(name: &str, store: &Store) -> Outcome<()> {
    let queue = QueueName::new("many")?;
    store.create_queue(&queue, &QueueRules::default()).await?;
    for part in 0..QUEUED / 1000 {
        let job = |number| NewJob {
            tenant: format!("tenant {}", number % 50),
            priority: number % 3,
            ..NewJob::new(queue.clone(), json!({"part": part, "number": number}))
        };
        store.push((0..1000).map(job).collect(), Timestamp::now()).await?;
    }
    let ask = Ask { queues: vec![queue], holder: "agent".to_owned(), token: None };
    let mut waits = Vec::new();
    for _ in 0..WAITS {
        let begun = Instant::now();
        store.dequeue(&ask, Timestamp::now()).await?.ok_or("many are queued")?;
        waits.push(begun.elapsed());
    }
    waits.sort();
    for (percent, limit) in [(50, WAIT), (99, WAIT)] {
        let wait = waits[WAITS * percent / 100];
        print(&format!("{name}: a job of 100,000, p{percent}"), wait, None, limit);
    }
    Ok(())
}

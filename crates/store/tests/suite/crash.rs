//! What is left when somebody is killed: a process with its file, a server with its database. What was acknowledged is there, and nothing is given
//! out twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jobwright_model::{AttemptEnd, JobRef, QueueRules, QueuedState};
use jobwright_store::{Error, Filter, PostgresStore, SqliteStore};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::fixture::*;
use crate::server::Server;

/// The file that a process works on which is there to be killed.
const FILE: &str = "JOBWRIGHT_TEST_STORE_FILE";

/// What was acknowledged: which jobs were pushed, and which attempts were given to whom.
#[derive(Debug, Default)]
struct Acknowledged {
    pushed: BTreeSet<i64>,
    given: BTreeMap<(i64, u32), String>,
}

impl Acknowledged {
    fn give(&mut self, job: i64, attempt: u32, to: &str) {
        let before = self.given.insert((job, attempt), to.to_owned());
        assert_eq!(before, None, "attempt {attempt} at job {job} was given to {to} as well");
    }

    /// Everything that was said is so.
    async fn check(&self, store: &Store) {
        let mut page = Filter { queue: Some(queue("q")), ..Filter::default() };
        let mut kept = BTreeMap::new();
        loop {
            let jobs = store.jobs(&page).await.unwrap();
            let Some(last) = jobs.last() else { break };
            page.after = Some(last.job.clone());
            kept.extend(jobs.into_iter().map(|job| (job.job.id, job)));
        }
        let lost: Vec<_> = self.pushed.iter().filter(|id| !kept.contains_key(id)).collect();
        assert!(lost.is_empty(), "jobs {lost:?} were pushed and are not there");
        for ((id, attempt), holder) in &self.given {
            let job = &kept[id];
            assert_eq!((job.attempt, job.holder.as_ref()), (*attempt, Some(holder)), "job {id}");
            assert_eq!(job.state, QueuedState::Processing, "job {id}");
            let finished =
                store.finish(&named(holder, &job.job), &AttemptEnd::Completed, at(9)).await.unwrap();
            assert_eq!(finished, jobwright_store::Finished::Now(QueuedState::Completed));
        }
    }
}

/// Not a test by itself: pushes and takes, and says what was done, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_until_it_is_killed() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let store: Store = Arc::new(SqliteStore::open(Path::new(&file)).unwrap());
    let name = std::process::id().to_string();
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let (store, name) = (store.clone(), name.clone());
        workers.spawn(async move {
            loop {
                let jobs = store.push(vec![new_job("", "x"); 2], at(0)).await.unwrap();
                let lease = store.dequeue(&ask(&name), at(0)).await.unwrap().unwrap();
                let numbers: Vec<_> = jobs.iter().map(|job| job.id.to_string()).collect();
                println!("\n@ {} {} {}", lease.token.job.id, lease.token.attempt, numbers.join(" "));
            }
        });
    }
    workers.join_next().await;
}

/// A process of that kind, and its words.
fn worker(file: &Path) -> Child {
    let mut worker = Command::new(std::env::current_exe().unwrap());
    worker.args(["--exact", "crash::works_until_it_is_killed", "--nocapture"]).env(FILE, file);
    worker.stdout(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_processes_leave_their_file_as_they_said() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("queues.db");
    let store: Store = Arc::new(SqliteStore::open(&file).unwrap());
    store.create_queue(&queue("q"), &QueueRules::default()).await.unwrap();
    let mut acknowledged = Acknowledged::default();
    for _ in 0..3 {
        let mut workers = [worker(&file), worker(&file)];
        let mut words = Vec::new();
        for worker in &mut workers {
            let mut lines = BufReader::new(worker.stdout.take().unwrap()).lines().map_while(Result::ok);
            // Both are at work before the first is killed.
            words.extend(lines.by_ref().find(|line| line.starts_with('@')).map(|line| (worker.id(), line)));
            words.extend(lines.by_ref().take(40).map(|line| (worker.id(), line)));
            worker.kill().unwrap();
            words.extend(lines.map(|line| (worker.id(), line)));
            worker.wait().unwrap();
        }
        for (worker, line) in words.iter().filter(|(_, line)| line.starts_with('@')) {
            let numbers: Vec<i64> =
                line[1..].split_whitespace().map_while(|word| word.parse().ok()).collect();
            // The last word of a killed process may be half a word.
            let [job, attempt, pushed @ ..] = &numbers[..] else { continue };
            if let [_, _] = pushed {
                acknowledged.give(*job, u32::try_from(*attempt).unwrap(), &worker.to_string());
                acknowledged.pushed.extend(&pushed[..1]);
            }
        }
    }
    assert!(acknowledged.given.len() > 50, "{}", acknowledged.given.len());
    acknowledged.check(&store).await;
}

/// A server of its own, as it is killed; none where there is none.
fn server() -> Option<Server> {
    Server::start().map_err(|why| eprintln!("SKIPPED: a restart of PostgreSQL: {why}")).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_is_said_to_be_gone_and_used_again_when_it_is_back() {
    let Some(mut server) = server() else { return };
    let store: Store = Arc::new(PostgresStore::connect(&server.url("postgres")).await.unwrap());
    store.create_queue(&queue("q"), &QueueRules::default()).await.unwrap();
    let job = push_one(&store, "a").await;
    server.kill();
    let gone = |error: Error| assert!(matches!(error, Error::Gone(_)), "{error}");
    gone(store.dequeue(&ask("agent"), at(0)).await.unwrap_err());
    gone(store.job(&job).await.unwrap_err());
    gone(store.push(vec![new_job("", "b")], at(0)).await.unwrap_err());
    gone(PostgresStore::connect(&server.url("postgres")).await.err().unwrap());
    server.start_again();
    assert_eq!(take(&store).await.job.job, job);
    assert_eq!(store.job(&job).await.unwrap().unwrap().state, QueuedState::Processing);
    // Changes of others are heard of again.
    let other: Store = Arc::new(PostgresStore::connect(&server.url("postgres")).await.unwrap());
    let mut changes = store.changes();
    tokio::time::timeout(seconds(60), async {
        loop {
            changes.borrow_and_update();
            if push_one(&other, "c").await.id > 4 {
                return changes.changed().await.unwrap();
            }
        }
    })
    .await
    .expect("what another instance does is told");
}

/// Pushes and takes until it was told `enough`; the database may go away meanwhile.
async fn work(store: Store, name: String, done: Arc<AtomicUsize>, enough: usize) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    while done.fetch_add(1, Ordering::Relaxed) < enough {
        match store.push(vec![new_job("", "x"); 2], at(0)).await {
            Ok(jobs) => acknowledged.pushed.extend(jobs.iter().map(|job: &JobRef| job.id)),
            Err(error) => assert!(matches!(error, Error::Gone(_)), "{error}"),
        }
        match store.dequeue(&ask(&name), at(0)).await {
            Ok(lease) => {
                let token = lease.unwrap().token;
                acknowledged.give(token.job.id, token.attempt, &name);
            }
            Err(error) => assert!(matches!(error, Error::Gone(_)), "{error}"),
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_under_load_keeps_what_it_acknowledged() {
    let Some(mut server) = server() else { return };
    let url = server.url("postgres");
    let stores = [PostgresStore::connect(&url).await.unwrap(), PostgresStore::connect(&url).await.unwrap()];
    let stores = stores.map(|store| Arc::new(store) as Store);
    stores[0].create_queue(&queue("q"), &QueueRules::default()).await.unwrap();
    stores[0].push(vec![new_job("", "x"); 500], at(0)).await.unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..3 {
        let done = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for number in 0..8_usize {
            let (store, name) = (stores[number % 2].clone(), format!("agent-{round}-{number}"));
            workers.spawn(work(store, name, Arc::clone(&done), 400));
        }
        while done.load(Ordering::Relaxed) < 100 {
            tokio::task::yield_now().await;
        }
        tokio::task::block_in_place(|| server.kill());
        for mine in workers.join_all().await {
            acknowledged.pushed.extend(mine.pushed);
            mine.given.into_iter().for_each(|((job, attempt), to)| acknowledged.give(job, attempt, &to));
        }
        tokio::task::block_in_place(|| server.start_again());
    }
    assert!(acknowledged.given.len() > 100, "{}", acknowledged.given.len());
    acknowledged.check(&stores[0]).await;
}

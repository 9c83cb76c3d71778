//! Stages of a connection, each on threads of its own.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet};

use super::connection::Connection;
use crate::store::Lane;
use crate::threads::{BULK_PRIORITY, HANDSHAKE_PRIORITY, ThreadLimits, Threads};

/// Threads that read the store for handshakes: as many as the pool of that purpose has readers, and one to spare.
const BLOCKING_THREADS: usize = 5;

/// The threads of the stages of a connection: accepted until its first message is complete and its turn has come, proved, then
/// served.
#[derive(Debug)]
pub struct IngestThreads {
    accept: Threads,
    handshakes: Threads,
    bulk: Threads,
}

impl IngestThreads {
    /// Starts them. The one thread that accepts does no cryptography and reads no store: it empties the queue of the kernel without
    /// waiting for the other stages, and what strangers cost there comes behind the acknowledgements.
    ///
    /// # Errors
    /// Errors of starting a thread.
    pub fn start() -> io::Result<Self> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 4);
        let accept = ThreadLimits { name: "accept", workers: 1, blocking: 1, niceness: 0 };
        let (blocking, niceness) = (BLOCKING_THREADS, HANDSHAKE_PRIORITY);
        let handshakes = ThreadLimits { name: "handshake", workers, blocking, niceness };
        let bulk = ThreadLimits { name: "bulk", workers, blocking: 1, niceness: BULK_PRIORITY };
        Ok(Self {
            accept: Threads::start(accept)?,
            handshakes: Threads::start(handshakes)?,
            bulk: Threads::start(bulk)?,
        })
    }

    /// The runtimes of all stages but the first. Sessions that send little run on the runtime of the caller.
    pub(super) fn stages(&self) -> io::Result<Stages> {
        let stopped = || io::Error::other("the threads have stopped");
        let on = |threads: &Threads| threads.handle().ok_or_else(stopped).map(Stage::on);
        let (handshakes, bulk) = (on(&self.handshakes)?, on(&self.bulk)?);
        Ok(Stages { handshakes, prompt: Stage::on(Handle::current()), bulk })
    }

    /// Runs `work` with the thread that accepts as the present runtime.
    pub(super) fn enter_accept<T>(&self, work: impl FnOnce() -> T) -> T {
        self.accept.enter(work)
    }
}

/// The runtimes on which connections go on after their first message. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Stages {
    handshakes: Stage,
    /// Sessions that send little.
    prompt: Stage,
    /// Sessions that send much.
    bulk: Stage,
}

/// Tasks on one runtime.
#[derive(Clone, Debug)]
struct Stage {
    runtime: Handle,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Stages {
    /// Continues with a connection whose first message may be decrypted now.
    pub(super) fn prove(&self, connection: Box<Connection>) {
        let stages = self.clone();
        self.handshakes.spawn(async move {
            if let Some(established) = connection.prove().await {
                stages.serve(established);
            }
        });
    }

    /// Continues with an established session on the threads of the lane that it needs.
    pub(super) fn serve(&self, connection: Box<Connection>) {
        let stages = self.clone();
        let stage = match connection.lane() {
            Lane::Prompt => &self.prompt,
            Lane::Bulk | Lane::Background => &self.bulk,
        };
        stage.spawn(async move {
            if let Some(other_lane) = connection.run().await {
                stages.serve(other_lane);
            }
        });
    }

    const fn all(&self) -> [&Stage; 3] {
        [&self.handshakes, &self.prompt, &self.bulk]
    }

    /// Spawns work that is not of a connection beside the handshakes.
    pub(super) fn spawn_aside(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handshakes.runtime.spawn(work).abort_handle()
    }

    /// Frees the memory of finished tasks.
    pub(super) fn reap(&self) {
        for stage in self.all() {
            let mut tasks = stage.lock();
            while tasks.try_join_next().is_some() {}
        }
    }

    /// Waits until no connection is left. A task may begin one of another stage before it ends.
    pub(super) async fn join(&self) {
        while let Some(stage) = self.all().into_iter().find(|stage| !stage.lock().is_empty()) {
            let mut tasks = std::mem::take(&mut *stage.lock());
            while tasks.join_next().await.is_some() {}
        }
    }

    /// Closes the connections that are left.
    pub(super) fn abort(&self) {
        for stage in self.all() {
            drop(std::mem::take(&mut *stage.lock()));
        }
    }
}

impl Stage {
    fn on(runtime: Handle) -> Self {
        Self { runtime, tasks: Arc::default() }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.lock();
        while tasks.try_join_next().is_some() {} // frees the memory of finished tasks
        tasks.spawn_on(task, &self.runtime);
    }

    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

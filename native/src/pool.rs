//! A bounded pool of threads that wait for work beside the caller's own.
//!
//! Leaves to others: that nothing depends on work which was handed over. It is done some time or never.
//!
//! Invariants:
//! 1. Work for helper `n` is done by the same thread each time, so that data which it comes back to is in its cache.
//! 2. After a fork the threads are the parent's; the child makes its own. No lock that a fork can leave held is waited for.

use std::collections::VecDeque;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// LIMIT: threads that work at once for one caller, who is one of them, whatever is asked for and the machine has.
pub const THREADS_MAX: usize = 16;
/// LIMIT: how long a thread looks for what it waits for before it sleeps. To wake a sleeping processor of a virtual
/// machine takes tens of microseconds, which is as long as sealing some hundred KiB.
const AWAKE_MAX: Duration = Duration::from_micros(100);
/// LIMIT: how long it keeps the processor to itself meanwhile: the next call of a loop in Python comes within that.
const ALONE_MAX: Duration = Duration::from_micros(20);
/// LIMIT: calls that wait for one helper; what comes then is left to who called.
const WAITING_MAX: usize = 64;

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    works: Mutex<VecDeque<Work>>,
    any: AtomicBool,
}

impl Queue {
    fn put(&self, work: Work) {
        let mut works = self.works();
        if works.len() < WAITING_MAX {
            works.push_back(work);
            self.any.store(true, Ordering::Release);
        }
    }

    fn take(&self) -> Option<Work> {
        let mut works = self.works();
        let taken = works.pop_front();
        self.any.store(!works.is_empty(), Ordering::Release);
        taken
    }

    fn serve(&self) {
        loop {
            wait_until(|| self.any.load(Ordering::Acquire));
            while let Some(work) = self.take() {
                let _ = catch_unwind(AssertUnwindSafe(work)); // who handed it over notices by what is missing
            }
        }
    }

    fn works(&self) -> MutexGuard<'_, VecDeque<Work>> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Helper {
    queue: Arc<Queue>,
    thread: Thread,
}

impl Helper {
    fn start() -> Option<Self> {
        let queue = Arc::new(Queue::default());
        let served = queue.clone();
        let started = thread::Builder::new().name("keystore-helper".into()).spawn(move || served.serve()).ok()?;
        Some(Self { queue, thread: started.thread().clone() })
    }
}

struct Pool {
    process: u32,
    helpers_max: usize,
    helpers: Vec<Helper>,
}

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

/// Have helper `number` do this, some time or never.
pub fn begin(number: usize, work: Work) {
    let Ok(mut known) = POOL.try_lock() else { return }; // never waits: held at a fork, it stays held in the child
    let process = std::process::id();
    if known.as_ref().is_none_or(|pool| pool.process != process) {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let helpers_max = processors.saturating_sub(1).clamp(1, THREADS_MAX - 1);
        std::mem::forget(known.replace(Pool { process, helpers_max, helpers: Vec::new() }));
        // the parent's, if any
    }
    let Some(pool) = known.as_mut().filter(|pool| number < pool.helpers_max) else { return };
    while pool.helpers.len() <= number {
        let Some(helper) = Helper::start() else { return };
        pool.helpers.push(helper);
    }
    let helper = &pool.helpers[number];
    helper.queue.put(work);
    helper.thread.unpark(); // no system call while it is awake
}

/// Return once `done` is true; who makes it so unparks this thread.
pub fn wait_until(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        match start.elapsed() {
            waited if waited > AWAKE_MAX => thread::park(),
            waited if waited > ALONE_MAX => thread::yield_now(), // who is waited for may wait for this very processor
            _ => std::hint::spin_loop(),
        }
    }
}

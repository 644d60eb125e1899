//! Divides a batch over a bounded pool of threads.

use std::sync::{Arc, Mutex};

use aws_lc_rs::aead::LessSafeKey;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::pages::{self, Batch, TAG_BYTES};

/// LIMIT: threads of the pool, however many are asked for and whatever the machine has.
pub const THREADS_MAX: usize = 16;
/// LIMIT: bytes below which a batch stays on the caller's thread; handing work over costs some microseconds.
const BYTES_MIN: usize = 64 << 10;

/// The pool, and the process it belongs to: after a fork its threads are the parent's, so the child makes its own.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

pub fn seal(key: &LessSafeKey, batch: &Batch<'_>, out: &mut [u8], tags: &mut [u8], threads: usize) {
    let Some((pool, part)) = divide(batch, threads) else {
        return pages::seal(key, batch, out, tags);
    };
    pool.scope(|scope| {
        let (mut rest, mut out, mut tags) = (*batch, out, tags);
        while rest.count() > 0 {
            let taken = part.min(rest.count());
            let (batch, more) = rest.split(taken);
            let (sealed, more_out) = out.split_at_mut(taken * batch.page_size);
            let (tag, more_tags) = tags.split_at_mut(taken * TAG_BYTES);
            scope.spawn(move |_| pages::seal(key, &batch, sealed, tag));
            (rest, out, tags) = (more, more_out, more_tags);
        }
    });
}

pub fn open(key: &LessSafeKey, batch: &Batch<'_>, tags: &[u8], out: &mut [u8], threads: usize) -> Option<usize> {
    let Some((pool, part)) = divide(batch, threads) else {
        return pages::open(key, batch, tags, out);
    };
    let mut failed = vec![None; batch.count().div_ceil(part)];
    pool.scope(|scope| {
        let (mut rest, mut opened, mut tags) = (*batch, &mut *out, tags);
        for found in &mut failed {
            let taken = part.min(rest.count());
            let (batch, more) = rest.split(taken);
            let (target, more_out) = opened.split_at_mut(taken * batch.page_size);
            let (tag, more_tags) = tags.split_at(taken * TAG_BYTES);
            scope.spawn(move |_| *found = pages::open(key, &batch, tag, target));
            (rest, opened, tags) = (more, more_out, more_tags);
        }
    });
    let first = failed.iter().enumerate().find_map(|(at, found)| found.map(|index| at * part + index))?;
    out[first * batch.page_size..].fill(0);
    Some(first)
}

/// Have a thread of the pool do this, some time or never.
pub fn spawn(work: impl FnOnce() + Send + 'static) {
    if let Some(pool) = pool() {
        pool.spawn(work);
    }
}

/// The pool and the pages of one part, if the batch is to be divided.
fn divide(batch: &Batch<'_>, threads: usize) -> Option<(Arc<ThreadPool>, usize)> {
    let parts = threads.min(THREADS_MAX).min(batch.count() * batch.page_size / BYTES_MIN).min(batch.count());
    if parts < 2 {
        return None;
    }
    Some((pool()?, batch.count().div_ceil(parts)))
}

fn pool() -> Option<Arc<ThreadPool>> {
    let mut known = POOL.try_lock().ok()?; // never waits: a lock that was held at a fork stays held in the child
    let process = std::process::id();
    if let Some((owner, pool)) = &*known {
        if *owner == process {
            return Some(pool.clone());
        }
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(threads).build().ok()?);
    if let Some(parents) = known.replace((process, pool.clone())) {
        std::mem::forget(parents); // its threads do not exist here; waiting for them would never end
    }
    Some(pool)
}

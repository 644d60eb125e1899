//! Work on borrowed memory that helpers of the pool take part in, if they come in time.
//!
//! Invariant: what is borrowed is touched by helpers only inside the gate, and `together` returns only when the gate is
//! closed and nobody is inside. Who comes later finds it closed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};

use crate::pool;

const CLOSED: usize = 1 << (usize::BITS - 1);

/// Do `work` on all `pieces`, on so many threads, one of them this.
///
/// Each thread begins with a share of its own, the same for the same number of pieces, so that data which stays in
/// place stays in its cache. Who is done takes from the ends of the others' shares.
pub fn share<T: Send>(pieces: Vec<T>, threads: usize, work: impl Fn(usize, T) + Sync) {
    let count = pieces.len();
    let pieces: Vec<Mutex<Option<T>>> = pieces.into_iter().map(|piece| Mutex::new(Some(piece))).collect();
    together(threads, &|thread: usize| {
        let (start, end) = (thread * count / threads, (thread + 1) * count / threads);
        for index in (start..end).chain((end..count).rev()).chain((0..start).rev()) {
            let taken = pieces[index].lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(piece) = taken {
                work(index, piece);
            }
        }
    });
}

/// Call `work(0)` here, and `work(1)` and so on on those helpers that come before it is done.
fn together<F: Fn(usize) + Sync>(threads: usize, work: &F) {
    let gate = Arc::new(Gate { state: AtomicUsize::new(0), owner: thread::current(), failed: AtomicBool::new(false) });
    let closing = Closing(&gate);
    for number in 1..threads {
        let (gate, lent) = (gate.clone(), Lent::new(work));
        pool::begin(
            number - 1,
            Box::new(move || {
                if let Some(_inside) = Inside::enter(&gate) {
                    // SAFETY: `work` is borrowed until `closing` was dropped, also when this function unwinds; that
                    // waits for all that are inside.
                    unsafe { lent.call(number) };
                }
            }),
        );
    }
    work(0);
    drop(closing);
    assert!(!gate.failed.load(Ordering::Acquire), "a helper failed");
}

/// What is borrowed, without saying for how long.
struct Lent {
    work: *const (),
    call: unsafe fn(*const (), usize),
}

// SAFETY: a pointer to what threads may share, as `new` asks for.
unsafe impl Send for Lent {}

impl Lent {
    fn new<F: Fn(usize) + Sync>(work: &F) -> Self {
        // SAFETY: `call` passes the pointer on that stands beside it, to an `F`, while that is borrowed.
        Self { work: (work as *const F).cast(), call: |work, number| unsafe { (*work.cast::<F>())(number) } }
    }

    /// # Safety
    /// What `new` was given is still borrowed, and stays so until this returns.
    unsafe fn call(&self, number: usize) {
        // SAFETY: as the caller says.
        unsafe { (self.call)(self.work, number) }
    }
}

struct Gate {
    /// How many are inside, and whether it is closed.
    state: AtomicUsize,
    owner: Thread,
    failed: AtomicBool,
}

struct Inside<'a>(&'a Gate);

impl<'a> Inside<'a> {
    fn enter(gate: &'a Gate) -> Option<Self> {
        let before = gate.state.fetch_add(1, Ordering::AcqRel);
        let inside = Self(gate);
        (before & CLOSED == 0).then_some(inside)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, Ordering::Release);
        }
        if self.0.state.fetch_sub(1, Ordering::AcqRel) == CLOSED + 1 {
            self.0.owner.unpark();
        }
    }
}

struct Closing<'a>(&'a Gate);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.state.fetch_or(CLOSED, Ordering::AcqRel);
        pool::wait_until(|| self.0.state.load(Ordering::Acquire) == CLOSED);
    }
}

//! A batch of pages under way: who waits for it works on it too, and threads of the pool may have begun before.
//!
//! Invariants:
//! 1. A piece is taken by one thread, in ascending order, and is worked on to its end. So where the lowest piece that
//!    failed begins, all before it is done.
//! 2. Once `finish` returned nobody touches the output, nor ever will.
//! 3. A piece that was taken is put back, also where work on it panics: `finish` waits for all that were taken.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::pool;
use crate::slots::{Fault, Page, Sessions, Slots};

/// LIMIT: bytes that are read before they are opened: they stay in the second-level cache of a core meanwhile.
const PIECE_BYTES: usize = 256 << 10;

/// A page that could not be opened.
pub struct Failure {
    pub place: usize,
    pub fault: Fault,
    /// All pages before this place are done.
    pub done: usize,
}

/// Memory of Python that the job was lent, by its first byte.
struct Output(*mut u8);

// SAFETY: the pointer is used for pieces that do not overlap, each by the one thread that took it.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

#[derive(Default)]
struct Progress {
    taken: usize,
    working: usize,
    stopped: bool,
    failure: Option<Failure>,
}

pub struct Job {
    slots: Arc<Slots>,
    pages: Vec<Page>,
    sessions: Sessions,
    output: Output,
    process: u32,
    progress: Mutex<Progress>,
    idle: Condvar,
}

impl Job {
    /// # Safety
    /// `output` is the first of `pages.len() * page_size` bytes that nobody else uses before `finish` returned.
    pub unsafe fn begin(
        slots: Arc<Slots>,
        pages: Vec<Page>,
        sessions: Sessions,
        output: *mut u8,
        threads: usize,
    ) -> Arc<Self> {
        let job = Arc::new(Self {
            slots,
            pages,
            sessions,
            output: Output(output),
            process: std::process::id(),
            progress: Mutex::default(),
            idle: Condvar::new(),
        });
        let others = threads.min(job.pages.len().div_ceil(job.step())).saturating_sub(1);
        for helper in 0..others {
            let shared = job.clone();
            pool::begin(helper, Box::new(move || shared.work()));
        }
        job
    }

    /// Do what nobody has begun, and wait for the others.
    pub fn finish(&self) -> Result<(), Failure> {
        if !self.is_of_this_process() {
            return Err(Failure { place: 0, fault: Fault::Closed, done: 0 });
        }
        self.work();
        self.stop()
    }

    /// Begin nothing more, and wait for what is under way.
    pub fn stop(&self) -> Result<(), Failure> {
        if !self.is_of_this_process() {
            return Ok(()); // the threads that worked on it are the parent's
        }
        let mut progress = self.progress();
        progress.stopped = true;
        while progress.working > 0 {
            progress = self.idle.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        progress.failure.take().map_or(Ok(()), Err)
    }

    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    fn work(&self) {
        while let Some(piece) = self.take() {
            let mut taken = Taken { job: self, done: Err((0, Fault::Panicked)), piece };
            // SAFETY: nobody else has this piece, and it is used once before it is put back.
            let out = unsafe { self.output_of(&taken.piece) };
            taken.done = self.slots.open_pages(&self.pages[taken.piece.clone()], &self.sessions, out);
        }
    }

    /// # Safety
    /// The caller has this piece, and uses what was returned before no more.
    #[allow(clippy::mut_from_ref)]
    unsafe fn output_of(&self, piece: &Range<usize>) -> &mut [u8] {
        let size = self.slots.page_size;
        // SAFETY: inside the output, as `begin` was promised; and as the caller says.
        unsafe { std::slice::from_raw_parts_mut(self.output.0.add(piece.start * size), piece.len() * size) }
    }

    fn take(&self) -> Option<Range<usize>> {
        let mut progress = self.progress();
        let start = progress.taken;
        if progress.stopped || progress.failure.is_some() || start == self.pages.len() {
            return None;
        }
        progress.taken = self.pages.len().min(start + self.step());
        progress.working += 1;
        Some(start..progress.taken)
    }

    fn put_back(&self, piece: &Range<usize>, done: Result<(), (usize, Fault)>) {
        let mut progress = self.progress();
        progress.working -= 1;
        if let Err((place, fault)) = done {
            if progress.failure.as_ref().is_none_or(|known| piece.start < known.done) {
                progress.failure = Some(Failure { place: piece.start + place, fault, done: piece.start });
            }
        }
        if progress.working == 0 {
            self.idle.notify_all();
        }
    }

    fn step(&self) -> usize {
        (PIECE_BYTES / self.slots.page_size).max(1)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A piece that is being worked on; dropping it puts it back, with what came of it.
struct Taken<'a> {
    job: &'a Job,
    piece: Range<usize>,
    done: Result<(), (usize, Fault)>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let done = std::mem::replace(&mut self.done, Ok(()));
        if matches!(done, Err((_, Fault::Panicked))) {
            // SAFETY: who had it was cut off, and this piece is not put back yet.
            unsafe { self.job.output_of(&self.piece) }.fill(0);
        }
        self.job.put_back(&self.piece, done);
    }
}

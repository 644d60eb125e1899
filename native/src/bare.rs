//! What the kernel is measured against: the loop over aws-lc-rs alone, building each nonce and associated data as a
//! store does, on the memory that the kernel works on. For benchmarks; no product code calls it.

use std::sync::Barrier;
use std::time::Instant;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::buffers::Bytes;
use crate::pages::{NONCE_BYTES, TAG_BYTES};
use crate::slots::AAD_BYTES;
use crate::PageKey;

/// The loop with this key: page `i` has nonce `0 | i` and associated data `0 | i`.
#[pyclass(frozen, module = "cmk_keystore_native")]
pub struct BareLoop {
    key: Py<PageKey>,
    page_size: usize,
}

#[pymethods]
impl BareLoop {
    #[new]
    fn new(key: Py<PageKey>, page_size: usize) -> PyResult<Self> {
        match page_size {
            0 => Err(PyValueError::new_err("page_size is 0; at least 1 is needed")),
            _ => Ok(Self { key, page_size }),
        }
    }

    /// Seal all pages of `plaintext` so many times; return the seconds that one time took.
    ///
    /// On several threads each has a part of its own, and they begin together: nothing is handed over, nobody waits for
    /// the others in between. That is what a machine can give.
    #[allow(clippy::too_many_arguments)]
    fn seal(
        &self,
        py: Python<'_>,
        plaintext: &Bound<'_, PyAny>,
        out: &Bound<'_, PyAny>,
        tags: &Bound<'_, PyAny>,
        threads: usize,
        times: usize,
    ) -> PyResult<f64> {
        let (plaintext, out, tags) =
            (Bytes::get(plaintext, "plaintext")?, Bytes::get(out, "out")?, Bytes::get(tags, "tags")?);
        let (length, part) = (plaintext.len(), self.part(plaintext.len(), threads, times)?);
        out.require_room(length, &[&plaintext, &tags])?;
        tags.require_length(length / self.page_size * TAG_BYTES)?;
        tags.require_room(tags.len(), &[&plaintext])?;
        let (key, page_size) = (&self.key.get().key, self.page_size);
        // SAFETY: both had their room required, against each other and against what is read.
        let (sealed, tags) = unsafe { (out.slice_mut(), tags.slice_mut()) };
        let targets = sealed[..length].chunks_mut(part * page_size).zip(tags.chunks_mut(part * TAG_BYTES));
        let parts = plaintext.slice().chunks(part * page_size).zip(targets).enumerate();
        let works = parts
            .map(|(number, (pages, (sealed, tags)))| move || seal(key, number * part, pages, sealed, tags, page_size));
        Ok(py.detach(|| timed(works.collect(), times)))
    }

    /// Open what was sealed; as `seal`.
    #[allow(clippy::too_many_arguments)]
    fn open(
        &self,
        py: Python<'_>,
        ciphertext: &Bound<'_, PyAny>,
        out: &Bound<'_, PyAny>,
        tags: &Bound<'_, PyAny>,
        threads: usize,
        times: usize,
    ) -> PyResult<f64> {
        let (ciphertext, out, tags) =
            (Bytes::get(ciphertext, "ciphertext")?, Bytes::get(out, "out")?, Bytes::get(tags, "tags")?);
        let (length, part) = (ciphertext.len(), self.part(ciphertext.len(), threads, times)?);
        out.require_room(length, &[&ciphertext, &tags])?;
        tags.require_length(length / self.page_size * TAG_BYTES)?;
        let (key, page_size) = (&self.key.get().key, self.page_size);
        // SAFETY: its room was required, against all that is read.
        let opened = unsafe { out.slice_mut() };
        let targets = opened[..length].chunks_mut(part * page_size).zip(tags.slice().chunks(part * TAG_BYTES));
        let parts = ciphertext.slice().chunks(part * page_size).zip(targets).enumerate();
        let works = parts
            .map(|(number, (pages, (opened, tags)))| move || open(key, number * part, pages, opened, tags, page_size));
        Ok(py.detach(|| timed(works.collect(), times)))
    }
}

impl BareLoop {
    /// How many pages each thread has.
    fn part(&self, length: usize, threads: usize, times: usize) -> PyResult<usize> {
        let count = length / self.page_size;
        if count * self.page_size == length && count > 0 && threads > 0 && times > 0 {
            return Ok(count.div_ceil(threads));
        }
        let asked = format!("{length} bytes in pages of {}, on {threads} threads, {times} times", self.page_size);
        Err(PyValueError::new_err(format!("{asked}: whole pages, a thread and a time are needed")))
    }
}

fn seal(key: &LessSafeKey, first: usize, pages: &[u8], sealed: &mut [u8], tags: &mut [u8], page_size: usize) {
    let targets = sealed.chunks_exact_mut(page_size).zip(tags.chunks_exact_mut(TAG_BYTES));
    for (index, (page, (sealed, tag))) in pages.chunks_exact(page_size).zip(targets).enumerate() {
        let (nonce, aad) = context(first + index);
        key.seal_out_of_place_scatter(nonce, Aad::from(aad), page, sealed, &[], tag).expect("lengths are right");
    }
}

fn open(key: &LessSafeKey, first: usize, pages: &[u8], opened: &mut [u8], tags: &[u8], page_size: usize) {
    let targets = opened.chunks_exact_mut(page_size).zip(tags.chunks_exact(TAG_BYTES));
    for (index, (page, (opened, tag))) in pages.chunks_exact(page_size).zip(targets).enumerate() {
        let (nonce, aad) = context(first + index);
        key.open_separate_gather(nonce, Aad::from(aad), page, tag, opened).expect("it was sealed before");
    }
}

/// Do each work so many times, all at once on threads of their own; return the seconds that one time took the slowest.
fn timed<F: FnMut() + Send>(mut works: Vec<F>, times: usize) -> f64 {
    let begin = Barrier::new(works.len());
    let run = |mut work: F| {
        begin.wait();
        let start = Instant::now();
        (0..times).for_each(|_| work());
        start.elapsed().as_secs_f64() / times as f64
    };
    if works.len() == 1 {
        return run(works.remove(0));
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = works.into_iter().map(|work| scope.spawn(|| run(work))).collect();
        running.into_iter().map(|each| each.join().expect("lengths are right")).fold(0.0, f64::max)
    })
}

fn context(index: usize) -> (Nonce, [u8; AAD_BYTES]) {
    let (mut nonce, mut aad) = ([0; NONCE_BYTES], [0; AAD_BYTES]);
    nonce[8..].copy_from_slice(&(index as u32).to_le_bytes());
    aad[32..].copy_from_slice(&(index as u64).to_le_bytes());
    (Nonce::assume_unique_for_key(nonce), aad)
}

//! Seals the pages of a commit, each from a buffer of its own, and encodes what its record says of them.
//!
//! Leaves to others: that the nonces are fresh, and where the pages go.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffers::Bytes;
use crate::pages::{NONCE_BYTES, TAG_BYTES};
use crate::slots::AAD_BYTES;
use crate::PageKey;

/// A change, as docs/FORMAT.md, section 6, has it: page, slot, session, nonce, tag.
pub const CHANGE_BYTES: usize = 48;
/// The page's number stands in the last 8 bytes of its associated data (F-11).
const NUMBER_AT: usize = AAD_BYTES - 8;
/// What the nonces of one commit have in common; the counter follows (F-8).
pub const DRAWN_BYTES: usize = 8;

/// The pages of one commit under one session; what is checked of them is checked when it is made.
pub struct Changes {
    aad: [u8; AAD_BYTES],
    drawn: [u8; DRAWN_BYTES],
    counter: u32,
    session: u32,
    pub page_size: usize,
    page_nos: Vec<u64>,
    pub slots: Vec<u64>,
}

impl Changes {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        pages: &[Bytes],
        page_size: usize,
        aad: [u8; AAD_BYTES],
        drawn: [u8; DRAWN_BYTES],
        counter: u32,
        session: u32,
        page_nos: Vec<u64>,
        slots: Vec<u64>,
        out: &Bytes,
    ) -> PyResult<Self> {
        let count = pages.len();
        let fits = u64::from(counter) + count as u64 <= 1 << 32;
        if page_size == 0 || page_nos.len() != count || slots.len() != count || !fits {
            let (numbers, slots) = (page_nos.len(), slots.len());
            return Err(PyValueError::new_err(format!(
                "{count} pages of {page_size} bytes with {numbers} numbers, {slots} slots, from seal {counter} on"
            )));
        }
        for page in pages {
            page.require_length(page_size)?;
        }
        out.require_room(count * page_size + TAG_BYTES, &pages.iter().collect::<Vec<_>>())?;
        Ok(Self { aad, drawn, counter, session, page_size, page_nos, slots })
    }

    /// Seal the pages of `sources` into `out`, one behind the other; return their rows. Page `i` has the nonce
    /// `drawn | counter + i`.
    pub fn seal(&self, key: &LessSafeKey, sources: &[&[u8]], out: &mut [u8]) -> Vec<u8> {
        let mut rows = vec![0; sources.len() * CHANGE_BYTES];
        let targets = out.chunks_exact_mut(self.page_size).zip(rows.chunks_exact_mut(CHANGE_BYTES));
        for (index, (page, (out, row))) in sources.iter().zip(targets).enumerate() {
            self.seal_page(key, index, page, out, row);
        }
        rows
    }

    fn seal_page(&self, key: &LessSafeKey, index: usize, page: &[u8], out: &mut [u8], row: &mut [u8]) {
        let number = self.page_nos[index];
        let mut nonce = [0; NONCE_BYTES];
        nonce[..DRAWN_BYTES].copy_from_slice(&self.drawn);
        nonce[DRAWN_BYTES..].copy_from_slice(&(self.counter + index as u32).to_le_bytes());
        let mut aad = self.aad;
        aad[NUMBER_AT..].copy_from_slice(&number.to_le_bytes());
        row[..8].copy_from_slice(&number.to_le_bytes());
        row[8..16].copy_from_slice(&self.slots[index].to_le_bytes());
        row[16..20].copy_from_slice(&self.session.to_le_bytes());
        row[20..32].copy_from_slice(&nonce);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = &mut row[CHANGE_BYTES - TAG_BYTES..];
        key.seal_out_of_place_scatter(nonce, Aad::from(aad), page, out, &[], tag).expect("lengths were checked");
    }
}

/// Return the buffers of the pages of a commit.
pub fn buffers(pages: &[Bound<'_, PyAny>]) -> PyResult<Vec<Bytes>> {
    pages.iter().map(|page| Bytes::get(page, "page")).collect()
}

/// Seal `pages` into `out`, one behind the other; return their rows. Page `i` has the nonce `drawn | counter + i`.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn seal_changes<'py>(
    py: Python<'py>,
    key: &PageKey,
    pages: Vec<Bound<'py, PyAny>>,
    page_size: usize,
    aad: [u8; AAD_BYTES],
    drawn: [u8; DRAWN_BYTES],
    counter: u32,
    session: u32,
    page_nos: Vec<u64>,
    slots: Vec<u64>,
    out: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (pages, out) = (buffers(&pages)?, Bytes::get(out, "out")?);
    let changes = Changes::new(&pages, page_size, aad, drawn, counter, session, page_nos, slots, &out)?;
    let sources: Vec<&[u8]> = pages.iter().map(Bytes::slice).collect();
    // SAFETY: its room was required, against all that is read, and nobody else writes to it.
    let sealed = unsafe { out.slice_mut() };
    let rows = py.detach(|| changes.seal(&key.key, &sources, sealed));
    Ok(PyBytes::new(py, &rows))
}

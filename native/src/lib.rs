//! Seals and opens pages in batches with AES-256-GCM: the loop around aws-lc-rs, and nothing of its own below it.
//!
//! Leaves to others: which key, nonce and associated data belong to a page, and what a failed tag means.
//!
//! Invariants:
//! 1. Every length is checked before the first byte is written.
//! 2. No plaintext of a page whose tag failed, nor of a later one, is left in `out`.
//! 3. The interpreter's lock is released while pages are worked on.

mod bare;
mod buffers;
mod changes;
mod commit;
mod job;
mod pages;
mod parts;
mod pool;
mod reader;
mod slots;
mod together;

use std::sync::Arc;

use aws_lc_rs::aead::{LessSafeKey, UnboundKey, AES_256_GCM};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use buffers::{require_shapes, Bytes, NONCES, TAGS};
use pages::{Batch, PageKey, TAG_BYTES};

#[pymethods]
impl PageKey {
    #[new]
    fn new(key: &Bound<'_, PyAny>) -> PyResult<Self> {
        let bytes = Bytes::get(key, "key")?;
        let unbound = UnboundKey::new(&AES_256_GCM, bytes.slice())
            .map_err(|_| PyValueError::new_err(format!("the key has {} bytes; AES-256-GCM takes 32", bytes.len())))?;
        Ok(Self { key: Arc::new(LessSafeKey::new(unbound)) })
    }

    /// Seal `n * page_size` bytes into `out`, which has 16 bytes more, and `tags`.
    #[allow(clippy::too_many_arguments)]
    fn seal_pages(
        &self,
        py: Python<'_>,
        plaintext: &Bound<'_, PyAny>,
        page_size: i64,
        nonces: &Bound<'_, PyAny>,
        aads: &Bound<'_, PyAny>,
        out: &Bound<'_, PyAny>,
        tags: &Bound<'_, PyAny>,
        threads: usize,
    ) -> PyResult<()> {
        let (nonces, aads) = (Bytes::get_rows(nonces, "nonces", NONCES)?, Bytes::get_rows(aads, "aads", None)?);
        let (plaintext, out) = (Bytes::get(plaintext, "plaintext")?, Bytes::get(out, "out")?);
        let tags = Bytes::get_rows(tags, "tags", TAGS)?;
        let (count, page_size) = require_shapes(page_size, &nonces, &aads, &tags)?;
        plaintext.require_length(count * page_size)?;
        out.require_room(count * page_size + TAG_BYTES, &[&plaintext, &nonces, &aads, &tags])?;
        tags.require_room(count * TAG_BYTES, &[&plaintext, &nonces, &aads])?;
        let batch = Batch::new(page_size, &plaintext, &nonces, &aads);
        // SAFETY: both had their room required, against each other and against all that is read.
        let (sealed, tags) = unsafe { (out.slice_mut(), tags.slice_mut()) };
        py.detach(|| parts::seal(&self.key, &batch, &mut sealed[..count * page_size], tags, threads));
        Ok(())
    }

    /// Open `n * page_size` bytes into `out`; return the first page that failed. It and all after it are zeros then.
    #[allow(clippy::too_many_arguments)]
    fn open_pages(
        &self,
        py: Python<'_>,
        ciphertext: &Bound<'_, PyAny>,
        page_size: i64,
        nonces: &Bound<'_, PyAny>,
        aads: &Bound<'_, PyAny>,
        tags: &Bound<'_, PyAny>,
        out: &Bound<'_, PyAny>,
        threads: usize,
    ) -> PyResult<Option<usize>> {
        let (nonces, aads) = (Bytes::get_rows(nonces, "nonces", NONCES)?, Bytes::get_rows(aads, "aads", None)?);
        let (ciphertext, out) = (Bytes::get(ciphertext, "ciphertext")?, Bytes::get(out, "out")?);
        let tags = Bytes::get_rows(tags, "tags", TAGS)?;
        let (count, page_size) = require_shapes(page_size, &nonces, &aads, &tags)?;
        ciphertext.require_length(count * page_size)?;
        out.require_room(count * page_size, &[&ciphertext, &nonces, &aads, &tags])?;
        let batch = Batch::new(page_size, &ciphertext, &nonces, &aads);
        // SAFETY: its room was required, against all that is read.
        let opened = unsafe { out.slice_mut() };
        Ok(py.detach(|| parts::open(&self.key, &batch, tags.slice(), &mut opened[..count * page_size], threads)))
    }
}

#[pymodule]
fn cmk_keystore_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("THREADS_MAX", pool::THREADS_MAX)?;
    module.add("SESSION_UNKNOWN", reader::SESSION_UNKNOWN)?;
    module.add("FILE_ENDS", reader::FILE_ENDS)?;
    module.add("TAG_MISMATCH", reader::TAG_MISMATCH)?;
    module.add_class::<bare::BareLoop>()?;
    module.add_class::<reader::SlotReader>()?;
    module.add_class::<reader::Reading>()?;
    module.add("PAGES_FAILED", commit::PAGES_FAILED)?;
    module.add("RECORD_FAILED", commit::RECORD_FAILED)?;
    module.add_function(wrap_pyfunction!(changes::seal_changes, module)?)?;
    module.add_function(wrap_pyfunction!(commit::write_commit, module)?)?;
    module.add_class::<PageKey>()
}

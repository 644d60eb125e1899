//! What the kernel is measured against: the loop over aws-lc-rs alone, building each nonce and associated data as a
//! store does, without a buffer of Python in it. For benchmarks; no product code calls it.

use std::time::Instant;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey, AES_256_GCM};
use pyo3::prelude::*;

use crate::pages::{NONCE_BYTES, TAG_BYTES};

const AAD_BYTES: usize = 40;

/// Pages of zeros under a key of zeros, sealed again and again.
#[pyclass(module = "cmk_keystore_native")]
pub struct BareLoop {
    key: LessSafeKey,
    page_size: usize,
    plain: Vec<u8>,
    sealed: Vec<u8>,
    tags: Vec<u8>,
}

#[pymethods]
impl BareLoop {
    #[new]
    fn new(py: Python<'_>, page_size: usize, count: usize) -> Self {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[0; 32]).expect("32 bytes"));
        let bytes = page_size * count;
        let mut made = Self { key, page_size, plain: vec![1; bytes], sealed: vec![1; bytes], tags: vec![1; count * TAG_BYTES] };
        made.seal(py);
        made
    }

    /// Seal all pages; return the seconds that took.
    fn seal(&mut self, py: Python<'_>) -> f64 {
        py.detach(|| {
            let start = Instant::now();
            let pages = self.plain.chunks_exact(self.page_size).zip(self.sealed.chunks_exact_mut(self.page_size));
            for (index, ((page, sealed), tag)) in pages.zip(self.tags.chunks_exact_mut(TAG_BYTES)).enumerate() {
                let (nonce, aad) = context(index);
                self.key
                    .seal_out_of_place_scatter(nonce, Aad::from(aad), page, sealed, &[], tag)
                    .expect("lengths are right");
            }
            start.elapsed().as_secs_f64()
        })
    }

    /// Open what was sealed; return the seconds that took.
    fn open(&mut self, py: Python<'_>) -> f64 {
        py.detach(|| {
            let start = Instant::now();
            let pages = self.sealed.chunks_exact(self.page_size).zip(self.plain.chunks_exact_mut(self.page_size));
            for (index, ((page, plain), tag)) in pages.zip(self.tags.chunks_exact(TAG_BYTES)).enumerate() {
                let (nonce, aad) = context(index);
                self.key.open_separate_gather(nonce, Aad::from(aad), page, tag, plain).expect("it was sealed before");
            }
            start.elapsed().as_secs_f64()
        })
    }
}

fn context(index: usize) -> (Nonce, [u8; AAD_BYTES]) {
    let (mut nonce, mut aad) = ([0; NONCE_BYTES], [0; AAD_BYTES]);
    nonce[8..].copy_from_slice(&(index as u32).to_le_bytes());
    aad[32..].copy_from_slice(&(index as u64).to_le_bytes());
    (Nonce::assume_unique_for_key(nonce), aad)
}

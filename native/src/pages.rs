//! The loop over the pages of a batch, on one thread.

use std::sync::Arc;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use pyo3::prelude::*;

use crate::buffers::Bytes;

pub const NONCE_BYTES: usize = 12;
pub const TAG_BYTES: usize = 16;

/// An expanded key. aws-lc-rs wipes it when it is dropped.
#[pyclass(frozen, module = "cmk_keystore_native")]
pub struct PageKey {
    pub key: Arc<LessSafeKey>,
}

/// What is read, whole or a part of it.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    pub page_size: usize,
    source: &'a [u8],
    nonces: &'a [u8],
    aads: &'a [u8],
    aad_bytes: usize,
}

impl<'a> Batch<'a> {
    pub fn new(page_size: usize, source: &'a Bytes, nonces: &'a Bytes, aads: &'a Bytes) -> Self {
        let aad_bytes = aads.width();
        Self { page_size, source: source.slice(), nonces: nonces.slice(), aads: aads.slice(), aad_bytes }
    }

    pub fn count(&self) -> usize {
        self.nonces.len() / NONCE_BYTES
    }

    /// The same, `count` pages each and the rest.
    pub fn pieces(self, count: usize) -> impl Iterator<Item = Batch<'a>> {
        (0..self.count()).step_by(count).map(move |start| {
            let pages = start..self.count().min(start + count);
            let part = |bytes: &'a [u8], width| &bytes[pages.start * width..pages.end * width];
            Batch {
                source: part(self.source, self.page_size),
                nonces: part(self.nonces, NONCE_BYTES),
                aads: part(self.aads, self.aad_bytes),
                ..self
            }
        })
    }

    fn page(&self, index: usize) -> (&'a [u8], Nonce, Aad<&'a [u8]>) {
        let nonce = self.nonces[index * NONCE_BYTES..][..NONCE_BYTES].try_into().expect("twelve bytes");
        (
            &self.source[index * self.page_size..][..self.page_size],
            Nonce::assume_unique_for_key(nonce),
            Aad::from(&self.aads[index * self.aad_bytes..][..self.aad_bytes]),
        )
    }
}

pub fn seal(key: &LessSafeKey, batch: &Batch<'_>, out: &mut [u8], tags: &mut [u8]) {
    for index in 0..batch.count() {
        let (page, nonce, aad) = batch.page(index);
        let sealed = &mut out[index * batch.page_size..][..batch.page_size];
        let tag = &mut tags[index * TAG_BYTES..][..TAG_BYTES];
        key.seal_out_of_place_scatter(nonce, aad, page, sealed, &[], tag).expect("lengths were checked");
    }
}

/// Return the first page that failed; it and all after it are zeros then.
pub fn open(key: &LessSafeKey, batch: &Batch<'_>, tags: &[u8], out: &mut [u8]) -> Option<usize> {
    for index in 0..batch.count() {
        let (page, nonce, aad) = batch.page(index);
        let opened = &mut out[index * batch.page_size..][..batch.page_size];
        if key.open_separate_gather(nonce, aad, page, &tags[index * TAG_BYTES..][..TAG_BYTES], opened).is_err() {
            // The library may have written the page that it then rejects.
            out[index * batch.page_size..].fill(0);
            return Some(index);
        }
    }
    None
}

//! Divides a batch over threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::aead::LessSafeKey;

use crate::pages::{self, Batch, TAG_BYTES};
use crate::pool::THREADS_MAX;
use crate::together::share;

/// LIMIT: bytes below which nothing is handed over; that costs some microseconds.
const BYTES_MIN: usize = 64 << 10;
/// LIMIT: bytes that a thread takes at once, or a page: what another may have to wait for at the end.
const PIECE_BYTES: usize = 32 << 10;

pub fn seal(key: &LessSafeKey, batch: &Batch<'_>, out: &mut [u8], tags: &mut [u8], threads: usize) {
    let threads = useful(batch, threads);
    if threads < 2 {
        return pages::seal(key, batch, out, tags);
    }
    let count = pages_a_piece(batch);
    let targets = out.chunks_mut(count * batch.page_size).zip(tags.chunks_mut(count * TAG_BYTES));
    let pieces = batch.pieces(count).zip(targets).collect();
    share(pieces, threads, |_, (batch, (sealed, tags)): (Batch<'_>, (&mut [u8], &mut [u8]))| {
        pages::seal(key, &batch, sealed, tags);
    });
}

pub fn open(key: &LessSafeKey, batch: &Batch<'_>, tags: &[u8], out: &mut [u8], threads: usize) -> Option<usize> {
    let threads = useful(batch, threads);
    if threads < 2 {
        return pages::open(key, batch, tags, out);
    }
    let count = pages_a_piece(batch);
    let failed = AtomicUsize::new(usize::MAX);
    let targets = out.chunks_mut(count * batch.page_size).zip(tags.chunks(count * TAG_BYTES));
    let pieces = batch.pieces(count).zip(targets).collect();
    share(pieces, threads, |piece, (batch, (opened, tags)): (Batch<'_>, (&mut [u8], &[u8]))| {
        if let Some(index) = pages::open(key, &batch, tags, opened) {
            failed.fetch_min(piece * count + index, Ordering::Relaxed);
        }
    });
    let first = failed.into_inner();
    if first == usize::MAX {
        return None;
    }
    out[first * batch.page_size..].fill(0);
    Some(first)
}

/// As many of these threads as the batch has work for.
fn useful(batch: &Batch<'_>, threads: usize) -> usize {
    threads.min(THREADS_MAX).min(batch.count() * batch.page_size / BYTES_MIN).min(batch.count())
}

fn pages_a_piece(batch: &Batch<'_>) -> usize {
    (PIECE_BYTES / batch.page_size).max(1)
}

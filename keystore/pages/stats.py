"""What a store takes on the disk, and how much is written for what is committed."""

from dataclasses import dataclass

from keystore.format import layout
from keystore.pages.state import StoreState


@dataclass(frozen=True)
class StoreStats:
    """Figures of an open store.

    Attributes:
        logical_bytes: the user's own length, or that of all pages where none was set.
        live_slots: slots that the store needs: pages, map, tables, places of records.
        held_slots: slots whose content died, and which something may still reach; and staged ones.
        free_slots: slots that can be used without a longer file.
        file_bytes: length of the file.
        committed_bytes: bytes of pages that were committed since the opening.
        written_bytes: bytes written to the file since then, everything included.
    """

    page_size: int
    logical_bytes: int
    live_slots: int
    held_slots: int
    free_slots: int
    file_bytes: int
    committed_bytes: int
    written_bytes: int

    @property
    def write_amplification(self) -> float | None:
        """Bytes written for each byte of a page committed; None where none was."""
        return self.written_bytes / self.committed_bytes if self.committed_bytes else None


def store_stats(state: StoreState) -> StoreStats:
    """Return the figures of a store; the caller has the lock."""
    slots = state.space.slots
    return StoreStats(
        page_size=state.page_size,
        logical_bytes=state.byte_length or state.page_count * state.page_size,
        live_slots=slots.used_count,
        held_slots=slots.slot_count - layout.first_slot(state.page_size) - slots.free_count - slots.used_count,
        free_slots=slots.free_count,
        file_bytes=state.file.size(),
        committed_bytes=state.committed_pages * state.page_size,
        written_bytes=state.file.written_bytes,
    )

"""`Shape`: sizes of a column, and the memory that follows from them."""

from __future__ import annotations

from dataclasses import dataclass

from seedlab.engines.packed.planning.batch_sizes import BatchSizes

_DRAWN = 20
"""Bytes that the drawing of a mask takes per element: ten vectors of int64 for four elements each."""


@dataclass(frozen=True)
class Shape:
    """Sizes that decide how much memory training takes.

    The names of buffers are those of `seedlab.engines.packed.encoder.layer.StackedLayer`. A fake GPU,
    which counts the memory of every tensor, confirms the sums.

    Parameters
    ----------
    size : int
        Trained parameters per run, including trimmed embedding tables.
    hidden, feed_forward, heads, layers : int
        Widths, attention heads and layers of the encoder.
    batches : BatchSizes
    itemsize : int
        Bytes per element.
    vectors : int
        Vectors of `size` elements per run: weights, two moments, and an average if any. Weights
        that `evaluation.keep` best keeps lie in the memory of the host. On a CPU they are one more.
    scratch : int
        Elements of effective weights and their gradients, per computed run.
    shared : int
        Bytes that the pack needs once, whatever its width.
    copy_itemsize : int
        Bytes per element of a low-precision copy of the weights; 0 without a copy.
    product_itemsize : int
        Bytes per element of the inputs and results of matrix products that are converted; 0: none are.
    mask_elements : int
        Elements of the masks of one dropout key.
    own_masks : bool
        Whether runs have dropout keys of their own; otherwise they share one.
    stacked : bool
        Whether a stack has several runs; masks of several keys are then copied into one tensor.
    """

    size: int
    hidden: int
    feed_forward: int
    heads: int
    layers: int
    batches: BatchSizes
    itemsize: int
    vectors: int = 3
    scratch: int = 0
    shared: int = 0
    copy_itemsize: int = 0
    product_itemsize: int = 0
    mask_elements: int = 0
    own_masks: bool = False
    stacked: bool = True

    @property
    def weights(self) -> int:
        """Bytes of a run's weights, their two moments, and their average or copies if any."""
        return self.size * (self.vectors * self.itemsize + self.copy_itemsize)

    @property
    def gradients(self) -> int:
        """Bytes of a run's gradients, and of its effective weights if any."""
        return (self.size + self.scratch) * self.itemsize

    @property
    def activations(self) -> int:
        """Bytes of a computed run's buffers, with their reserve, and of its layers' inputs.

        They are held from one pass to the next. Scoring has buffers of a single layer.
        """
        b, h, f, a = self.batches, self.hidden, self.feed_forward, self.heads
        lines = b.rows * b.places
        lines += lines // 4
        pairs = a * lines * b.places
        # split, soft, dropped; context, z, z2; u, a. The last layer keeps keys and values.
        layer = 3 * lines * h + 2 * pairs + b.room * (3 * h + 2 * f)
        trained = (self.layers - 1) * layer + 2 * lines * h
        # dsplit, dmixed; masked, dcontext, djoined, dx; da, du.
        backward = 4 * lines * h + b.room * (6 * h + 2 * f)
        scored = 3 * b.evaluation_lines * h + a * b.evaluation_pairs
        scored += b.evaluation_room * (3 * h + 2 * f)
        # joined, y; mixed; scores. Both kinds of passes use them.
        common = 4 * max(b.room, b.evaluation_room) * h + max(lines, b.evaluation_lines) * h
        common += max(pairs, a * b.evaluation_pairs)
        # Inputs of layers, and their feed-forward blocks', are no buffers and have no reserve.
        inputs = 2 * self.layers * b.tokens * h + 3 * b.evaluation_tokens * h
        return (trained + backward + scored + common + inputs) * self.itemsize

    @property
    def training(self) -> int:
        """Bytes of a run's temporary results in a training pass."""
        b, h, converted = self.batches, self.hidden, self.product_itemsize
        lines = b.rows * b.places
        pairs = self.heads * lines * b.places
        attention = pairs * (self.itemsize + converted) + 2 * lines * h * converted
        product = (self.feed_forward * h + b.tokens * (self.feed_forward + h)) * converted
        norms = 3 * b.tokens * h * self.itemsize
        indices = 6 * (lines + b.tokens) * self.heads * 8
        return max(attention, product, norms) + 2 * b.tokens * h * self.itemsize + indices

    @property
    def scoring(self) -> int:
        """Bytes of a run's temporary results when a batch is scored."""
        b, h, converted = self.batches, self.hidden, self.product_itemsize
        lines = b.evaluation_rows * b.evaluation_places
        pairs = self.heads * lines * b.evaluation_places
        attention = (pairs + 2 * lines * h) * converted
        product = b.evaluation_tokens * (self.feed_forward + h) * converted
        norms = b.evaluation_tokens * h * self.itemsize
        indices = (3 * lines + b.evaluation_tokens) * self.heads * 8
        return max(attention, product, norms) + indices

    def masks(self, width: int, computed: int) -> int:
        """Return the bytes of the masks of `width` runs, of which `computed` are computed at once."""
        keys = width if self.own_masks else 1
        keys += computed if self.own_masks and self.stacked else 0
        return self.mask_elements * self.itemsize * keys

    def needed(self, width: int, at_once: int | None = None) -> int:
        """Return the bytes of a pack of `width` runs, computed `at_once` at a time (None: all)."""
        computed = width if at_once is None else min(width, at_once)
        held = self.shared + width * self.weights
        held += computed * (self.gradients + self.activations)
        b = self.batches
        drawn = 0
        if self.mask_elements:
            drawn = _DRAWN * max(self.heads * b.rows * b.places**2, b.tokens * self.hidden)
        training = self.masks(width, computed) + max(drawn, computed * self.training)
        return held + max(training, computed * self.scoring)

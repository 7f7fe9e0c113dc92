"""A head over several hidden states, instead of the architecture's own."""

from __future__ import annotations

from seedlab.models.heads import HeadChoice
from seedlab.techniques.head import HeadSpec
from seedlab.training.techniques.effect import Effect, ModelOptions


class HeadEffect(Effect[HeadSpec]):
    """Another head is loaded, which `seedlab.models.heads` computes."""

    def model_options(self, options: ModelOptions) -> ModelOptions:
        """See `Effect`."""
        head = self.settings
        return options._replace(head=HeadChoice(head.kind, head.layers, head.layer))

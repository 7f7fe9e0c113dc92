"""An architecture for the packed engine: CamemBERT has the layers and the head of RoBERTa."""

from seedlab.engines.packed.encoder.architecture_names import (
    ArchitectureNames,
    HeadNames,
    bert_layer,
)

CAMEMBERT = ArchitectureNames(
    title="CamemBERT",
    layer=bert_layer,  # names of a layer's maps, norms and dropouts
    head=HeadNames(
        dense="classifier.dense",  # "{base}.pooler.dense" if the encoder has a pooler
        activation="tanh",
        out="classifier.out_proj",
        dense_site="classifier.dropout",  # before `dense`; None: no dropout there
        out_site="classifier.dropout",  # before `out`
    ),
    positions_count_tokens=True,  # positions skip padding and begin after its id
)
